from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from vlae_codec import codec, efforts, flips, models, refine, search, tiles, transforms
from vlae_codec.flips import Flips
from vlae_codec.images import Picture
from vlae_codec.models.floating import floating
from vlae_codec.problem import Problem
from vlae_codec.refine import Choice
from vlae_codec.tiles import Box
from vlae_codec.timing import Stopwatch

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
LEVEL = 200


def begun(model: models.Model, pixels: Pixels, part: Box | None = None) -> tuple[Flips, Floats]:
    """Flips of what the analysis gives, and that; of a part of the latents or of all."""
    problem = Problem(floating(model), pixels, transforms.rate_index(LEVEL))
    whole = tiles.whole(*pixels.shape[:2])
    with torch.no_grad():
        y = transforms.analyse(model, pixels, LEVEL, torch.float32)
        return Flips(search.Window(problem, torch.from_numpy(y)[None], whole, whole, part or whole)), y


def lagrangian(model: models.Model, pixels: Pixels, y: Floats) -> float:
    with torch.no_grad():
        return codec.lagrangian(model, pixels, Choice(y, 0.0), LEVEL)


@pytest.mark.parametrize(("height", "width", "channels"), [(128, 128, 3), (100, 120, 3), (33, 50, 1), (1, 1, 3)])
def test_cells_add_up_to_what_the_codec_counts(
    use_small_model: models.Model, photo: Pixels, height: int, width: int, channels: int
) -> None:
    pixels = np.ascontiguousarray(photo[:height, :width, :channels])
    found, y = begun(use_small_model, pixels)
    assert float(found.now.costs.sum()) == pytest.approx(lagrangian(use_small_model, pixels, y), rel=0.02)


def test_flips_are_worth_bits_after_a_search(photo: Pixels) -> None:
    pixels, model = np.ascontiguousarray(photo[100:228, 200:328]), models.load()
    source = efforts.Source(model, pixels, LEVEL, torch.float32, Stopwatch(None))
    problem = source.problem(floating(model))
    with torch.no_grad():
        (searched,) = refine.search_long(problem, efforts.all_of(source.nudged, source), 4, lambda done: None)
        found = flips.flipped(problem, searched, 8, lambda done: None)
    bits = codec.encode(Picture(pixels, None, {}), LEVEL / 10, effort=0).ledger.theoretical
    assert lagrangian(model, pixels, found) < lagrangian(model, pixels, searched) - 0.005 * bits


def test_each_sweep_lowers_the_cost_and_tries_each_flip_once(photo: Pixels) -> None:
    found, _ = begun(models.load(), np.ascontiguousarray(photo[100:228, 200:328]))
    costs, untried = [float(found.now.costs.sum())], [int(found.untried.sum())]
    with torch.no_grad():
        for _ in range(3):
            found.sweep()
            costs.append(float(found.coded(found.now.groups).costs.sum()))
            untried.append(int(found.untried.sum()))
    cells = found.now.costs.numel()
    assert costs == sorted(costs, reverse=True) and costs[-1] < costs[0] - 1
    assert all(0 < before - after <= cells for before, after in pairwise(untried))


def test_latents_about_the_window_stay(photo: Pixels) -> None:
    part = Box(2, 6, 4, 8)
    found, _ = begun(models.load(), np.ascontiguousarray(photo[100:228, 200:328]), part)
    before = found.region(found.now.groups)
    with torch.no_grad():
        for _ in range(3):
            found.sweep()
    moved = (found.region(found.now.groups) - before).abs() > 0.75
    assert moved[..., part.rows, part.columns].any()
    assert found.found().shape[2:] == part.size
    moved[..., part.rows, part.columns] = False
    assert not moved.any()


def outcomes(pixels: Pixels) -> tuple[Floats, Floats, Floats]:
    """What flips of latents in the last group do to R + λ·D: as expected and as found of the 48 most promising ones,
    and as found of others."""
    found, _ = begun(models.load(), np.ascontiguousarray(pixels))
    with torch.no_grad():
        *earlier, last = found.now.groups
        expected = found.expected()[:, -last.shape[1] :].flatten()
        before = float(found.now.costs.sum())

        def changes(flips: list[int]) -> Floats:
            costs = []
            for direction, where in (divmod(flip, last.numel()) for flip in flips):
                flipped = last.clone()
                flipped.view(-1)[where] += 2 * direction - 1
                costs.append(float(found.coded([*earlier, flipped]).costs.sum()))
            return np.array(costs, np.float32) - before

        promising, others = expected.argsort()[:48].tolist(), range(0, len(expected), len(expected) // 48)
        return expected[promising].numpy(), changes(promising), changes(list(others))


def test_flips_that_are_expected_to_pay_do_so_more_often_than_others(photo: Pixels) -> None:
    crops = photo[100:228, 200:328], photo[:128, 300:428], data.coffee()[100:228, 200:328]
    expected, promising, others = (np.concatenate(found) for found in zip(*map(outcomes, crops), strict=True))
    assert np.mean(promising < 0) > 0.4 and np.mean(others < 0) < 0.1
    assert abs(promising.mean() - expected.mean()) < 1.5


def test_nothing_is_flipped_beyond_the_picture(use_small_model: models.Model, photo: Pixels) -> None:
    found, y = begun(use_small_model, np.ascontiguousarray(photo[:40, :72]))
    assert found.untried.sum() == 2 * y.size
    with torch.no_grad():
        for _ in range(4):
            found.sweep()
    for group, inside in zip(found.now.groups, found.window.inside, strict=True):
        assert not (group * (1 - inside)).any()


def test_an_effort_with_flips_also_finds_what_it_does_without(
    use_small_model: models.Model, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.ascontiguousarray(photo[:60, :90])

    def costs() -> list[float]:
        source = efforts.Source(use_small_model, pixels, LEVEL, torch.float32, Stopwatch(None))
        with torch.no_grad():
            return [
                lagrangian(use_small_model, pixels, choice.y)
                for choice in efforts.candidates(source, 7, lambda _: None)
            ]

    with_flips = costs()
    monkeypatch.setattr(refine, "SWEEPS", [0] * 6)
    without = costs()
    assert with_flips[:-1] == without and len(without) == 8
    assert with_flips[-1] < without[-1]


@pytest.mark.parametrize(("tune", "sweeps"), [("psnr", [8, 24]), ("ssim", [])])
def test_flips_are_for_the_squared_error_alone(
    photo: Pixels, tune: str, sweeps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, called = np.ascontiguousarray(photo[:16, :16]), list[int]()
    monkeypatch.setattr(refine, "search", lambda problem, y, seen, box, ways, progress: [y for _ in ways])
    monkeypatch.setattr(refine, "flipped", lambda problem, y, times, progress: called.append(times) or y)
    problem = Problem(models.load().transforms, pixels, transforms.rate_index(LEVEL), tune)
    found = refine.search_long(problem, np.zeros((1, 1, 1), np.float32), 8, lambda done: None)
    assert called == sweeps and len(found) == 5 + len(sweeps)
