from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vlae_codec import bitsback, codec, efforts, models, refine, search, tiles, transforms
from vlae_codec.entropy import FRACTIONS
from vlae_codec.errors import UsageError
from vlae_codec.images import Picture
from vlae_codec.models.config import group_sizes
from vlae_codec.models.exact import SegmentModel
from vlae_codec.models.floating import floating
from vlae_codec.problem import Problem
from vlae_codec.refine import Choice
from vlae_codec.relaxation import AsTheyAre
from vlae_codec.timing import Stopwatch

Pixels = NDArray[np.uint8]
LEVEL = 600
WAYS = [search.quick, *(partial(search.long, at_random=4, parts=parts) for parts in (search.QUARTERS, search.EIGHTHS))]
LATENTS_AT_ONCE = dict(zip(WAYS, (32 * 64, 32 * 48, 32 * 48), strict=True))


def crop(photo: Pixels, height: int, width: int, channels: int = 3) -> Pixels:
    return np.ascontiguousarray(photo[:height, :width, :channels])


def costs(model: models.Model, pixels: Pixels, effort: int) -> list[float]:
    """The Lagrangians of all efforts up to this one, in bits."""
    source = efforts.Source(model, pixels, LEVEL, torch.float32, Stopwatch(None))
    with torch.no_grad():
        found = efforts.candidates(source, effort, lambda done: None)
        return [codec.lagrangian(model, pixels, choice, LEVEL) for choice in found]


def test_a_search_finds_latents_that_cost_less(use_small_model: models.Model, photo: Pixels) -> None:
    lagrangians = costs(use_small_model, crop(photo, 96, 128), 6)
    assert len(lagrangians) == 7 and lagrangians[6] < 0.995 * min(lagrangians[:4])


def test_with_the_shipped_model_a_search_is_worth_bits(photo: Pixels) -> None:
    pixels, model = np.ascontiguousarray(photo[100:228, 200:328]), models.load()
    plain, cheap, nudged, settled, *searched = costs(model, pixels, 6)
    bits = codec.encode(Picture(pixels, None, {}), LEVEL / 10, effort=0).ledger.theoretical
    assert cheap < plain - 0.001 * bits and nudged < plain - 0.01 * bits
    assert settled < nudged - 0.01 * bits and searched[-1] < settled - 0.01 * bits
    assert searched[0] < settled


def test_a_longer_search_finds_better_latents_and_all_that_a_shorter_one_does(
    use_small_model: models.Model, photo: Pixels
) -> None:
    pixels = crop(photo, 60, 90)
    short, long = costs(use_small_model, pixels, 4), costs(use_small_model, pixels, 6)
    assert short == long[:5] and long[6] < long[4]


def nudged(model: models.Model, pixels: Pixels) -> tuple[Problem, NDArray[np.float32], NDArray[np.float32]]:
    """A problem, what the analysis gives and what a nudge makes of it."""
    problem = Problem(model.transforms, pixels, transforms.rate_index(LEVEL))
    with torch.no_grad():
        y, whole = transforms.analyse(model, pixels, LEVEL, torch.float32), tiles.whole(*pixels.shape[:2])
        return problem, y, refine.nudge(problem, y, whole, whole)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_nudge_lowers_the_error_by_steps_of_at_most_a_half(photo: Pixels, channels: int) -> None:
    pixels = crop(photo, 100, 120, channels)
    problem, y, after = nudged(models.load(), pixels)
    assert 0.01 < np.abs(after - y).max() <= 0.5
    picture = problem.picture(tiles.whole(*pixels.shape[:2]))
    with torch.no_grad():
        errors = [float(problem.price(torch.from_numpy(latents)[None], picture)) for latents in (y, after)]
    assert errors[1] < 0.98 * errors[0]


def test_a_slope_that_is_not_a_number_moves_nothing(
    use_small_model: models.Model, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refine, "distortion_slope", lambda problem, y, region: np.full_like(y, np.nan))
    _, y, after = nudged(use_small_model, crop(photo, 64, 64))
    assert np.array_equal(y, after)


