"""How far one picture is from another, in the unit that λ weighs: one function for each thing a model can be tuned for.

(B, 1 or 3, H, W) floats in ±0.5 in, (B,) out, a mean over the pixels: of the squared error on the 0..255 scale, or of
what takes its place.

[1] Z. Wang, E. P. Simoncelli, A. C. Bovik, 2003, multi-scale structural similarity
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec.bitstream import SEGMENT
from vlae_codec.metrics import MS_SSIM_SIDE
from vlae_codec.tiles import Box

Pixels = NDArray[np.uint8]
Distortion = Callable[[Tensor, Tensor], Tensor]

MS_SSIM_UNIT = 1270.0
"""Squared error that 1 - MS-SSIM = 1 is worth. The ratio of the λ that are in use for the two (J. Bégaint et al., 2020,
https://arxiv.org/abs/2011.03029), so that a quality takes about as many bits whatever the model is tuned for."""


def squared_error(shown: Tensor, picture: Tensor) -> Tensor:
    """The mean squared error on the 0..255 scale."""
    return (shown - picture).square().mean((1, 2, 3)) * 255**2


def dissimilarity(shown: Tensor, picture: Tensor) -> Tensor:
    """MS_SSIM_UNIT * (1 - MS-SSIM) [1], the mean over the channels; in float32 under autocast, too.

    Pictures too small for its five scales count as if their last row and column went on.
    """
    import pytorch_msssim

    with torch.autocast(picture.device.type, enabled=False):
        # Depthwise convolutions, of which all is made, take a third of the time in channels_last; `contiguous` would
        # keep strides that do not count as such.
        pair = [(_enlarged(x.float()) + 0.5).clone(memory_format=torch.channels_last) for x in (shown, picture)]
        similarity: Tensor = pytorch_msssim.ms_ssim(*pair, data_range=1, size_average=False)
    return MS_SSIM_UNIT * (1 - similarity)


def _enlarged(x: Tensor) -> Tensor:
    down, right = (max(MS_SSIM_SIDE - side, 0) for side in x.shape[-2:])
    return F.pad(x, (0, right, 0, down), "replicate") if down or right else x


DISTORTIONS: Mapping[str, Distortion] = {"psnr": squared_error, "ssim": dissimilarity}
"""By what a model is tuned for, as `--tune` names it."""


def total(tune: str, shown: Pixels, picture: Pixels) -> float:
    """The sum over the pixels of two arrays (H, W, 1 or 3); a part at a time, so that memory stays small."""
    whole = Box(0, picture.shape[0], 0, picture.shape[1])
    parts = whole.parts(SEGMENT, SEGMENT)
    means = [DISTORTIONS[tune](*(_floats(x[part.rows, part.columns]) for x in (shown, picture))) for part in parts]
    return sum(float(mean) * part.size[0] * part.size[1] for mean, part in zip(means, parts, strict=True))


def _floats(pixels: Pixels) -> Tensor:
    """(H, W, C) -> (1, C, H, W) in ±0.5."""
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255 - 0.5
