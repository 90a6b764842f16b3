"""Tiles, regions and threads change nothing: pictures larger than a tile against the networks run on the whole."""

import os
import platform
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vlae_codec import codec, limits, models, segments, tiles, transforms
from vlae_codec.bitstream import Header
from vlae_codec.errors import BitstreamError, UsageError
from vlae_codec.images import Picture
from vlae_codec.models import Model
from vlae_codec.tiles import Box

Pixels = NDArray[np.uint8]
SIZE = HEIGHT, WIDTH = 2100, 2065  # two tiles by two, none of whose sides is a multiple of 16


def repeated(photo: Pixels, height: int, width: int) -> Pixels:
    tiled = np.tile(photo, (-(-height // 512), -(-width // 512), 1))
    return np.ascontiguousarray(tiled[:height, :width])


@pytest.fixture(scope="module")
def pixels(photo: Pixels) -> Pixels:
    return repeated(photo, *SIZE)


@pytest.fixture(scope="module")
def data(pixels: Pixels, small_model: Model) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda key=models.DEFAULT: small_model)
        return codec.encode(Picture(pixels, None, {}), 70).data


@pytest.fixture(scope="module")
def decoded(data: bytes, small_model: Model) -> Pixels:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda key=models.DEFAULT: small_model)
        return codec.decode(data).pixels


@pytest.fixture(params=["small", "shipped"])
def model(request: pytest.FixtureRequest, small_model: Model) -> Iterator[Model]:
    return small_model if request.param == "small" else models.load()


@torch.inference_mode()
def test_latents_of_a_tile_are_those_of_the_whole_picture(photo: Pixels, model: Model) -> None:
    pixels, halo = repeated(photo, 500, 603), model.transforms.config.analysis_halo
    y = transforms.analyse(model, pixels, 600, torch.float32)
    for tile in (Box(0, 12, 0, 12), Box(12, 32, 5, 20), Box(20, 32, 30, 38), Box(15, 16, 19, 20)):
        seen = tile.grown(halo, tiles.latent_size(500, 603))
        cropped = pixels[seen.pixels.rows, seen.pixels.columns]
        inner, found = tile.within(seen), transforms.analyse(model, cropped, 600, torch.float32)
        wanted, found = y[:, tile.rows, tile.columns], found[:, inner.rows, inner.columns]
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
        assert np.array_equal(np.rint(found), np.rint(wanted))


@torch.inference_mode()
def test_pixels_of_a_tile_are_those_of_the_whole_picture_but_for_rounding(photo: Pixels, model: Model) -> None:
    y = 64 * np.rint(transforms.analyse(model, repeated(photo, 512, 592), 600, torch.float32)).astype(np.int32)
    header, halo = Header(False, model.id, 600, 592, 512), model.transforms.config.synthesis_halo
    whole = transforms.synthesise(model, y, header, torch.float32)
    for tile in (Box(0, 12, 0, 12), Box(12, 32, 5, 20), Box(20, 32, 30, 37), Box(15, 16, 19, 20)):
        seen = tile.grown(halo, y.shape[1:])
        found = transforms.synthesise(model, y[:, seen.rows, seen.columns], header, torch.float32)
        inner = tile.within(seen).pixels
        assert_equal_but_for_rounding(found[inner.rows, inner.columns], whole[tile.pixels.rows, tile.pixels.columns])


def assert_equal_but_for_rounding(found: Pixels, wanted: Pixels) -> None:
    assert found.shape == wanted.shape
    different = np.abs(found.astype(int) - wanted)
    assert different.max() <= 1 and np.count_nonzero(different) <= 0.001 * different.size + 1


@torch.inference_mode()
def test_halos_are_as_wide_as_the_networks_see(small_model: Model) -> None:
    config, network = small_model.transforms.config, small_model.transforms
    middle, rate = 12, torch.tensor([0.5])
    x, y = torch.zeros(1, 3, 400, 400), torch.zeros(1, config.latent, 25, 25)
    plain_y, plain_x = network.analysis(x, rate), network.synthesis(y, rate)
    for distance, changes in ((config.analysis_halo, True), (config.analysis_halo + 1, False)):
        near = slice(16 * (middle - distance), 16 * (middle - distance + 1))
        other = x.clone()
        other[:, :, near] = torch.rand(1, 3, 16, 400)
        assert torch.equal(network.analysis(other, rate)[:, :, middle], plain_y[:, :, middle]) != changes
    for distance, changes in ((config.synthesis_halo, True), (config.synthesis_halo + 1, False)):
        other = y.clone()
        other[:, :, middle - distance] = 5
        rows = slice(16 * middle, 16 * middle + 16)
        assert torch.equal(network.synthesis(other, rate)[:, :, rows], plain_x[:, :, rows]) != changes


@pytest.mark.usefixtures("use_small_model")
def test_a_picture_in_tiles_is_the_same_file_and_the_same_picture(
    pixels: Pixels, data: bytes, decoded: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "TILE", 10**6)
    assert codec.encode(Picture(pixels, None, {}), 70).data == data
    assert_equal_but_for_rounding(decoded, codec.decode(data).pixels)


@pytest.mark.usefixtures("use_small_model")
@pytest.mark.parametrize("region", [(0, 0, 1, 1), (2064, 2099, 1, 1), (1000, 1010, 40, 30), (7, 2000, 2058, 100)])
def test_a_region_is_that_part_of_the_picture(data: bytes, decoded: Pixels, region: tuple[int, int, int, int]) -> None:
    x, y, width, height = region
    found = codec.decode(data, region=region).pixels
    assert_equal_but_for_rounding(found, decoded[y : y + height, x : x + width])


def test_a_region_has_its_part_of_alpha_and_all_metadata(photo: Pixels, use_small_model: Model) -> None:
    alpha = photo[:200, :90, 0].copy()
    data = codec.encode(Picture(photo[:200, :90, :1].copy(), alpha, {"xmp": b"<x/>"})).data
    found = codec.decode(data, region=(33, 101, 20, 40))
    assert found.alpha is not None and np.array_equal(found.alpha, alpha[101:141, 33:53])
    assert found.metadata == {"xmp": b"<x/>"} and found.pixels.shape == (40, 20, 1)


@pytest.mark.usefixtures("use_small_model")
def test_a_region_decodes_only_segments_within_reach(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    decode = segments.Reader.decode
    monkeypatch.setattr(segments.Reader, "decode", lambda self, n: (numbers.append(n), decode(self, n))[1])
    codec.decode(data, region=(1500, 1500, 20, 20))
    codec.decode(data, region=(1000, 1500, 20, 20))
    assert numbers == [4, 3, 4]


@pytest.mark.usefixtures("use_small_model")
def test_a_region_outside_the_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=f"within the picture of {WIDTH}x{HEIGHT}"):
        codec.decode(data, region=(2060, 0, 10, 10))


@pytest.mark.usefixtures("use_small_model")
def test_any_number_of_jobs_gives_the_same_file_and_picture(pixels: Pixels, data: bytes, decoded: Pixels) -> None:
    threads = torch.get_num_threads()
    stages: dict[str, float] = {}
    assert codec.encode(Picture(pixels, None, {}), 70, jobs=3, stages=stages).data == data
    assert set(stages) == {"analysis", "search", "prior", "entropy coding"} and min(stages.values()) > 0
    assert_equal_but_for_rounding(codec.decode(data, jobs=3).pixels, decoded)
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("use_small_model")
@pytest.mark.parametrize("jobs", [1, 3])
def test_damage_in_any_segment_is_found_by_any_number_of_jobs(
    data: bytes, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "latents_crc", lambda y: 0)
    with pytest.raises(BitstreamError, match="decoded latents have checksum"):
        codec.decode(data, jobs=jobs)


def test_memory_does_not_grow_with_the_latents(photo: Pixels, use_small_model: Model) -> None:
    """numpy's memory alone, which is where latents and pixels are; torch's is bounded by the size of a tile."""

    def peak(height: int) -> int:
        data = codec.encode(Picture(repeated(photo, height, 40), None, {}), 30).data
        tracemalloc.start()
        codec.decode(data)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    pixels = 3 * 40 * 12_000
    assert peak(18_000) - peak(6_000) < 1.2 * pixels


def test_memory_is_given_back_where_there_is_more_than_one_tile_only(
    use_small_model: models.Model, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(codec, "give_back_memory", lambda: calls.append(1))
    data = codec.encode(Picture(np.ascontiguousarray(photo[:64, :64]), None, {}), 50).data
    codec.decode(data)
    assert not calls
    wide = np.ascontiguousarray(np.tile(photo[:16], (1, 9, 1)))  # 4608 pixels: three tiles
    codec.decode(codec.encode(Picture(wide, None, {}), 50).data)
    assert len(calls) == 5  # in encoding between the tiles, in decoding before the synthesis of each
    limits.give_back_memory()


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc alone is told to")
def test_memory_of_a_search_is_kept_for_the_next_picture_until_it_is_given_back(
    use_small_model: models.Model, photo: NDArray[np.uint8]
) -> None:
    limits.give_back_memory()
    before = resident()
    codec.encode(Picture(np.ascontiguousarray(photo[:16, :16]), None, {}), 50)
    arrays = [np.ones(1 << 20, np.uint8) for _ in range(128)]
    held = resident() - before
    del arrays
    kept = resident() - before
    limits.give_back_memory()
    left = resident() - before
    assert held > 100 << 20 and kept > 0.9 * held and left < 0.2 * held
