import numpy as np
import pytest

from vlae_codec.bitstream import segment_count
from vlae_codec.errors import UsageError
from vlae_codec.tiles import SIDE, TILE, Box, latent_size, parse_region, region, segments, segments_in, whole

SIZES = [(1, 1), (16, 17), (1024, 1024), (1025, 1024), (2049, 3000), (4096, 4096)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_segments_cover_every_latent_once_and_are_as_many_as_the_format_says(height: int, width: int) -> None:
    covered = np.zeros(latent_size(height, width), int)
    boxes = segments(height, width)
    for box in boxes:
        assert covered[box.rows, box.columns].shape == box.size
        covered[box.rows, box.columns] += 1
    assert (covered == 1).all()
    assert len(boxes) == segment_count(width, height)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiles_consist_of_whole_segments(height: int, width: int) -> None:
    parts = [box for tile in whole(height, width).parts(TILE, TILE) for box in tile.parts(SIDE, SIDE)]
    assert sorted(parts) == sorted(segments(height, width))


def test_a_box_touches_the_segments_that_share_latents_with_it() -> None:
    height, width = 3000, 5000
    for box in (Box(0, 1, 0, 1), Box(63, 65, 127, 128), Box(64, 128, 64, 128), whole(height, width)):
        sharing = [
            number
            for number, other in enumerate(segments(height, width))
            if max(box.top, other.top) < min(box.bottom, other.bottom)
            and max(box.left, other.left) < min(box.right, other.right)
        ]
        assert list(segments_in(box, width)) == sharing


def test_a_halo_ends_where_the_picture_does() -> None:
    assert Box(0, 64, 64, 128).grown(6, (70, 130)) == Box(0, 70, 58, 130)


def test_a_region_is_made_of_the_latents_that_stand_for_its_pixels() -> None:
    assert region((15, 16, 2, 16), 100, 100).latents == Box(1, 2, 0, 2)
    assert region((0, 0, 100, 50), 50, 100).latents == whole(50, 100)


@pytest.mark.parametrize(
    "wanted", [(0, 0, 0, 1), (0, 0, 1, 0), (-1, 0, 2, 2), (0, -1, 2, 2), (99, 0, 2, 1), (0, 50, 1, 1)]
)
def test_a_region_outside_the_picture_or_without_pixels_is_refused(wanted: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match="within the picture of 100x50"):
        region(wanted, 50, 100)


def test_a_region_is_written_as_four_numbers() -> None:
    assert parse_region("1,20,300,4") == (1, 20, 300, 4)
    for text in (
        "",
        "1,2,3",
        "1,2,3,4,5",
        "1, 2,3,4",
        "-1,2,3,4",
        "a,b,c,d",
        "1.5,2,3,4",
        "²,1,1,1",
        "1,2,3,9999999999",
    ):
        with pytest.raises(UsageError, match="X,Y,W,H in pixels wanted"):
            parse_region(text)
