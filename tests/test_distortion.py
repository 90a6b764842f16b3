"""What the loss, the search and the choice between latents count as distortion."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from vlae_codec import codec, distortion, efforts, images, metrics, models, refine, tiles, transforms
from vlae_codec.images import Picture

Pixels = NDArray[np.uint8]
LEVEL = 600


def noisy(pixels: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


def crop(photo: Pixels, height: int, width: int) -> Pixels:
    return np.ascontiguousarray(photo[:height, :width])


def test_the_total_is_the_squared_error_or_what_ms_ssim_lacks(photo: Pixels) -> None:
    a = crop(photo, 180, 220)
    b = noisy(a, 9)
    error = 255**2 * 10 ** (-metrics.psnr(a, b) / 10)
    assert distortion.total("psnr", b, a) == pytest.approx(180 * 220 * error, rel=1e-4)
    similarity = metrics.ms_ssim(a, b)
    assert similarity is not None and 0.5 < similarity < 0.99
    wanted = 180 * 220 * distortion.MS_SSIM_UNIT * (1 - similarity)
    assert distortion.total("ssim", b, a) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("tune", sorted(distortion.DISTORTIONS))
def test_parts_of_large_pictures_add_up(tune: str, photo: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    a = crop(photo, 200, 300)
    b = noisy(a, 9)
    whole = distortion.total(tune, b, a)
    monkeypatch.setattr(distortion, "SEGMENT", 100)
    assert distortion.total(tune, b, a) == pytest.approx(whole, rel=0.5 if tune == "ssim" else 1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 3), (30, 200, 1), (160, 161, 3)])
def test_pictures_that_are_too_small_for_ms_ssim_have_a_distortion(shape: tuple[int, ...], photo: Pixels) -> None:
    a = np.ascontiguousarray(photo[: shape[0], : shape[1], : shape[2]])
    assert distortion.total("ssim", a, a) == pytest.approx(0, abs=1e-2 * a.size)
    worse = [distortion.total("ssim", noisy(a, deviation), a) for deviation in (6, 30)]
    assert 0 < worse[0] < worse[1]


def test_half_precision_around_it_changes_nothing(photo: Pixels) -> None:
    a = torch.tensor(crop(photo, 192, 192)).permute(2, 0, 1)[None].float() / 255 - 0.5
    b = a + 0.02 * torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    found = distortion.dissimilarity(b, a)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distortion.dissimilarity(b, a), found)


def test_a_nudge_lowers_the_distortion_that_the_model_is_tuned_for(photo: Pixels) -> None:
    pixels, model = crop(photo, 192, 208), models.load("ssim")
    source = efforts.Source(model, pixels, LEVEL, torch.float32, codec.Stopwatch(None))
    problem = source.problem(model.transforms)
    assert problem.tune == "ssim"
    with torch.no_grad():
        y, whole = transforms.analyse(model, pixels, LEVEL, torch.float32), tiles.whole(192, 208)
        after = refine.nudge(problem, y, whole, whole)
        prices = [float(problem.price(torch.from_numpy(x)[None], problem.picture(whole))) for x in (y, after)]
    assert prices[1] < 0.99 * prices[0]


def test_a_search_is_for_the_distortion_that_the_model_is_tuned_for(
    small_model: models.Model, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = dataclasses.replace(small_model, tune="ssim")
    monkeypatch.setattr(models, "load", lambda key=models.DEFAULT: tuned)
    pixels = crop(photo, 176, 192)
    data = {effort: codec.encode(Picture(pixels, None, {}), LEVEL / 10, effort=effort).data for effort in (0, 5)}
    weight = float(tuned.transforms.config.rate_to_lambda(torch.tensor([LEVEL / 1000])))
    costs = [
        8 * len(file) + weight * distortion.total("ssim", codec.decode(file).pixels, pixels) for file in data.values()
    ]
    assert costs[1] < 0.995 * costs[0]


def test_the_tuned_model_has_more_ms_ssim_in_fewer_bytes(coffee: Picture) -> None:
    plain = codec.encode(coffee, 40)
    candidates = (codec.encode(coffee, quality, model="ssim") for quality in range(60, 30, -1))
    tuned = next(encoded for encoded in candidates if len(encoded.data) <= len(plain.data))
    a, b = (metrics.ms_ssim(coffee.pixels, codec.decode(encoded.data).pixels) for encoded in (plain, tuned))
    assert a is not None and b is not None and metrics.decibels(b) > metrics.decibels(a) + 1


def test_tune_chooses_the_model_on_the_command_line(
    tmp_path: Path, coffee: Picture, vlae: Callable[..., tuple[int, str, str]]
) -> None:
    source, file, again = (str(tmp_path / name) for name in ("a.png", "a.vlae", "b.png"))
    Image.fromarray(coffee.pixels[:64, :80]).save(source)
    code, out, _ = vlae("encode", "--tune", "ssim", "--size", "600", "--json", source)
    record = json.loads(out)
    assert code == 0 and record["model"] == "ssim" and record["bytes"] <= 600
    assert json.loads(vlae("info", "--json", file)[1])["model"] == "ssim"
    assert vlae("decode", file, "-o", again)[0] == 0
    assert images.read(Path(again).read_bytes(), again).pixels.shape == (64, 80, 3)
    code, _, message = vlae("encode", "--tune", "vmaf", source)
    assert code == 2 and "psnr" in message
