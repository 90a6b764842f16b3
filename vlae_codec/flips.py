"""Flips: rounded latents moved to the integer above or below where that is seen to lower R + λ·D.

What gradient descent leaves, as it knows only what a small change of a latent does. Slope and bits say which latent of
each cell is worth a try; cells that lie far enough from each other are tried at once, and each try is judged by what
becomes of the bits and the error around it.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import tiles
from vlae_codec.models.vlae import Logistic, interval_bits, kl_bits
from vlae_codec.problem import Problem, differentiable
from vlae_codec.relaxation import CURVATURE
from vlae_codec.search import WINDOW, Window, cut

Floats = NDArray[np.float32]
Progress = Callable[[float], None]

CELL = 32  # pixels: 2x2 latents, which all groups have a part of
APART = 2  # cells; one of so many is tried at a time, in both directions
AROUND = 1  # cells about one that is tried in which it is judged
AFTERMATH = 15.0, 12.0, 12.0, 4.0, 2.0, 0.0, 0.0  # bits that a flip in a group costs besides, about
WORTH_TRYING, WORTH_KEEPING = 6.0, -0.05  # bits at most: expected before a flip, found after it


class Coded(NamedTuple):
    """Groups of ŷ, what each was predicted as, and bits + λ·D of each cell, (1, 1, rows, columns)."""

    groups: list[Tensor]
    predicted: list[Logistic]
    costs: Tensor


def flipped(problem: Problem, y: Floats, sweeps: int, progress: Progress) -> Floats:
    """Latents of a whole picture that cost less for what they show. Each window sees what those before it became.

    Args:
        problem: tuned for the squared error, which is a sum over cells.
        y: (C, h, w), not rounded or rounded.
        sweeps: that many latents of each cell are tried at most.
        progress: is called with the fraction done.
    """
    whole = tiles.whole(*problem.pixels.shape[:2])
    found = torch.from_numpy(y.copy())[None]
    windows = [(segment, part) for segment in whole.parts(tiles.SIDE, tiles.SIDE) for part in cut(segment, WINDOW)]
    for number, (segment, part) in enumerate(windows):
        flips = Flips(Window(problem, found, whole, segment, part))
        for sweep in range(sweeps):
            flips.sweep()
            progress((number + (sweep + 1) / sweeps) / len(windows))
        found[..., part.rows, part.columns] = flips.found()
    latents: Floats = found[0].numpy()
    return latents


class Flips:
    """The latents of a window, rounded, of which some are flipped."""

    def __init__(self, window: Window):
        self.window, self.problem = window, window.problem
        self.shown = window.latents().detach()
        movable = torch.zeros_like(self.shown)
        movable[..., window.box.rows, window.box.columns] = 1
        groups = window.groups(movable)
        self.untried = torch.cat([group * inside for group, inside in zip(groups, window.inside, strict=True)], 1)
        self.untried = self.untried.bool().repeat(2, 1, 1, 1)  # (down and up, channels, rows, columns)
        self.now = self.coded(window.groups(self.shown))

    def sweep(self) -> None:
        """Try the most promising flip of each cell that has not been tried."""
        self.now = self.coded(self.now.groups)
        expected, which = self.expected().flatten(0, 1).min(0)
        for row, column in product(range(APART), repeat=2):
            chosen = torch.zeros_like(expected, dtype=torch.bool)
            chosen[row::APART, column::APART] = True
            chosen &= expected < WORTH_TRYING
            if chosen.any():
                self.attempt(which, chosen)

    def expected(self) -> Tensor:
        """About what each flip will change R + λ·D by: (down and up, channels, rows, columns), in bits."""
        y = self.region(self.now.groups).requires_grad_()
        with differentiable(y.device):
            error = self.problem.price(y, self.window.picture)
        slopes = self.window.groups(torch.autograd.grad(error, y)[0])
        changes = [
            torch.cat([interval_bits(k + step, p) + step * slope for step in (-1, 1)]) - interval_bits(k, p) + aftermath
            for k, p, slope, aftermath in zip(self.now.groups, self.now.predicted, slopes, AFTERMATH, strict=True)
        ]
        return (torch.cat(changes, 1) + CURVATURE / 2).masked_fill(~self.untried, torch.inf)

    def attempt(self, which: Tensor, chosen: Tensor) -> None:
        """Flip a latent in each of the chosen cells, and keep what has become better.

        Args:
            which: (rows, columns), the flip of each cell as a position in those of its channels, down and then up.
            chosen: (rows, columns), whether it is tried.
        """
        tried = torch.zeros_like(self.untried).flatten(0, 1).scatter_(0, which[None], chosen[None])
        down, up = tried.view_as(self.untried)
        self.untried &= ~torch.stack([down, up])
        steps = (up.float() - down.float())[None].split([group.shape[1] for group in self.now.groups], 1)
        found = self.coded([group + step for group, step in zip(self.now.groups, steps, strict=True)])
        side = 2 * AROUND + 1
        change = F.avg_pool2d(found.costs - self.now.costs, side, 1, AROUND, divisor_override=1)
        better = F.max_pool2d((chosen & (change < WORTH_KEEPING)).float(), side, 1, AROUND).bool()
        groups = [torch.where(better, *pair) for pair in zip(found.groups, self.now.groups, strict=True)]
        self.now = Coded(groups, self.now.predicted, torch.where(better, found.costs, self.now.costs))

    def coded(self, y: Sequence[Tensor]) -> Coded:
        """Groups of latents, rounded, and what they cost: as the codec rounds and codes them, but for z at its mean."""
        model, rate, inside = self.problem.model, self.problem.rate, self.window.inside
        groups = [y[0].round() * inside[0]]
        q = model.posterior(groups[0])
        predict, predicted = model.predictor(rate), [model.first_likelihood(q.mean, rate)]
        for group, exists in zip(y[1:], inside[1:], strict=True):
            p = predict(groups[-1])
            groups.append((p.mean + (group - p.mean).round()) * exists)
            predicted.append(p)
        costs = F.interpolate(kl_bits(q, model.prior()).sum(1, keepdim=True), scale_factor=2) / 4
        for group, p, exists in zip(groups, predicted, inside, strict=True):
            costs = costs + (interval_bits(group, p) * exists).sum(1, keepdim=True)
        return Coded(groups, predicted, costs + self.errors(groups))

    def errors(self, groups: Sequence[Tensor]) -> Tensor:
        """λ·D of each cell in bits, (1, 1, rows, columns)."""
        problem, picture, coded = self.problem, self.window.picture, self.window.coded.pixels
        height, width = picture.shape[-2:]
        shown = problem.model.synthesis(self.region(groups), problem.rate)[..., :height, :width]
        if picture.shape[1] == 1:
            shown = shown.mean(1, keepdim=True)
        errors = (shown - picture).square().mean(1, keepdim=True)[..., coded.rows, coded.columns] * 255**2
        rows, columns = (CELL * side for side in groups[0].shape[-2:])
        errors = F.pad(errors, (0, columns - errors.shape[-1], 0, rows - errors.shape[-2]))
        weight = problem.model.config.rate_to_lambda(problem.rate)
        return weight * F.avg_pool2d(errors, CELL, divisor_override=1)

    def region(self, groups: Sequence[Tensor]) -> Tensor:
        """ŷ of all that the window sees, (1, latent, rows, columns)."""
        y = self.shown.round()
        y[..., self.window.coded.rows, self.window.coded.columns] = self.window.merged(groups)
        return y

    def found(self) -> Tensor:
        """The latents of the box as they are now, (1, latent, rows, columns)."""
        inner = self.window.box.within(self.window.coded)
        return self.window.merged(self.now.groups)[..., inner.rows, inner.columns]
