"""Latents as the encoder finds them by default, for networks that are at their best for what is coded in the end."""

import torch
from torch import Tensor

from vlae_codec import tiles
from vlae_codec.models.vlae import VLAE
from vlae_codec.problem import Problem
from vlae_codec.search import Window, quick

LONGEST = 1.2  # of the encoder's steps


def searched(model: VLAE, x: Tensor, y: Tensor, rate: Tensor, tune: str) -> Tensor:
    """What the two steps of effort 3 make of y; the gradient passes straight through to y.

    Steps have random lengths, from nothing to LONGEST times those of the encoder. If they all had the encoder's,
    networks would come to rely on it: latents would be worse without the steps, and the steps too long
    (docs/TRAINING.md).

    Args:
        x: (B, 3, H, W) in ±0.5, what 8 bits hold.
        y: (B, latent, h, w) in steps, not rounded.
        rate: (B,) rate indices.
    """
    pixels = ((x + 0.5) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    problem, whole = Problem(model, pixels, rate, tune), tiles.whole(*x.shape[-2:])
    window, how = Window(problem, y.detach(), whole, whole, whole), quick(problem)
    length = LONGEST * torch.rand_like(rate)[:, None, None, None]
    for _ in window.settle(how._replace(first_step=length * how.first_step, step=length * how.step)):
        pass
    return y + (window.y - y).detach()