def test_what_costs_least_is_kept_even_if_the_search_fails(
    use_small_model: models.Model, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Picture(crop(photo, 60, 90), None, {})
    monkeypatch.setattr(search, "STEP", -100.0)  # uphill
    lower = [codec.encode(picture, 60, effort=effort).data for effort in range(4)]
    assert codec.encode(picture, 60, effort=4).data in lower


@pytest.mark.parametrize(("height", "width", "channels"), [(70, 90, 3), (33, 50, 1), (1, 1, 3), (1100, 40, 3)])
def test_files_of_a_search_decode(
    use_small_model: models.Model, photo: Pixels, height: int, width: int, channels: int
) -> None:
    tall = np.concatenate([photo] * 3)
    encoded = codec.encode(Picture(crop(tall, height, width, channels), None, {}), 60, effort=4)
    assert codec.decode(encoded.data).pixels.shape == (height, width, channels)
    assert 8 * len(encoded.data) == encoded.ledger.container + encoded.ledger.actual


def test_a_search_gives_the_same_file_again(use_small_model: models.Model, photo: Pixels) -> None:
    picture = Picture(crop(photo, 64, 64), None, {})
    codec.decode(codec.encode(picture, 60).data)
    assert codec.encode(picture, 60, effort=5).data == codec.encode(picture, 60, effort=5).data


def test_progress_of_a_search_rises_to_one(use_small_model: models.Model, photo: Pixels) -> None:
    seen: list[float] = []
    codec.encode(Picture(crop(photo, 64, 900 // 2), None, {}), 60, effort=5, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1 and len(seen) == 12


class Nearest(AsTheyAre):
    """Rounding as effort 0 does it."""

    def shown(self, x: torch.Tensor, group: int) -> torch.Tensor:
        return x.round()


def test_without_noise_the_search_counts_what_the_codec_counts(use_small_model: models.Model, photo: Pixels) -> None:
    pixels = crop(photo, 100, 120)
    problem = Problem(floating(use_small_model), pixels, transforms.rate_index(LEVEL))
    with torch.no_grad():
        y = transforms.analyse(use_small_model, pixels, LEVEL, torch.float32)
        (segment,) = tiles.segments(*pixels.shape[:2])
        window = search.Window(problem, torch.from_numpy(y)[None], segment, segment, segment)
        counted = float(window.cost(Nearest()))
        assert counted == pytest.approx(codec.lagrangian(use_small_model, pixels, Choice(y, 0.0), LEVEL), rel=0.02)


def searched(problem: Problem, y: NDArray[np.float32], how: search.Search) -> NDArray[np.float32]:
    """Latents of a whole picture."""
    whole = tiles.whole(*problem.pixels.shape[:2])
    (found,) = search.search(problem, y, whole, whole, [how], lambda done: None)
    return found


def test_latents_that_can_still_move_make_up_for_those_that_are_rounded(photo: Pixels) -> None:
    pixels, model = np.ascontiguousarray(photo[100:228, 200:328]), models.load()
    problem, _, y = nudged(model, pixels)
    problem = replace(problem, model=floating(model))
    settled = searched(problem, y, search.long(problem, 0, search.EIGHTHS))
    together, one_by_one = (codec.lagrangian(model, pixels, Choice(latents, 0.0), LEVEL) for latents in (y, settled))
    bits = codec.encode(Picture(pixels, None, {}), LEVEL / 10, effort=0).ledger.theoretical
    assert one_by_one < together - 0.02 * bits


@pytest.mark.parametrize("parts", [search.HALVES, search.QUARTERS, search.EIGHTHS])
def test_parts_that_are_rounded_together_are_equally_large(parts: tuple[int, ...]) -> None:
    sizes = group_sizes(models.load().transforms.config.latent)
    rounds = search.quick(unseen())._replace(parts=parts).rounds()
    together = {sum(len(range(sizes[number])[channels]) for number, channels in part) for part in rounds}
    assert len(rounds) == sum(parts) and together == {sum(sizes) // len(rounds)}


@pytest.mark.parametrize("way", WAYS)
def test_every_latent_is_in_one_part_of_a_search(way: Callable[[Problem], search.Search]) -> None:
    seen = [np.zeros(size, int) for size in group_sizes(models.load().transforms.config.latent)]
    for part in way(unseen()).rounds():
        for number, channels in part:
            seen[number][channels] += 1
    assert all((counts == 1).all() for counts in seen)


def unseen() -> Problem:
    """A problem of the shipped model; the ways to search do not depend on the picture."""
    return Problem(models.load().transforms, np.zeros((1, 1, 3), np.uint8), transforms.rate_index(LEVEL))


def test_a_search_takes_two_or_three_times_the_steps_of_the_one_below() -> None:
    ways = [search.long(unseen(), *branch) for branch in refine.BRANCHES]
    taken = [search.total_steps(ways[: number + 1]) for number in range(len(ways))]
    assert search.total_steps([search.quick(unseen())]) == 2 and taken == [4, 12, 24, 48, 96, 192]


def begun(
    model: models.Model, pixels: Pixels, way: Callable[[Problem], search.Search]
) -> tuple[search.Window, search.Search]:
    """A search of a whole picture."""
    problem, _, y = nudged(model, pixels)
    (segment,) = tiles.segments(*pixels.shape[:2])
    problem = replace(problem, model=floating(model))
    return search.Window(problem, torch.from_numpy(y)[None], *[segment] * 3), way(problem)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_rounded_for_good_stays_and_the_last_part_is_not(
    photo: Pixels, way: Callable[[Problem], search.Search]
) -> None:
    pixels, model = crop(photo, 96, 128), models.load()
    window, how = begun(model, pixels, way)
    earlier = [(free.clone(), settled.clone()) for free, settled in zip(window.free, window.settled, strict=True)]
    latents: list[torch.Tensor] = []
    with torch.no_grad():
        for _ in window.settle(how):
            latents.append(window.found())
            now = list(zip(window.free, window.settled, strict=True))
            for (was_free, before), (free, after) in zip(earlier, now, strict=True):
                assert not (free & ~was_free).any() and torch.equal(before * ~was_free, after * ~was_free)
            earlier = [(free.clone(), settled.clone()) for free, settled in now]
    changed = [model.transforms.split(after != before) for before, after in pairwise(latents)]
    for number, part in enumerate(how.rounds()):
        for group, channels in part:
            moved = [bool(cells[group][:, channels].any()) for cells in changed]
            assert all(moved[:number]) and not any(moved[number:])


def test_what_is_left_out_of_settled_groups_has_no_slope(photo: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    window, how = begun(models.load(), crop(photo, 96, 128), search.quick)
    with torch.no_grad():
        for _ in window.settle(how):
            pass
        counted, slope = window.cost(AsTheyAre()), window.slope(AsTheyAre())
        monkeypatch.setattr(search.Window, "moves", lambda self, number: True)
        assert counted < 0.9 * window.cost(AsTheyAre()) and slope.any()
        torch.testing.assert_close(window.slope(AsTheyAre()), slope)


def test_groups_that_are_settled_need_not_be_predicted_again(photo: Pixels) -> None:
    window, how = begun(models.load(), crop(photo, 96, 128), search.quick)
    with torch.no_grad():
        for _ in window.settle(how):
            pass
        assert len(window.predicted) == 4
        counted = window.cost(AsTheyAre())
        window.predict, window.predicted = window.problem.model.predictor(window.problem.rate), []
        torch.testing.assert_close(counted, window.cost(AsTheyAre()))


def test_a_window_goes_on_as_if_nothing_had_branched_off(photo: Pixels) -> None:
    window, how = begun(models.load(), crop(photo, 96, 128), partial(search.long, at_random=0, parts=search.EIGHTHS))
    with torch.no_grad():
        before, y = window.slope(AsTheyAre()), window.y.clone()
        for _ in window.branch().settle(how):
            pass
        assert torch.equal(window.y, y) and torch.equal(window.slope(AsTheyAre()), before)


@pytest.mark.parametrize("way", WAYS)
def test_the_codec_keeps_what_a_search_has_rounded(photo: Pixels, way: Callable[[Problem], search.Search]) -> None:
    pixels, model = crop(photo, 96, 128), models.load()
    (window, how), coding = begun(model, pixels, way), SegmentModel(model.prior, tiles.latent_size(96, 128), LEVEL)
    with torch.no_grad():
        for _ in window.settle(how):
            pass
        found = window.found()
        values = bitsback.quantise(coding.split(found[0].numpy()), coding, float(how.bit_price)).values
        kept = coding.merge(values) / FRACTIONS
        far = [group.abs() > 0.25 for group in model.transforms.split(torch.from_numpy(kept)[None] - found)]
    assert not any((group & ~free).any() for group, free in zip(far, window.free, strict=True))
    assert any(group.any() for group in far)  # the last part is left to the codec


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [(512, 768), (768, 512), (2000, 1500), (16, 16), (1025, 3)])
def test_windows_cover_every_latent_once(size: tuple[int, int], way: Callable[[Problem], search.Search]) -> None:
    seen, window = np.zeros(tiles.latent_size(*size), int), way(unseen()).window
    for segment in tiles.segments(*size):
        for box in search.cut(segment, window):
            seen[box.rows, box.columns] += 1
            assert box.size[0] * box.size[1] <= LATENTS_AT_ONCE[way]
    assert (seen == 1).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_kodak_is_one_window(way: Callable[[Problem], search.Search]) -> None:
    segments, window = tiles.segments(512, 768) + tiles.segments(768, 512), way(unseen()).window
    assert [len(search.cut(segment, window)) for segment in segments] == [1, 1]


@pytest.mark.parametrize("price", [0.5, 2.0])
def test_a_price_of_bits_means_the_same_in_a_search_as_in_the_codec(photo: Pixels, price: float) -> None:
    pixels, model = crop(photo, 96, 128), models.load()
    network, coding = floating(model), SegmentModel(model.prior, tiles.latent_size(96, 128), LEVEL)
    with torch.no_grad():
        y = transforms.analyse(model, pixels, LEVEL, torch.float32)
        kept = coding.merge(bitsback.quantise(coding.split(y), coding, price).values) / FRACTIONS
        coded = network.split(torch.from_numpy(kept)[None].float())
        predict, differ, cheaper = network.predictor(transforms.rate_index(LEVEL)), 0, 0
        for before, group, latents in zip(coded, coded[1:], network.split(torch.from_numpy(y)[None])[1:], strict=False):
            p = predict(before)
            found, nearest = (search.rounded_cheaply(latents, p, each) for each in (price, 0.0))
            differ += int(((found - group).abs() > 0.5).sum())
            cheaper += int(((found - nearest).abs() > 0.5).sum())
    assert 5 * differ < cheaper  # a few lie next to the middle, where means in floating point decide otherwise


@pytest.mark.parametrize("effort", [-1, 10])
def test_efforts_that_do_not_exist_are_refused(photo: Pixels, effort: int) -> None:
    with pytest.raises(UsageError, match=f"effort {effort}; 0 to 9"):
        codec.encode(Picture(crop(photo, 8, 8), None, {}), effort=effort)


def lagrangian_of(data: bytes, pixels: Pixels, quality: float) -> float:
    """Bits of the payload + λ·squared error of what the file decodes to."""
    error = np.square(codec.decode(data).pixels - pixels.astype(np.int32)).sum() / pixels.shape[2]
    weight = models.load().transforms.config.rate_to_lambda(torch.tensor(quality / 100))
    return codec.ledger(data).theoretical + float(weight) * float(error)


@pytest.mark.parametrize("bits_back", [False, True])
@pytest.mark.parametrize("quality", [0, 30, 60])
@pytest.mark.parametrize(("height", "width", "value"), [(512, 512, 130), (128, 128, 255), (320, 640, None)])
def test_no_effort_is_worse_than_a_lower_one_where_there_is_next_to_nothing_to_code(
    height: int, width: int, value: int | None, quality: float, bits_back: bool
) -> None:
    ramp = np.linspace(0, 255, width)[None, :, None] if value is None else np.array(value)
    pixels = np.ascontiguousarray(np.broadcast_to(ramp.astype(np.uint8), (height, width, 3)))
    picture = Picture(pixels, None, {})
    files = [codec.encode(picture, quality, effort=effort, bits_back=bits_back) for effort in range(4)]
    costs = [lagrangian_of(file.data, pixels, quality) for file in files]
    assert all(b <= a + 8 for a, b in pairwise(costs))  # of z there are several that are as good
