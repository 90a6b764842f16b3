"""Better latents from a slower encoder: gradient descent on y through synthesis and prior of the model.

    nudge    y - η·∇ λ·D(synthesis(y), x)                         one step, before anything is rounded
    refine   minimise over y   E[-log2 p(ŷ)] + λ·D(synthesis(ŷ), x),   ŷ_t = μ_t + (y_t - μ_t, rounded at random)

D is the distortion that the model was tuned for, summed over the pixels.

In the search each latent is rounded up or down at random, softly, with a temperature that falls (SGA: Yang, Bamler,
Mandt, 2020, https://arxiv.org/abs/2006.04240). Then group after group is rounded for good, and before each the latents
that still can move go one step down the gradient, to make up for what rounding the groups before did. Pixels and y in,
y out: file format and decoder know nothing of it. Memory does not grow with the picture: it is worked on window by
window, and what lies around a window stays as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vlae_codec import tiles
from vlae_codec.distortion import DISTORTIONS
from vlae_codec.models.blocks import fast_bfloat16
from vlae_codec.models.config import GROUPS
from vlae_codec.models.vlae import VLAE, interval_bits, kl_bits
from vlae_codec.tiles import Box

Floats = NDArray[np.float32]
Progress = Callable[[float], None]
Rounded = Callable[[Tensor], Tensor]

WINDOW = (32, 48)  # latents that are searched at once: a picture of 768x512 pixels, or of 512x768
HALO = 4  # latents around a window whose pixels and bits are counted, too
CELL = 4  # latents per position of z
LEARNING_RATE = 0.012  # of Adam, in steps of quantisation
TEMPERATURES = (0.5, 0.2)  # of the first and the last step
CERTAIN = 1e-4  # how near to an integer a latent is taken to be at most, so that logits stay finite


EFFORT_MAX, DEFAULT_EFFORT = 9, 3
"""The last effort, and the one of an encoder that is not told otherwise."""
NUDGING_EFFORT, LEAST_EFFORT = 3, 4
"""The effort that takes one step, and the first that searches."""
LEAST_STEPS = 32  # of the first effort that searches; each further one takes twice as many
SETTLING = 0.6  # length of the steps while groups are rounded for good, against that of `nudge`
NUDGE_MAX = 0.5  # steps; a picture that the networks have never seen the like of must not be thrown far

SMALL, MOST_CHECKED = 1 << 14, 1 << 22
"""Pixels of pictures whose coding is always compared with plain rounding, and at most of those where it may be."""
NEARLY_EMPTY = 0.04  # bits per pixel


class Rounding(NamedTuple):
    """How latents are rounded without a search, as measured to be best. Of two numbers the first is for rate index 0,
    the second for 1; between them it is log-linear.

    price: squared steps that a bit may cost in rounding what the analysis gives. nudge: squared steps per bit that y
    is nudged by. nudged_price: what a bit may cost in rounding it then.
    """

    price: float
    nudge: tuple[float, float]
    nudged_price: tuple[float, float]


ROUNDINGS = {
    "psnr": Rounding(1 / 80, (0.009, 0.026), (1 / 55, 1 / 20)),
    # MS-SSIM is not a squared error: by how much less a latent may be exact says little about it.
    "ssim": Rounding(0.0, (0.008, 0.01), (1 / 36, 1 / 36)),
}
"""By what a model is tuned for."""


@dataclass(frozen=True)
class Problem:
    """What is searched for: the latents of a picture that are best for `model` at `rate`.

    model: transforms and prior in floating point. pixels: (H, W, 1 or 3) uint8. rate: (1,) rate index.
    tune: what is to be small besides the bits, a key of `DISTORTIONS`.
    """

    model: VLAE
    pixels: NDArray[np.uint8]
    rate: Tensor
    tune: str = "psnr"

    def picture(self, region: Box) -> Tensor:
        """The pixels of a region of latents, (1, 1 or 3, height, width) in ±0.5."""
        pixels = torch.tensor(self.pixels[region.pixels.rows, region.pixels.columns])
        return pixels.permute(2, 0, 1)[None].float() / 255 - 0.5

    def price(self, y: Tensor, picture: Tensor) -> Tensor:
        """λ·D(synthesis(y), picture) in bits, for latents (1, C, h, w) of which the picture may show less."""
        height, width = picture.shape[-2:]
        shown = self.model.synthesis(y.contiguous(memory_format=torch.channels_last), self.rate)[..., :height, :width]
        if picture.shape[1] == 1:
            shown = shown.mean(1, keepdim=True)
        distortion = DISTORTIONS[self.tune](shown, picture).squeeze() * (height * width)
        return self.model.config.rate_to_lambda(self.rate).squeeze() * distortion


@dataclass(frozen=True)
class Choice:
    """Latents (C, h, w) in steps, not rounded, and how many squared steps a bit may cost in rounding them."""

    y: Floats
    bit_price: float

    def part(self, box: Box) -> Floats:
        """The latents of a box."""
        return self.y[:, box.rows, box.columns]


def choices(problem: Problem, y: Floats, nudged: Floats, effort: int, progress: Progress) -> Iterator[Choice]:
    """Ways to code a picture: those of the efforts that do not search, and what this one finds if it does.

    Args:
        y: what the analysis gives. nudged: what `nudge` made of it.
        progress: is called with the fraction done.
    """
    yield Choice(y, 0.0)
    yield Choice(y, bit_price(problem.tune, 1, problem.rate))
    if effort >= NUDGING_EFFORT:
        yield Choice(nudged, bit_price(problem.tune, NUDGING_EFFORT, problem.rate))
    if effort < LEAST_EFFORT:
        return
    # The price of bits is in what was found already.
    yield Choice(refine(problem, nudged, LEAST_STEPS << effort - LEAST_EFFORT, progress), 0.0)


def bit_price(tune: str, effort: int, rate: Tensor) -> float:
    """Squared steps that a bit may cost in rounding at an effort that does not search.

    Args:
        rate: (1,) rate index.
    """
    if effort >= NUDGING_EFFORT:
        return between(ROUNDINGS[tune].nudged_price, float(rate))
    return ROUNDINGS[tune].price if effort else 0.0


def between(ends: tuple[float, float], share: float) -> float:
    """The first number at share 0, the second at 1, log-linear between them."""
    value: float = ends[0] * (ends[1] / ends[0]) ** share
    return value


def doubtful(bits: float, pixels: int) -> bool:
    """Whether it must be looked at if an effort below the searching ones is better than plain rounding.

    It is on photographs, always. Where there is next to nothing to code it need not be; and a picture that is small
    takes next to no time to look at.
    """
    return pixels <= SMALL or (bits < NEARLY_EMPTY * pixels and pixels <= MOST_CHECKED)


def nudge(problem: Problem, y: Floats, seen: Box, box: Box) -> Floats:
    """The latents of a box after one step down the gradient of the error that the synthesis makes of them.

    What the analysis gives is not yet the best for this picture. The windows do not depend on the box, so that neither
    do the latents.

    Args:
        y: (C, rows, columns) of `seen`, which has HALO more latents than the box on each side within the picture.
        box: sides are multiples of a segment's, but for where the picture ends.
    """
    size = tiles.latent_size(*problem.pixels.shape[:2])
    step = between(ROUNDINGS[problem.tune].nudge, float(problem.rate))
    out = y.copy()
    for window in box.parts(tiles.SIDE, tiles.SIDE):
        region = window.grown(HALO, size)
        known, inner = region.within(seen), window.within(region)
        slope = distortion_slope(problem, y[:, known.rows, known.columns], region)[:, inner.rows, inner.columns]
        target = window.within(seen)
        out[:, target.rows, target.columns] -= np.nan_to_num(step * slope).clip(-NUDGE_MAX, NUDGE_MAX)
    kept = box.within(seen)
    return out[:, kept.rows, kept.columns]


def distortion_slope(problem: Problem, y: Floats, region: Box) -> Floats:
    """Derivative of λ·D(synthesis(y), x), in bits, by the latents (C, rows, columns) of a region."""
    # `contiguous` would keep strides that convolutions do not take for channels_last, and run slower by half.
    latents = torch.from_numpy(y)[None].clone(memory_format=torch.channels_last).requires_grad_()
    with differentiable(latents.device):
        bits = problem.price(latents, problem.picture(region))
    slope: Floats = torch.autograd.grad(bits, latents)[0][0].numpy()
    return slope


@contextmanager
def differentiable(device: torch.device) -> Iterator[None]:
    """With gradients, in bfloat16 where that is fast."""
    with torch.enable_grad(), torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
        yield


def refine(problem: Problem, y: Floats, steps: int, progress: Progress) -> Floats:
    """Latents that cost less for what they show, after `steps` steps of gradient descent on each window.

    Args:
        y: (C, h, w) in steps of quantisation, not rounded.
        progress: is called with the fraction done.
    Returns:
        (C, h, w), rounded about what the prior in floating point predicts.
    """
    out = torch.from_numpy(y.copy())[None]
    windows = [(segment, box) for segment in tiles.segments(*problem.pixels.shape[:2]) for box in cut(segment)]
    for number, (segment, box) in enumerate(windows):
        window = Window(problem, out, segment, box)
        for done, _ in enumerate(chain(window.descend(steps), window.settle()), 1):
            progress((number + done / (steps + GROUPS)) / len(windows))
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
        self.picture = problem.picture(region)
        height, width = self.coded.size
        self.pad = (0, -width % CELL, 0, -height % CELL)
        self.inside = problem.model.split(F.pad(torch.ones(1, around.shape[1], height, width), self.pad))
        self.noise = torch.Generator().manual_seed(0)

    def descend(self, steps: int) -> Iterator[None]:
        """Move down the slope of what random rounding gives; yields after each step."""
        optimizer = torch.optim.Adam([self.y], LEARNING_RATE)
        for step in range(steps):
            self.y.grad = self.slope(partial(self.rounded, temperature=between(TEMPERATURES, step / steps)), [])
            optimizer.step()
            yield

    def settle(self) -> Iterator[None]:
        """Round group after group, those that can still move making up for it; yields after each."""
        problem, settled = self.problem, list[Tensor]()
        step = SETTLING * between(ROUNDINGS[problem.tune].nudge, float(problem.rate))
        predict = problem.model.predictor(problem.rate)  # in float32, near enough to the codec's integers
        for number, inside in enumerate(self.inside):
            slope = self.slope(lambda x: x, settled)
            with torch.no_grad():
                self.y -= (step * slope).clamp(-NUDGE_MAX, NUDGE_MAX)
                group = self.groups(self.latents())[number]
                mean = predict(settled[-1]).mean if settled else torch.zeros_like(group)
                settled.append((mean + (group - mean).round()) * inside)
            yield
        inner = self.box.within(self.coded)
        self.y = self.merged(settled)[..., inner.rows, inner.columns]

    def slope(self, rounded: Rounded, settled: Sequence[Tensor]) -> Tensor:
        """Derivative of the Lagrangian in bits by the latents of the box."""
        with differentiable(self.y.device):
            cost = self.cost(rounded, settled)
        return torch.autograd.grad(cost, self.y)[0].nan_to_num()  # MS-SSIM has no slope where it is 0

    def cost(self, rounded: Rounded, settled: Sequence[Tensor]) -> Tensor:
        """The Lagrangian in bits.

        Args:
            rounded: what becomes of the distance of latents from their mean.
            settled: ŷ of the first groups, as many as are rounded for good.
        """
        y = self.latents()
        kept, bits = self.coding(y, rounded, settled)
        y = y.round()
        y[..., self.coded.rows, self.coded.columns] = self.merged(kept)
        return bits + self.problem.price(y, self.picture)

    def coding(self, y: Tensor, rounded: Rounded, settled: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Groups of ŷ and their bits: as the codec codes them, but for the rounding and z at its mean."""
        model, rate = self.problem.model, self.problem.rate
        first, *rest = self.groups(y)
        kept = [settled[0] if settled else rounded(first) * self.inside[0]]
        q = model.posterior(kept[0])
        bits = kl_bits(q, model.prior()).sum()
        bits = bits + (interval_bits(kept[0], model.first_likelihood(q.mean, rate)) * self.inside[0]).sum()
        predict = model.predictor(rate)
        for number, (group, inside) in enumerate(zip(rest, self.inside[1:], strict=True), 1):
            p = predict(kept[-1])
            free = number >= len(settled)
            kept.append((p.mean + rounded(group - p.mean)) * inside if free else settled[number])
            bits = bits + (interval_bits(kept[-1], p) * inside).sum()
        return kept, bits

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
