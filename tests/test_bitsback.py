import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlae_codec import bitsback
from vlae_codec.bitsback import PLAIN_STRIDE, Latents
from vlae_codec.entropy import FRACTIONS, LEAST_BITS, LEVELS, SYMBOL_MAX, Distributions, Kind, Stack, level_std
from vlae_codec.models import Model
from vlae_codec.models.exact import SegmentModel

LEVEL = 700


def segment(model: Model, height: int, width: int, seed: int = 0) -> tuple[SegmentModel, Latents]:
    """A segment's model, and random latents."""
    y = np.random.default_rng(seed).normal(0, 3, (model.prior.latent, height, width))
    segment_model = SegmentModel(model.prior, (height, width), LEVEL)
    return segment_model, bitsback.quantise(segment_model.split(y), segment_model)


def same(a: Latents, b: Latents) -> bool:
    """Whether symbols and values are equal."""
    pairs = zip([*a.symbols, *a.values], [*b.symbols, *b.values], strict=True)
    return all(np.array_equal(one, two) for one, two in pairs)


def test_decode_returns_the_latents_and_every_borrowed_bit(small_model: Model) -> None:
    model, latents = segment(small_model, 12, 20)
    stack = Stack()
    p = Distributions(np.zeros(40, np.int32), np.full(40, 60, np.int32), Kind.LATENT)
    stack.push(np.arange(-20, 20, dtype=np.int32), p)
    before = stack.to_bytes()
    costs = bitsback.encode(stack, latents, model)
    decoded, _ = bitsback.decode(stack, model, costs.borrowed)
    assert costs.borrowed and same(decoded, latents)
    assert stack.to_bytes() == before


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 4), (7, 13), (16, 16)])
@pytest.mark.parametrize("borrow", [True, False])
def test_every_size_round_trips(small_model: Model, size: tuple[int, int], borrow: bool) -> None:
    model, latents = segment(small_model, *size)
    stack = Stack()
    costs = bitsback.encode(stack, latents, model, borrow)
    decoded, measured = bitsback.decode(Stack(stack.to_bytes()), model, costs.borrowed, measure=True)
    assert same(decoded, latents) and measured == costs


def test_the_stack_grows_by_the_negative_elbo(small_model: Model) -> None:
    model, latents = segment(small_model, 32, 32)
    stack = Stack()
    costs = bitsback.encode(stack, latents, model)
    theoretical = sum(costs.groups) + costs.z_gross - costs.bits_back
    assert costs.bits_back > 0
    assert abs(stack.bits - theoretical) < 0.001 * theoretical + 24


def test_without_borrowing_nothing_comes_back(small_model: Model) -> None:
    model, latents = segment(small_model, 32, 32)
    stack = Stack()
    costs = bitsback.encode(stack, latents, model, borrow=False)
    assert costs.bits_back == 0 and not costs.borrowed
    assert abs(stack.bits - sum(costs.groups) - costs.z_gross) < 40


def test_a_stack_with_too_few_bits_lends_nothing(small_model: Model) -> None:
    model, latents = segment(small_model, 1, 1)
    stack, q = Stack(), model.posterior(latents.values[0])
    z, borrowed = bitsback.draw(stack, q)
    assert not borrowed and np.array_equal(z, q.mode(PLAIN_STRIDE))
    assert stack.bits == 0


def test_what_a_draw_leaves_is_at_least_the_reserve(small_model: Model) -> None:
    model, latents = segment(small_model, 8, 8)
    stack = Stack()
    stack.push(latents.symbols[-1], latents.p[-1].centred())
    _, borrowed = bitsback.draw(stack, model.posterior(latents.values[0]))
    assert borrowed and stack.bits >= LEAST_BITS


def test_each_group_is_rounded_about_what_those_before_it_predict(small_model: Model) -> None:
    y = np.random.default_rng(1).normal(0, 3, (small_model.prior.latent, 8, 8))
    model = SegmentModel(small_model.prior, (8, 8), LEVEL)
    latents = bitsback.quantise(model.split(y), model)
    assert np.abs(model.merge(latents.values) - FRACTIONS * y).max() <= FRACTIONS // 2
    assert not (latents.values[0] % FRACTIONS).any()
    predict = model.predictor()
    for t in range(1, bitsback.GROUPS):
        p = predict(latents.values[t - 1])
        assert np.array_equal(p.mean, latents.p[t - 1].mean)
        assert not ((latents.values[t] - p.mean) % FRACTIONS).any() and (latents.values[t] % FRACTIONS).any()


def test_latents_out_of_range_are_limited(small_model: Model) -> None:
    y = np.full((small_model.prior.latent, 4, 4), 1e9)
    model = SegmentModel(small_model.prior, (4, 4), LEVEL)
    assert all((group == SYMBOL_MAX).all() for group in bitsback.quantise(model.split(y), model).symbols)


def test_the_likelihood_of_the_first_group_depends_on_z(small_model: Model) -> None:
    model, latents = segment(small_model, 8, 8)
    z = model.posterior(latents.values[0]).mode(1)
    one, two = (model.first_likelihood(v) for v in (z, z + 3))
    assert not np.array_equal(one.mean, two.mean)


@given(st.integers(0, LEVELS - 1), st.floats(-40, 40), st.floats(0.001, 0.1))
def test_no_symbol_next_to_a_cheaply_rounded_one_is_better(level: int, x: float, bit_price: float) -> None:
    def cost(symbol: int) -> float:
        p = Distributions(np.zeros(1, np.int32), np.array([level], np.int32), Kind.LATENT)
        return (symbol - x) ** 2 + bit_price * p.bits(np.array([symbol], np.int32))

    p = Distributions(np.zeros(1, np.int32), np.array([level], np.int32), Kind.LATENT)
    (symbol,) = bitsback.rounded_cheaply(np.array([x]), p, bit_price).tolist()
    if abs(symbol) <= 5 * level_std(level):  # further out the tables end
        assert cost(symbol) <= min(cost(symbol - 1), cost(symbol + 1)) + 1e-3 * bit_price
