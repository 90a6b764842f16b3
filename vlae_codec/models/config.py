"""Sizes of a model, and how its latents are cut into groups. Standard library and torch only."""

from dataclasses import dataclass

import torch
from torch import Tensor

GROUPS = 7
QUARTERS = 4  # of the channels, and of the positions of each 2x2 cell
CELL_ORDER = (0, 2, 3, 1)  # of the four positions of each 2x2 cell


@dataclass(frozen=True)
class Config:
    """Sizes of a model, saved beside its weights; channels unless said. The number at a name's end is the stride."""

    latent: int = 320
    hyper_latent: int = 32
    features: int = 192
    hyper_width: int = 128
    context: int = 256
    width4: int = 48
    width8: int = 192
    width16: int = 320
    analysis_blocks4: int = 1
    analysis_blocks8: int = 4
    synthesis_blocks4: int = 3
    synthesis_blocks8: int = 8
    anchors: int = 8
    lambda_low: float = 0.0005
    lambda_high: float = 0.5

    @property
    def analysis_halo(self) -> int:
        """How many latents' pixels on each side of its own a latent depends on: each block sees one position far."""
        return -(-(4 * self.analysis_blocks4 + 8 * self.analysis_blocks8) // 16)

    @property
    def synthesis_halo(self) -> int:
        """How many latents on each side of its own a pixel depends on; the last convolution sees a position, too."""
        return -(-(4 * (self.synthesis_blocks4 + 1) + 8 * self.synthesis_blocks8) // 16)

    def rate_to_lambda(self, rate: Tensor) -> Tensor:
        """λ of the loss bits/pixel + λ·MSE (0..255 scale) for rate indices 0 to 1; log-linear."""
        return self.lambda_low * (self.lambda_high / self.lambda_low) ** rate


def group_channels(latent: int) -> list[Tensor]:
    """Of each group, indices into the channels of pixel_unshuffle(ŷ, 2): `latent` / 4 for groups 0 to 3, then `latent`.

    Channel c at position p of each 2x2 cell belongs to part (quarter(c) + order(p)) mod 4, so that every part has a
    quarter of the channels of every position and all four positions. Nothing is known of the first part but z: it is
    cut once more, into the quarters of the channels.
    """
    members: list[list[int]] = [[] for _ in range(QUARTERS)]
    for channel in range(latent):
        for position in range(QUARTERS):
            part = (channel * QUARTERS // latent + CELL_ORDER[position]) % QUARTERS
            members[part].append(channel * QUARTERS + position)
    first, *rest = (torch.tensor(part) for part in members)
    return [*first.chunk(QUARTERS), *rest]


def group_sizes(latent: int) -> list[int]:
    """Channels of each group."""
    return [len(channels) for channels in group_channels(latent)]
