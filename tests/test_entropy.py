import hashlib
import itertools

import numpy as np
import pytest

from vlae_codec.entropy import (
    FRACTIONS,
    LEVELS,
    MEAN_STEPS,
    PRECISION,
    SYMBOL_MAX,
    Distributions,
    Ints,
    Kind,
    Stack,
    cumulative,
    level_std,
    table,
)
from vlae_codec.errors import BitstreamError

KEYS = [level * FRACTIONS + f for level in range(LEVELS) for f in range(0, FRACTIONS, int(MEAN_STEPS[level]))]


def draw(rng: np.random.Generator, n: int) -> tuple[Ints, Distributions]:
    """n symbols and their distributions, some of them escapes."""
    level = rng.integers(0, LEVELS, n).astype(np.int32)
    mean = rng.integers(-4000, 4000, n).astype(np.int32)
    symbols = np.rint(mean / FRACTIONS + level_std(level) * rng.normal(size=n)).astype(np.int32)
    symbols[:: max(n // 5, 1)] = rng.integers(-SYMBOL_MAX, SYMBOL_MAX, len(symbols[:: max(n // 5, 1)]))
    return symbols, Distributions(mean, level, Kind.LATENT)


def sampled(p: Distributions) -> Distributions:
    """The same distributions, to pop samples from."""
    return Distributions(p.mean, p.level, Kind.SAMPLED)


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_pop_after_push_returns_the_symbols_and_restores_the_stack(n: int) -> None:
    rng = np.random.default_rng(n)
    below, p_below = draw(rng, 50)
    stack = Stack()
    stack.push(below, p_below)
    before = stack.to_bytes()
    symbols, p = draw(rng, n)
    stack.push(symbols, p)
    assert np.array_equal(stack.pop(p), symbols)
    assert stack.to_bytes() == before


def test_push_after_pop_restores_the_stack_whatever_is_popped() -> None:
    rng = np.random.default_rng(1)
    stack = Stack()
    stack.push(*draw(rng, 50_000))
    before = stack.to_bytes()
    p = sampled(draw(rng, 100_000)[1])
    sample = stack.pop(p)
    stack.push(sample, p)
    assert stack.to_bytes() == before


def test_the_stack_grows_by_minus_log2_p() -> None:
    symbols, p = draw(np.random.default_rng(2), 20_000)
    stack = Stack()
    stack.push(symbols, p)
    half = stack.bits
    stack.push(symbols, p)
    assert stack.bits - half == pytest.approx(p.bits(symbols), rel=1e-5)
    assert half - p.bits(symbols) == pytest.approx(16, abs=17)


def test_a_popped_symbol_is_a_sample_of_its_distribution() -> None:
    rng = np.random.default_rng(3)
    stack = Stack()
    stack.push(*draw(rng, 20_000))
    n = 4000
    p = Distributions(np.full(n, 100, np.int32), np.full(n, 144, np.int32), Kind.SAMPLED)
    sample = stack.pop(p)
    assert sample.mean() == pytest.approx(100 / FRACTIONS, abs=4 * level_std(144) / n**0.5)
    assert sample.std() == pytest.approx(level_std(144), rel=0.06)
    assert np.abs(sample - 100 / FRACTIONS).max() <= 9 * level_std(144) + 2


def test_bytes_give_the_same_stack() -> None:
    symbols, p = draw(np.random.default_rng(4), 300)
    stack = Stack()
    stack.push(symbols, p)
    again = Stack(stack.to_bytes())
    assert again.bits == stack.bits
    assert np.array_equal(again.pop(p), symbols)
    assert again.bits == 0 and again.to_bytes() == b""


def test_a_payload_that_ends_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(BitstreamError, match="zero byte"):
        Stack(b"\1\0")


def test_a_symbol_outside_a_table_without_escapes_is_refused() -> None:
    p = Distributions(np.zeros(1, np.int32), np.zeros(1, np.int32), Kind.SAMPLED)
    with pytest.raises(BitstreamError, match="1 of 1 symbols"):
        Stack().push(np.array([50], np.int32), p)


@pytest.mark.parametrize(("kind", "share"), [(Kind.LATENT, 0.7195), (Kind.PRIOR, 0.6827), (Kind.SAMPLED, 0.6827)])
def test_a_table_has_the_deviation_of_its_level_and_the_shape_of_its_kind(kind: Kind, share: float) -> None:
    level = 192
    p = (table(level * FRACTIONS, kind) + 1) / 2**PRECISION
    k = np.arange(len(p)) - int(p.argmax())
    within = float(p[np.abs(k) <= level_std(level)].sum())
    assert float((p * k**2)[np.abs(k) < 9 * level_std(level)].sum()) == pytest.approx(level_std(level) ** 2, rel=0.01)
    assert within == pytest.approx(share, abs=0.02)


def test_any_other_bytes_decode_to_something() -> None:
    _, p = draw(np.random.default_rng(5), 100)
    for payload in (b"", b"\1", b"\xff" * 7):
        assert Stack(payload).pop(p).shape == (100,)


@pytest.mark.parametrize("kind", [Kind.LATENT, Kind.PRIOR])
def test_a_far_symbol_costs_an_escape_and_its_bits(kind: Kind) -> None:
    p = Distributions(np.zeros(1, np.int32), np.zeros(1, np.int32), kind)
    assert p.bits(np.array([20_000], np.int32)) == pytest.approx(21 + 16, abs=0.5)


def test_no_table_entry_is_so_near_to_a_rounding_boundary_that_another_erf_could_move_it() -> None:
    tables = (cumulative(key, kind) for key in KEYS for kind in Kind)
    nearest = min(float(np.abs(np.abs(below % 1) - 0.5).min()) for below in tables)
    assert nearest / 2**PRECISION > 1e-14


def test_tables_are_probabilities() -> None:
    for key, kind in itertools.product(KEYS[::37], Kind):
        counts = table(key, kind)
        assert (counts >= 0).all() and (counts == np.rint(counts)).all()
        assert counts.sum() + len(counts) == 1 << PRECISION


def test_tables_are_those_of_format_version_1() -> None:
    digest = hashlib.sha256()
    for key, kind in itertools.product(KEYS, Kind):
        digest.update(table(key, kind).astype("<i4").tobytes())
    assert digest.hexdigest() == GOLDEN


GOLDEN = "3746e40f48f51d8e45a4c272705d47f3cab13030fca411af0f3c7f96ca989b15"
