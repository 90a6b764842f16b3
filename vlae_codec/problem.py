"""What an encoder minimises over the latents of a picture, and how far one step goes: the Lagrangian R + λ·D in bits.

D is the distortion that the model was tuned for, summed over the pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlae_codec import tiles
from vlae_codec.distortion import DISTORTIONS
from vlae_codec.models.blocks import fast_bfloat16
from vlae_codec.models.vlae import VLAE
from vlae_codec.tiles import Box

HALO = 4  # latents around a window whose pixels and bits are counted, too
NUDGE_MAX = 0.5  # steps; a picture that the networks have never seen the like of must not be thrown far


class Rounding(NamedTuple):
    """How latents are rounded without a long search, as measured to be best. Of two numbers the first is for rate index
    0, the second for 1; between them it is log-linear.

    price: squared steps that a bit may cost in rounding what the analysis gives. nudge: squared steps per bit that y
    is nudged by. nudged_price: what a bit may cost in rounding it then. first_half, second_half, halves_price: the same
    of rounding half of the latents after the other.
    """

    price: tuple[float, float]
    nudge: tuple[float, float]
    nudged_price: tuple[float, float]
    first_half: tuple[float, float]
    second_half: tuple[float, float]
    halves_price: tuple[float, float]


ROUNDINGS = {
    "psnr": Rounding(
        (1 / 80, 1 / 80), (0.009, 0.026), (1 / 55, 1 / 20), (0.009, 0.021), (0.012, 0.034), (1 / 180, 1 / 66)
    ),
    # MS-SSIM is not a squared error: by how much less a latent may be exact says little about it.
    "ssim": Rounding((0.0, 0.0), (0.008, 0.01), (1 / 36, 1 / 36), (0.0072, 0.012), (0.011, 0.0125), (1 / 200, 1 / 200)),
}
"""By what a model is tuned for."""


Share = TypeVar("Share", float, Tensor)


def between(ends: tuple[float, float], share: Share) -> Share:
    """The first number at share 0, the second at 1, log-linear between them; 0 everywhere if both are."""
    value: Share = ends[0] ** (1 - share) * ends[1] ** share
    return value


@dataclass(frozen=True)
class Problem:
    """What is searched for: the latents of a picture that are best for `model` at `rate`, or of several of one size.

    model: transforms and prior in floating point. pixels: (H, W, 1 or 3) uint8, or (B, H, W, 1 or 3). rate: (1,) or
    (B,) rate indices. tune: what is to be small besides the bits, a key of `DISTORTIONS`.
    """

    model: VLAE
    pixels: NDArray[np.uint8]
    rate: Tensor
    tune: str = "psnr"

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of latents."""
        height, width = self.pixels.shape[-3:-1]
        return tiles.latent_size(height, width)

    def picture(self, region: Box) -> Tensor:
        """The pixels of a region of latents, (B, 1 or 3, height, width) in ±0.5."""
        pixels = torch.tensor(self.pixels[..., region.pixels.rows, region.pixels.columns, :])
        pixels = pixels.view(-1, *pixels.shape[-3:]).permute(0, 3, 1, 2)
        return pixels.to(self.rate.device).float() / 255 - 0.5

    def price(self, y: Tensor, picture: Tensor) -> Tensor:
        """λ·D(synthesis(y), picture) in bits, for latents (B, C, h, w) of which the picture may show less."""
        height, width = picture.shape[-2:]
        shown = self.model.synthesis(y, self.rate)[..., :height, :width]
        if picture.shape[1] == 1:
            shown = shown.mean(1, keepdim=True)
        distortion = DISTORTIONS[self.tune](shown, picture) * (height * width)
        return (self.model.config.rate_to_lambda(self.rate) * distortion).sum()


@contextmanager
def differentiable(device: torch.device) -> Iterator[None]:
    """With gradients, in bfloat16 where that is fast."""
    with torch.enable_grad(), torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
        yield
