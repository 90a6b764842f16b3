"""What the bits of a file are."""

from collections.abc import Sequence
from dataclasses import dataclass

from vlae_codec import bitstream
from vlae_codec.bitsback import Costs


@dataclass(frozen=True)
class Ledger:
    """What the bits of a file are, in bits.

    container + metadata + alpha + actual is the whole file; theoretical = y + z_gross - bits_back is the negative ELBO
    at the z that was drawn; overhead = actual - theoretical is what the coder adds. `y_groups` sums to y.
    """

    container: int
    metadata: int
    alpha: int
    y: float
    z_gross: float
    bits_back: float
    theoretical: float
    actual: int
    overhead: float
    y_groups: tuple[float, ...]


def make_ledger(data: bytes, costs: Sequence[Costs]) -> Ledger:
    """The ledger of a file from the ideal bits of its segments."""
    sizes = bitstream.section_bits(data)
    groups = tuple(sum(parts) for parts in zip(*(cost.groups for cost in costs), strict=True))
    z_gross, bits_back = sum(cost.z_gross for cost in costs), sum(cost.bits_back for cost in costs)
    theoretical = sum(groups) + z_gross - bits_back
    return Ledger(
        sizes.container, sizes.metadata, sizes.alpha, sum(groups), z_gross, bits_back, theoretical,
        sizes.payload, sizes.payload - theoretical, groups,
    )  # fmt: skip
