import numpy as np
import pytest

from vlae_codec.bitstream import segment_count
from vlae_codec.tiles import latent_size, segments


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (16, 17), (1024, 1024), (1025, 1024), (2049, 3000), (4096, 4096)]
)
def test_segments_cover_every_latent_once_and_are_as_many_as_the_format_says(height: int, width: int) -> None:
    covered = np.zeros(latent_size(height, width), int)
    boxes = segments(height, width)
    for box in boxes:
        assert covered[box.rows, box.columns].shape == box.size
        covered[box.rows, box.columns] += 1
    assert (covered == 1).all()
    assert len(boxes) == segment_count(width, height)
