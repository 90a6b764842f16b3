"""Where in the picture vlae's bits are: the bytes of a .vlae file in, bits of each latent position out."""

import numpy as np
import torch
from numpy.typing import NDArray

from vlae_codec import bitsback, bitstream, models, tiles
from vlae_codec.bitstream import MAX_PIXELS
from vlae_codec.entropy import Distributions, Ints, Stack
from vlae_codec.models.exact import SegmentModel


class MeteredStack(Stack):
    """Notes the ideal bits of all that is popped from it."""

    def __init__(self, payload: bytes):
        super().__init__(payload)
        self.popped: list[NDArray[np.float64]] = []

    def pop(self, p: Distributions) -> Ints:
        """As `Stack.pop`."""
        symbols = super().pop(p)
        self.popped.append(p.bits_each(symbols))
        return symbols


@torch.inference_mode()
def bits_map(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.float32]:
    """(H/16, W/16): ideal bits of the latents at each position, that is of 16x16 pixels. Sums to the ledger's y.

    Raises:
        As `codec.latents`.
    """
    container = bitstream.parse(data, max_pixels)
    header = container.header
    prior = models.load(header.model).prior
    bits = np.zeros(tiles.latent_size(header.height, header.width), np.float32)
    for box, segment in zip(tiles.segments(header.height, header.width), container.segments, strict=True):
        model, stack = SegmentModel(prior, box.size, header.quality), MeteredStack(segment.payload)
        bitsback.decode(stack, model, segment.bits_back)
        _z, *groups = stack.popped
        bits[box.rows, box.columns] = model.spread(groups).sum(0).numpy()
    return bits
