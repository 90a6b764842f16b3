"""A search for better latents: gradient descent on y through synthesis and prior of the model, window by window.

    minimise over y   E[-log2 p(ŷ) + λ·D(synthesis(ŷ), x)],   ŷ_t = μ_t + (y_t - μ_t, rounded at random)

Rounding at random has y as its mean: up with a probability that is the distance from the integer below. What it does to
the expectation is mostly known without drawing (`AtRandom`), so that the gradient has little noise, and a few steps go
far. Then part after part is rounded for good, and before each the latents that still can move go one step down the
gradient, to make up for what rounding the parts before did; the first step makes up for some of what rounding is still
to do (`Foreseeing`), and the last part is left to the codec. A short search is nothing but this, in few parts.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import count, islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import tiles
from vlae_codec.limits import keep_memory
from vlae_codec.models.vlae import Logistic, interval_bits, kl_bits
from vlae_codec.problem import HALO, NUDGE_MAX, ROUNDINGS, Problem, between, differentiable
from vlae_codec.relaxation import AsTheyAre, AtRandom, Foreseeing, Relaxation
from vlae_codec.tiles import Box

Floats = NDArray[np.float32]
Progress = Callable[[float], None]

CELL = 4  # latents per position of z
LEARNING_RATES = (0.02, 0.045)  # of Adam for the first steps, in steps of quantisation, at rate index 0 and 1
BETAS = (0.6, 0.97)  # of Adam; short, as there is little noise in the gradient


class Search(NamedTuple):
    """How long to search, and for how many latents at once.

    at_random: steps of rounding at random. parts: that each group is then rounded for good in, with a step before each
    part; 0 for a group that is rounded together with the one before it. first_step, step: length of the first of those
    and of the others, in squared steps of quantisation per bit. bit_price: squared steps that a bit may cost in
    rounding. window: rows and columns of latents, or columns and rows of upright pictures.
    """

    at_random: int
    parts: tuple[int, ...]
    first_step: float | Tensor
    step: float | Tensor
    bit_price: float | Tensor
    window: tuple[int, int]

    def rounds(self) -> list[list[tuple[int, slice]]]:
        """What each part is: groups, and channels of them."""
        parts: list[list[tuple[int, slice]]] = []
        for number, cuts in enumerate(self.parts):
            parts += [[(number, slice(part, None, cuts))] for part in range(cuts)]
            if not cuts:
                parts[-1].append((number, slice(None)))
        return parts


HALVES, QUARTERS, EIGHTHS = (1, 0, 0, 0, 0, 1, 0), (1, 0, 0, 0, 1, 1, 1), (1, 0, 1, 0, 2, 2, 2)
"""Equal parts of the latents."""
FIRST_STEP = 0.013  # of a long search before the first part, squared steps per bit
WINDOW = 32, 48  # latents
STEP = 0.9  # before the others, against that of `refine.nudge`


def quick(problem: Problem) -> Search:
    """Two steps."""
    rounding, rate = ROUNDINGS[problem.tune], problem.rate[:, None, None, None]
    steps = between(rounding.first_half, rate), between(rounding.second_half, rate)
    price = between(rounding.halves_price, rate)
    return Search(0, HALVES, *steps, price, (tiles.SIDE // 2, tiles.SIDE))


def long(problem: Problem, at_random: int, parts: tuple[int, ...]) -> Search:
    """At random for so many steps, then in these parts; windows are 768x512 or 512x768 pixels."""
    step = between(ROUNDINGS[problem.tune].nudge, float(problem.rate))
    return Search(at_random, parts, FIRST_STEP, STEP * step, 0.0, WINDOW)


def total_steps(ways: Sequence[Search]) -> int:
    """Of gradient descent on each window, for searches that are one descent."""
    return ways[-1].at_random + sum(sum(how.parts) for how in ways)


def search(
    problem: Problem, y: Floats, seen: Box, box: Box, ways: Sequence[Search], progress: Progress
) -> list[Floats]:
    """Latents of a box that cost less for what they show. No window knows what another found, nor the box.

    All ways come from one descent, so that a longer one finds what those before it do, too.

    Args:
        y: (C, rows, columns) of `seen` in steps of quantisation, not rounded; `seen` has HALO more latents than the box
            on each side within the picture.
        box: begins where a segment does, and ends where one does or the picture.
        ways: have the same window; each as many steps at random as those before it, or more.
        progress: is called with the fraction done.
    Returns:
        What each way finds, (C, rows, columns): all but the last part rounded about what the prior in floating point
        predicts.
    """
    keep_memory()
    around, found = torch.from_numpy(y)[None], [y.copy() for _ in ways]
    boxes = [(segment, part) for segment in box.parts(tiles.SIDE, tiles.SIDE) for part in cut(segment, ways[0].window)]
    done = (step / total_steps(ways) / len(boxes) for step in count(1))
    for segment, part in boxes:
        target, taken = part.within(seen), 0
        window = Window(problem, around, seen, segment, part)
        descent = window.descend()
        for out, how in zip(found, ways, strict=True):
            for _ in islice(descent, how.at_random - taken):
                progress(next(done))
            taken = how.at_random
            branch = window.branch()
            for _ in branch.settle(how):
                progress(next(done))
            out[:, target.rows, target.columns] = branch.found()[0]
    inner = box.within(seen)
    return [out[:, inner.rows, inner.columns] for out in found]


def cut(segment: Box, window: tuple[int, int]) -> list[Box]:
    """The windows of a segment."""
    return segment.parts(*(window if segment.size[1] >= segment.size[0] else window[::-1]))


class Window:
    """The latents of one box, free to move; those around it are as they are. Of one picture or of several.

    Args:
        around: y of `seen`, (B, latent, rows, columns).
        segment: those that the prior knows.
        box: those that move.
    """

    def __init__(self, problem: Problem, around: Tensor, seen: Box, segment: Box, box: Box):
        self.problem = problem
        region = box.grown(HALO, problem.size)
        known, moving = region.within(seen), box.within(seen)
        self.y = around[..., moving.rows, moving.columns].clone().requires_grad_()
        self.around = around[..., known.rows, known.columns].clone()
        self.box, self.coded = box.within(region), region.common(segment).within(region)
        self.picture = problem.picture(region)
        height, width = self.coded.size
        self.pad = (0, -width % CELL, 0, -height % CELL)
        self.inside = problem.model.split(F.pad(around.new_ones(1, around.shape[1], height, width), self.pad))
        self.unsettle()

    def unsettle(self) -> None:
        """Let all latents move."""
        self.free = [torch.ones_like(inside[..., :1, :1], dtype=torch.bool) for inside in self.inside]
        self.settled = [inside.new_zeros(len(self.y), *inside.shape[1:]) for inside in self.inside]
        self.predict = self.problem.model.predictor(self.problem.rate)
        self.predicted: list[Logistic] = []  # groups from 1 to the last that anything is settled of

    def branch(self) -> "Window":
        """Another window of the same latents, which can be settled while this one goes on."""
        other = copy(self)
        other.y = self.y.detach().clone().requires_grad_()
        other.unsettle()
        return other

    def descend(self) -> Iterator[None]:
        """Move down the slope of what rounding at random gives, for as long as one wants; yields after each step."""
        optimizer, relaxation = torch.optim.Adam([self.y], betas=BETAS), AtRandom()
        for step in count(1):
            optimizer.param_groups[0]["lr"] = self.learning_rate(step)
            self.y.grad = self.slope(relaxation)
            optimizer.step()
            yield

    def learning_rate(self, step: int) -> float:
        """Of a step: the way that latents can go grows more slowly than the number of steps."""
        return between(LEARNING_RATES, float(self.problem.rate)) * min(1.0, math.pow(17 / step, 0.3))

    def settle(self, how: Search) -> Iterator[None]:
        """Round part after part but the last, those that can still move making up for it; yields after each step."""
        *parts, _ = how.rounds()
        self.move(how.first_step, Foreseeing())
        for part in parts:
            for number, channels in part:
                self.settle_part(number, channels, how.bit_price)
            yield
            self.move(how.step, AsTheyAre())
        yield

    def move(self, step: float | Tensor, relaxation: Relaxation) -> None:
        """One step down the slope."""
        slope = self.slope(relaxation)
        with torch.no_grad():
            self.y -= (step * slope).clamp(-NUDGE_MAX, NUDGE_MAX)

    @torch.no_grad()
    def settle_part(self, number: int, channels: slice, bit_price: float | Tensor) -> None:
        """Round channels of a group for good: about their mean in float32, which is near enough to the codec's."""
        y = self.groups(self.latents())[number].detach()
        if number > len(self.predicted):
            self.predicted.append(self.predict(self.settled[number - 1]))
        rounded = rounded_cheaply(y, self.predicted[number - 1], bit_price) if number else y.round()
        self.settled[number][:, channels] = (rounded * self.inside[number])[:, channels]
        self.free[number][:, channels] = False

    def found(self) -> Tensor:
        """The latents of the box as they are now, (B, latent, rows, columns)."""
        inner, groups = self.box.within(self.coded), self.groups(self.latents().detach())
        kept = self.merged([self.kept(number, group) for number, group in enumerate(groups)])
        return kept[..., inner.rows, inner.columns]

    def slope(self, relaxation: Relaxation) -> Tensor:
        """Derivative of the Lagrangian in bits by the latents of the box."""
        with differentiable(self.y.device):
            cost = self.cost(relaxation)
        return torch.autograd.grad(cost, self.y)[0].nan_to_num()  # MS-SSIM has no slope where it is 0

    def cost(self, relaxation: Relaxation) -> Tensor:
        """The Lagrangian in bits."""
        y = self.latents()
        kept, bits = self.coding(y, relaxation)
        y = y.round()
        y[..., self.coded.rows, self.coded.columns] = self.merged(kept)
        return bits + self.problem.price(y, self.picture)

    def coding(self, y: Tensor, relaxation: Relaxation) -> tuple[list[Tensor], Tensor]:
        """Groups of ŷ, and bits of those that still can move: as the codec codes them, but for the rounding and z at
        its mean."""
        first, *rest = self.groups(y)
        kept, bits = [self.kept(0, relaxation.shown(first, 0))], torch.zeros(())
        if self.moves(0):
            model = self.problem.model
            q = model.posterior(kept[0])
            p = model.first_likelihood(q.mean, self.problem.rate)
            bits = kl_bits(q, model.prior()).sum()
            bits = bits + (relaxation.bits(kept[0], first, torch.zeros(()), p) * self.inside[0]).sum()
        predict = copy(self.predict)
        for number, group in enumerate(rest, 1):
            p = self.predicted[number - 1] if number <= len(self.predicted) else predict(kept[-1])
            x = group - p.mean
            kept.append(self.kept(number, p.mean + relaxation.shown(x, number)))
            if self.moves(number):
                bits = bits + (relaxation.bits(kept[-1], x, p.mean, p) * self.inside[number]).sum()
        return kept, bits

    def kept(self, number: int, moving: Tensor) -> Tensor:
        """A group of ŷ, of what it would be if it could all move."""
        if not self.moves(number):  # without this, the slope would be sought through all that it was predicted by
            return self.settled[number]
        return torch.where(self.free[number], moving * self.inside[number], self.settled[number])

    def moves(self, number: int) -> bool:
        """Whether any of a group still can move."""
        return bool(self.free[number].any())

    def latents(self) -> Tensor:
        """y of the region, (B, latent, rows, columns)."""
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


def rounded_cheaply(y: Tensor, p: Logistic, bit_price: float | Tensor) -> Tensor:
    """`bitsback.rounded_cheaply` of latents in floating point, and the mean added again."""
    x = y - p.mean
    nearest = x.round()
    lower = nearest - nearest.sign()
    saved = interval_bits(p.mean + nearest, p) - interval_bits(p.mean + lower, p)
    cheaper = (x.abs() < nearest.abs()) & (1 - 2 * (nearest - x).abs() < bit_price * saved)
    return p.mean + torch.where(cheaper, lower, nearest)
