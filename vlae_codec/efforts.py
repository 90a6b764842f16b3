"""Latents of a picture: what each effort of the encoder makes of its pixels.

Pixels in, y out, of any box of latents: a picture is worked on tile by tile, with halos, and gives the same latents as
if it were not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vlae_codec import refine, tiles, transforms
from vlae_codec.models import Model
from vlae_codec.models.blocks import fast_bfloat16
from vlae_codec.models.floating import floating
from vlae_codec.models.vlae import VLAE
from vlae_codec.problem import HALO, Problem
from vlae_codec.refine import Choice
from vlae_codec.tiles import Box
from vlae_codec.timing import Stopwatch

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Progress = Callable[[float], None]
Latents = Callable[[Box], Floats]
"""Gives y (C, rows, columns) of a box, in steps, not yet rounded to what the codec's prior predicts."""


@dataclass(frozen=True)
class Source:
    """Latents of a picture at a quality in tenths: y (C, rows, columns) of a box, in steps, not rounded.

    precision: of the analysis.
    """

    model: Model
    pixels: Pixels
    level: int
    precision: torch.dtype
    watch: Stopwatch

    @property
    def whole(self) -> Box:
        """All latents."""
        return tiles.whole(*self.pixels.shape[:2])

    def latents(self, effort: int) -> Latents:
        """Those of an effort that does not search for long."""
        if effort < refine.NUDGING_EFFORT:
            return self.analysed
        return self.nudged if effort == refine.NUDGING_EFFORT else self.settled

    def analysed(self, box: Box) -> Floats:
        """What the analysis gives."""
        return self._analysed(box, self.precision)

    def nudged(self, box: Box) -> Floats:
        """After one step towards less error."""
        y, seen = self._around(box)
        with self.watch("nudge"):
            return refine.nudge(self.problem(self.model.transforms), y, seen, box)

    def settled(self, box: Box) -> Floats:
        """Half of them rounded, the others after a step that makes up for it."""
        y, seen = self._around(box)
        with self.watch("search"):
            return refine.settle(self.problem(floating(self.model)), y, seen, box)

    def _around(self, box: Box) -> tuple[Floats, Box]:
        """What the analysis gives for a box and its halo: in bfloat16, which the steps to come make up for."""
        seen = box.grown(HALO, self.whole.size)
        return self._analysed(seen, torch.bfloat16 if fast_bfloat16(torch.device("cpu")) else self.precision), seen

    def bit_price(self, effort: int) -> float:
        """Squared steps that a bit may cost in rounding latents of an effort."""
        return refine.bit_price(self.model.tune, effort, transforms.rate_index(self.level))

    def choice(self, y: Floats, effort: int) -> Choice:
        """Latents of an effort, and how it rounds them."""
        return Choice(y, self.bit_price(effort))

    def problem(self, networks: VLAE) -> Problem:
        """What is searched for, of these networks of the model."""
        return Problem(networks, self.pixels, transforms.rate_index(self.level), self.model.tune)

    def _analysed(self, box: Box, precision: torch.dtype) -> Floats:
        seen = box.grown(self.model.transforms.config.analysis_halo, self.whole.size)
        with self.watch("analysis"):
            y = transforms.analyse(
                self.model, self.pixels[seen.pixels.rows, seen.pixels.columns], self.level, precision
            )
        inner = box.within(seen)
        return y[:, inner.rows, inner.columns]


def candidates(source: Source, effort: int, progress: Progress) -> Iterator[Choice]:
    """What each effort up to this one finds."""
    y = all_of(source.analysed, source)
    for tried in range(min(effort + 1, refine.NUDGING_EFFORT)):
        yield source.choice(y, tried)
    if effort >= refine.NUDGING_EFFORT:
        y = all_of(source.nudged, source)
        yield source.choice(y, refine.NUDGING_EFFORT)
    if effort >= refine.HALVES_EFFORT:
        yield source.choice(all_of(source.settled, source), refine.HALVES_EFFORT)
    if effort >= refine.LONG_EFFORT:
        with source.watch("search"):
            found = refine.search_long(source.problem(floating(source.model)), y, effort, progress)
        yield from (source.choice(latents, effort) for latents in found)


def all_of(latents: Latents, source: Source) -> Floats:
    """The latents of the whole picture (C, h, w), made tile by tile."""
    y = np.empty((source.model.prior.latent, *source.whole.size), np.float32)
    for tile in source.whole.parts(tiles.TILE, tiles.TILE):
        y[:, tile.rows, tile.columns] = latents(tile)
    return y
