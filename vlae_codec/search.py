"""A search for better latents: gradient descent on y through synthesis and prior of the model, window by window.

    minimise over y   E[-log2 p(ŷ)] + λ·D(synthesis(ŷ), x),   ŷ_t = μ_t + (y_t - μ_t, rounded at random)

Each latent is rounded up or down at random, softly, with a temperature that falls (SGA: Yang, Bamler, Mandt, 2020,
https://arxiv.org/abs/2006.04240). Then part after part is rounded for good, a sixteenth of the latents each, and before
each the latents that still can move go one step down the gradient, to make up for what rounding the parts before did.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import tiles
from vlae_codec.limits import keeping_memory
from vlae_codec.models.vlae import interval_bits, kl_bits
from vlae_codec.problem import HALO, NUDGE_MAX, ROUNDINGS, Problem, between, differentiable
from vlae_codec.tiles import Box

Floats = NDArray[np.float32]
Progress = Callable[[float], None]
Rounded = Callable[[Tensor], Tensor]

WINDOW = (32, 48)  # latents that are searched at once: a picture of 768x512 pixels, or of 512x768
CELL = 4  # latents per position of z
LEARNING_RATE = 0.012  # of Adam, in steps of quantisation
TEMPERATURES = (0.5, 0.2)  # of the first and the last step
PARTS = (1, 1, 1, 1, 4, 4, 4)  # that groups are rounded for good in: all parts are equally large
SETTLING_STEPS = sum(PARTS)
SETTLING = 0.6  # length of the steps in doing so, against that of `refine.nudge`
CERTAIN = 1e-4  # how near to an integer a latent is taken to be at most, so that logits stay finite


def search(problem: Problem, y: Floats, steps: int, progress: Progress) -> Floats:
    """Latents that cost less for what they show, after `steps` steps of gradient descent on each window.

    Args:
        y: (C, h, w) in steps of quantisation, not rounded.
        steps: of which SETTLING_STEPS are for rounding.
        progress: is called with the fraction done.
    Returns:
        (C, h, w), rounded about what the prior in floating point predicts.
    """
    out = torch.from_numpy(y.copy())[None]
    windows = [(segment, box) for segment in tiles.segments(*problem.pixels.shape[:2]) for box in cut(segment)]
    for number, (segment, box) in enumerate(windows):
        window = Window(problem, out, segment, box)
        with keeping_memory():
            for done, _ in enumerate(chain(window.descend(steps - SETTLING_STEPS), window.settle()), 1):
                progress((number + done / steps) / len(windows))
        out[..., box.rows, box.columns] = window.y.detach()
    found: Floats = out[0].numpy()
    return found


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
        self.picture = problem.picture(region)
        height, width = self.coded.size
        self.pad = (0, -width % CELL, 0, -height % CELL)
        self.inside = problem.model.split(F.pad(torch.ones(1, around.shape[1], height, width), self.pad))
        self.noise = torch.Generator().manual_seed(0)
        self.free = [torch.ones(1, inside.shape[1], 1, 1, dtype=torch.bool) for inside in self.inside]
        self.settled = [torch.zeros_like(inside) for inside in self.inside]

    def descend(self, steps: int) -> Iterator[None]:
        """Move down the slope of what random rounding gives; yields after each step."""
        optimizer = torch.optim.Adam([self.y], LEARNING_RATE)
        for step in range(steps):
            self.y.grad = self.slope(partial(self.rounded, temperature=between(TEMPERATURES, step / steps)))
            optimizer.step()
            yield

    def settle(self) -> Iterator[None]:
        """Round part after part, those that can still move making up for it; yields after each."""
        problem, mean = self.problem, torch.zeros_like(self.inside[0])
        step = SETTLING * between(ROUNDINGS[problem.tune].nudge, float(problem.rate))
        predict = problem.model.predictor(problem.rate)  # in float32, near enough to the codec's integers
        for number, parts in enumerate(PARTS):
            if number:
                mean = predict(self.settled[number - 1]).mean
            for part in range(parts):
                slope = self.slope(lambda x: x)
                with torch.no_grad():
                    self.y -= (step * slope).clamp(-NUDGE_MAX, NUDGE_MAX)
                self.settle_part(number, slice(part, None, parts), mean)
                yield
        inner = self.box.within(self.coded)
        self.y = self.merged(self.settled)[..., inner.rows, inner.columns]

    def settle_part(self, number: int, channels: slice, mean: Tensor) -> None:
        """Round channels of a group about their mean for good."""
        distance = self.groups(self.latents())[number].detach() - mean
        rounded = (mean + distance.round()) * self.inside[number]
        self.settled[number][:, channels] = rounded[:, channels]
        self.free[number][:, channels] = False

    def slope(self, rounded: Rounded) -> Tensor:
        """Derivative of the Lagrangian in bits by the latents of the box.

        Args:
            rounded: what becomes of the distance of latents from their mean, unless they are rounded for good.
        """
        with differentiable(self.y.device):
            cost = self.cost(rounded)
        return torch.autograd.grad(cost, self.y)[0].nan_to_num()  # MS-SSIM has no slope where it is 0

    def cost(self, rounded: Rounded) -> Tensor:
        """The Lagrangian in bits."""
        y = self.latents()
        kept, bits = self.coding(y, rounded)
        y = y.round()
        y[..., self.coded.rows, self.coded.columns] = self.merged(kept)
        return bits + self.problem.price(y, self.picture)

    def coding(self, y: Tensor, rounded: Rounded) -> tuple[list[Tensor], Tensor]:
        """Groups of ŷ and their bits: as the codec codes them, but for the rounding and z at its mean."""
        model, rate = self.problem.model, self.problem.rate
        first, *rest = self.groups(y)
        kept = [self.kept(0, rounded(first))]
        q = model.posterior(kept[0])
        bits = kl_bits(q, model.prior()).sum()
        bits = bits + (interval_bits(kept[0], model.first_likelihood(q.mean, rate)) * self.inside[0]).sum()
        predict = model.predictor(rate)
        for number, group in enumerate(rest, 1):
            p = predict(kept[-1])
            kept.append(self.kept(number, p.mean + rounded(group - p.mean)))
            bits = bits + (interval_bits(kept[-1], p) * self.inside[number]).sum()
        return kept, bits

    def kept(self, number: int, moving: Tensor) -> Tensor:
        """A group of ŷ, of what it would be if it could all move."""
        return torch.where(self.free[number], moving * self.inside[number], self.settled[number])

    def latents(self) -> Tensor:
        """y of the region, (1, latent, rows, columns)."""
        y = self.around.clone()
        y[..., self.box.rows, self.box.columns] = self.y
        return y

    def groups(self, y: Tensor) -> list[Tensor]:
        """Of the latents that are coded."""
        return self.problem.model.split(F.pad(y[..., self.coded.rows, self.coded.columns], self.pad))

    def merged(self, groups: Sequence[Tensor]) -> Tensor:
        """Undo `groups`."""
        height, width = self.coded.size
        return self.problem.model.merge(groups)[..., :height, :width]

    def rounded(self, x: Tensor, temperature: float) -> Tensor:
        """Between floor and ceiling, nearer to the one that chance prefers; both more so at lower temperatures."""
        below = x.detach().floor()
        share = (x - below).clamp(CERTAIN, 1 - CERTAIN)
        logit = (share.atanh() - (1 - share).atanh()) / temperature
        chance = torch.rand(x.shape, generator=self.noise).clamp(1e-6, 1 - 1e-6).logit()
        return below + ((logit + chance) / temperature).sigmoid()
