"""Every codec of the registry that is installed: laws, fair settings, and absence said in words."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from vlae_codec import metrics
from vlae_codec.compare import codecs, libraries
from vlae_codec.compare.codecs import CODECS
from vlae_codec.errors import UsageError

HERE = [codec for codec in CODECS.values() if not codec.missing()]
PILLOW = ("jpeg", "jpeg444", "webp", "avif", "j2k")


@pytest.fixture(scope="module")
def crop(photo):
    """(64, 96, 3)."""
    return photo[100:164, 180:276]


def _three(codec):
    """A poor, a middling and a good quality."""
    return [codec.scale[int(share * (len(codec.scale) - 1))] for share in (0.2, 0.5, 0.8)]


@pytest.mark.parametrize("codec", HERE, ids=lambda codec: codec.key)
def test_a_codec_gives_more_bytes_and_less_error_at_each_better_quality(codec, crop):
    files = [codec.encode(crop, quality) for quality in _three(codec)]
    errors = [metrics.psnr(crop, np.ascontiguousarray(codec.decode(file))) for file in files]
    assert sorted(files, key=len) == files and sorted(errors) == errors and errors[1] > 20


@pytest.mark.parametrize("codec", HERE, ids=lambda codec: codec.key)
def test_a_codec_takes_gray(codec, crop):
    gray = np.ascontiguousarray(crop[..., :1])
    decoded = codec.decode(codec.encode(gray, _three(codec)[2]))
    assert decoded.shape[:2] == gray.shape[:2] and decoded.shape[2] in (1, 3)
    assert metrics.psnr(gray, np.ascontiguousarray(decoded[..., :1])) > 25


@pytest.mark.parametrize("codec", HERE, ids=lambda codec: codec.key)
def test_a_codec_states_library_version_and_settings(codec):
    assert codec.library and codec.settings and any(digit.isdigit() for digit in codec.version)
    assert CODECS[codec.key] is codec and codecs.chosen([codec.key]) == [codec]


@pytest.mark.parametrize("codec", [codec for codec in HERE if codec.key != "vvc"], ids=lambda codec: codec.key)
def test_a_codec_takes_odd_sides(codec, crop):
    odd = np.ascontiguousarray(crop[:63, :95])
    assert codec.decode(codec.encode(odd, _three(codec)[1])).shape == odd.shape


def test_the_codecs_of_pillow_are_all_here():
    assert {codec.key for codec in HERE} >= set(PILLOW)


@pytest.mark.parametrize(("key", "sampling"), [("jpeg", 2), ("jpeg444", 0)])
def test_jpeg_is_progressive_and_subsampled_as_it_says(key, sampling, crop):
    with Image.open(BytesIO(CODECS[key].encode(crop, 50))) as image:
        assert image.info["progressive"] and JpegImagePlugin.get_sampling(image) == sampling


def test_an_absent_package_is_named_with_the_command_that_installs_it():
    reason = libraries.installed("no-such-package")
    assert "no-such-package" in reason and "pip install 'vlae-codec[compare]'" in reason


@pytest.mark.skipif("vvc" not in {codec.key for codec in HERE}, reason="no libvvenc here")
def test_an_ffmpeg_that_does_not_start_is_a_reason_and_no_crash(monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/no/such/ffmpeg")
    assert "cannot be run" in CODECS["vvc"].missing() and "/no/such/ffmpeg" in CODECS["vvc"].missing()


def test_vvc_refuses_odd_sides(crop):
    with pytest.raises(UsageError, match="even sides, this picture 95x63"):
        CODECS["vvc"].encode(crop[:63, :95], -32)


def test_an_unknown_codec_is_refused():
    with pytest.raises(UsageError, match=r"no codec bpg; jpeg, .* are known"):
        codecs.chosen(["jpeg", "bpg"])
