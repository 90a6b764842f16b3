"""Better latents from a slower encoder: gradient descent on y through synthesis and prior of the model.

    minimise over y   E[-log2 p(ŷ)] + λ·|x - synthesis(ŷ)|²,   ŷ_t = μ_t + (y_t - μ_t, rounded at random)

Each latent is rounded up or down at random, softly, with a temperature that falls (SGA: Yang, Bamler, Mandt, 2020,
https://arxiv.org/abs/2006.04240); afterwards the codec rounds as it always does. Pixels and y in, y out: file format
and decoder know nothing of it. Memory does not grow with the picture: it is searched window by window, and what lies
around a window stays as it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import tiles
from vlae_codec.models.blocks import fast_bfloat16
from vlae_codec.models.vlae import VLAE, interval_bits, kl_bits
from vlae_codec.tiles import Box

Floats = NDArray[np.float32]
Progress = Callable[[float], None]

WINDOW = (32, 48)  # latents that are searched at once: a picture of 768x512 pixels, or of 512x768
HALO = 4  # latents around a window whose pixels and bits are counted, too
CELL = 4  # latents per position of z
LEARNING_RATE = 0.012  # of Adam, in steps of quantisation
TEMPERATURES = (0.5, 0.2)  # of the first and the last step
CERTAIN = 1e-4  # how near to an integer a latent is taken to be at most, so that logits stay finite


EFFORT_MAX, DEFAULT_EFFORT, LEAST_EFFORT = 9, 3, 4
"""The last effort, the one of an encoder that is not told otherwise, and the first that searches."""
LEAST_STEPS = 16  # of the first effort that searches; each further one takes twice as many
BIT_PRICE = 1 / 60  # squared steps that a bit may cost when latents are rounded at last


@dataclass(frozen=True)
class Problem:
    """What is searched for: the latents of a picture that are best for `model` at `rate`.

    model: transforms and prior in floating point. pixels: (H, W, 1 or 3) uint8. rate: (1,) rate index.
    """

    model: VLAE
    pixels: NDArray[np.uint8]
    rate: Tensor


@dataclass(frozen=True)
class Choice:
    """Latents (C, h, w) in steps, not rounded, and how many squared steps a bit may cost in rounding them."""

    y: Floats
    bit_price: float

    def part(self, box: Box) -> Floats:
        """The latents of a box."""
        return self.y[:, box.rows, box.columns]


def choices(problem: Problem, y: Floats, effort: int, progress: Progress) -> Iterator[Choice]:
    """Ways to code a picture: those of the efforts that do not search, and what this one finds.

    Args:
        y: what the analysis gives.
        effort: LEAST_EFFORT to EFFORT_MAX.
        progress: is called with the fraction done.
    """
    yield Choice(y, 0.0)
    yield Choice(y, BIT_PRICE)
    # After a search the price of bits is in the latents already: paying it once more while rounding costs 0.1 %.
    yield Choice(refine(problem, y, LEAST_STEPS << effort - LEAST_EFFORT, progress), 0.0)


def refine(problem: Problem, y: Floats, steps: int, progress: Progress) -> Floats:
    """Latents that cost less for what they show, after `steps` steps of gradient descent on each window.

    Args:
        y: (C, h, w) in steps of quantisation, not rounded.
        progress: is called with the fraction done.
    """
    out = torch.from_numpy(y.copy())[None]
    windows = [(segment, box) for segment in tiles.segments(*problem.pixels.shape[:2]) for box in cut(segment)]
    for number, (segment, box) in enumerate(windows):
        window = Window(problem, out, segment, box)
        for step in window.descend(steps):
            progress((number + (step + 1) / steps) / len(windows))
        out[..., box.rows, box.columns] = window.y.detach()
    refined: Floats = out[0].numpy()
    return refined


def cut(segment: Box) -> list[Box]:
    """The windows of a segment."""
    return segment.parts(*(WINDOW if segment.size[1] >= segment.size[0] else WINDOW[::-1]))


class Window:
    """The latents of one box, free to move; those around it are as they are.

    Args:
        around: y of the whole picture, (1, latent, h, w).
        segment: those that the prior knows.
        box: those that move.
    """

    def __init__(self, problem: Problem, around: Tensor, segment: Box, box: Box):
        self.problem = problem
        region = box.grown(HALO, (around.shape[-2], around.shape[-1]))
        self.y = around[..., box.rows, box.columns].clone().requires_grad_()
        self.around = around[..., region.rows, region.columns].clone()
        self.box, self.coded = box.within(region), region.common(segment).within(region)
        pixels = torch.tensor(problem.pixels[region.pixels.rows, region.pixels.columns])
        self.picture = pixels.permute(2, 0, 1)[None].float() / 255 - 0.5
        self.noise = torch.Generator().manual_seed(0)

    def descend(self, steps: int) -> Iterator[int]:
        """Yields the number of each step once it is done."""
        optimizer = torch.optim.Adam([self.y], LEARNING_RATE)
        first, last = TEMPERATURES
        for step in range(steps):
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16(self.y.device)):
                loss = self.cost(first * (last / first) ** (step / steps))
            (self.y.grad,) = torch.autograd.grad(loss, [self.y])
            optimizer.step()
            yield step

    def cost(self, temperature: float) -> Tensor:
        """The Lagrangian in bits, with latents rounded at random."""
        model, rate = self.problem.model, self.problem.rate
        y = self.around.clone()
        y[..., self.box.rows, self.box.columns] = self.y
        coded, bits = self.coding(y[..., self.coded.rows, self.coded.columns], temperature)
        y = y.round()
        y[..., self.coded.rows, self.coded.columns] = coded
        height, width = self.picture.shape[-2:]
        shown = model.synthesis(y.contiguous(memory_format=torch.channels_last), rate)[..., :height, :width]
        if self.picture.shape[1] == 1:
            shown = shown.mean(1, keepdim=True)
        error = (shown - self.picture).square().mean(1).sum() * 255**2
        return bits + model.config.rate_to_lambda(rate).squeeze() * error

    def coding(self, y: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """ŷ (1, latent, h, w) and its bits: as the codec codes it, but for the random rounding and z at its mean."""
        model, rate = self.problem.model, self.problem.rate
        height, width = y.shape[-2:]
        pad = (0, -width % CELL, 0, -height % CELL)
        inside = model.split(F.pad(torch.ones_like(y), pad))
        first, *rest = model.split(F.pad(y, pad))
        groups = [self.rounded(first, temperature) * inside[0]]
        q = model.posterior(groups[0])
        bits = kl_bits(q, model.prior()).sum()
        bits = bits + (interval_bits(groups[0], model.first_likelihood(q.mean, rate)) * inside[0]).sum()
        predict = model.predictor(rate)
        for group, mask in zip(rest, inside[1:], strict=True):
            p = predict(groups[-1])
            groups.append((p.mean + self.rounded(group - p.mean, temperature)) * mask)
            bits = bits + (interval_bits(groups[-1], p) * mask).sum()
        return model.merge(groups)[..., :height, :width], bits

    def rounded(self, x: Tensor, temperature: float) -> Tensor:
        """Between floor and ceiling, nearer to the one that chance prefers; both more so at lower temperatures."""
        below = x.detach().floor()
        share = (x - below).clamp(CERTAIN, 1 - CERTAIN)
        logit = (share.atanh() - (1 - share).atanh()) / temperature
        chance = torch.rand(x.shape, generator=self.noise).clamp(1e-6, 1 - 1e-6).logit()
        return below + ((logit + chance) / temperature).sigmoid()
