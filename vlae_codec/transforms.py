"""Pixels <-> latents: the networks in floating point, of any precision.

They decide quality, never whether a file can be read. `codec` gives them tiles with halos, from which comes what would
come from the whole picture: the same latents after rounding, and pixels but for the rounding of the last bit.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import tiles
from vlae_codec.bitstream import QUALITY_MAX, Header
from vlae_codec.entropy import FRACTIONS, Ints
from vlae_codec.errors import CodecError
from vlae_codec.models import Model

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def analyse(model: Model, pixels: Pixels, level: int, precision: torch.dtype) -> Floats:
    """Pixels (H, W, 1 or 3) -> y (C, H/16, W/16) in steps, not rounded."""
    height, width = pixels.shape[:2]
    x = torch.tensor(pixels).permute(2, 0, 1)[None].float().div_(255).sub_(0.5)
    pad = (0, -width % tiles.LATENT, 0, -height % tiles.LATENT)
    x = F.pad(x.expand(-1, 3, -1, -1), pad, mode="replicate").contiguous(memory_format=torch.channels_last)
    with autocast(precision):
        y: Tensor = model.transforms.analysis(x, rate_index(level))
    if not torch.isfinite(y).all():
        raise CodecError("the analysis network gave numbers that are not finite")
    steps: Floats = y[0].numpy()
    return steps


def synthesise(model: Model, y: Ints, header: Header, precision: torch.dtype) -> Pixels:
    """ŷ (C, rows, columns) in 64ths -> pixels (16 rows, 16 columns, 1 or 3)."""
    latents = torch.from_numpy(y)[None].float() / FRACTIONS
    with autocast(precision):
        x = model.transforms.synthesis(latents, rate_index(header.quality))[0]
    if header.gray:
        x = x.mean(0, keepdim=True)
    pixels: Pixels = x.add_(0.5).mul_(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    return pixels


def rate_index(level: int) -> Tensor:
    """(1,) rate index 0 to 1 of a quality in tenths."""
    return torch.tensor([level / QUALITY_MAX])


def autocast(precision: torch.dtype) -> torch.autocast:
    """Compute in this precision; float32 leaves everything as it is."""
    return torch.autocast("cpu", precision, enabled=precision != torch.float32)
