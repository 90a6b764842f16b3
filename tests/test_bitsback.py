import numpy as np
import pytest
import torch

from vlae_codec import bitsback
from vlae_codec.bitsback import PLAIN_STRIDE
from vlae_codec.entropy import LEAST_BITS, Gaussians, Ints, Stack
from vlae_codec.models import Model
from vlae_codec.models.exact import SegmentModel

LEVEL = 700


def segment(model: Model, height: int, width: int, seed: int = 0) -> tuple[SegmentModel, list[Ints]]:
    """A segment's model, and random latents in groups."""
    rng = np.random.default_rng(seed)
    y = np.rint(rng.normal(0, 3, (model.prior.latent, height, width))).astype(np.int32)
    segment_model = SegmentModel(model.prior, (height, width), LEVEL)
    return segment_model, segment_model.split(y)


def test_decode_returns_the_latents_and_every_borrowed_bit(small_model: Model) -> None:
    model, groups = segment(small_model, 12, 20)
    stack = Stack()
    p = Gaussians(np.zeros(40, np.int32), np.full(40, 60, np.int32))
    stack.push(np.arange(-20, 20, dtype=np.int32), p)
    before = stack.to_bytes()
    costs = bitsback.encode(stack, groups, model)
    decoded, _ = bitsback.decode(stack, model, costs.borrowed)
    assert costs.borrowed
    assert all(np.array_equal(a, b) for a, b in zip(decoded, groups, strict=True))
    assert stack.to_bytes() == before


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 4), (7, 13), (16, 16)])
@pytest.mark.parametrize("borrow", [True, False])
def test_every_size_round_trips(small_model: Model, size: tuple[int, int], borrow: bool) -> None:
    model, groups = segment(small_model, *size)
    stack = Stack()
    costs = bitsback.encode(stack, groups, model, borrow)
    decoded, measured = bitsback.decode(Stack(stack.to_bytes()), model, costs.borrowed, measure=True)
    assert all(np.array_equal(a, b) for a, b in zip(decoded, groups, strict=True))
    assert measured == costs


def test_the_stack_grows_by_the_negative_elbo(small_model: Model) -> None:
    model, groups = segment(small_model, 32, 32)
    stack = Stack()
    costs = bitsback.encode(stack, groups, model)
    theoretical = sum(costs.groups) + costs.z_gross - costs.bits_back
    assert costs.bits_back > 0
    assert abs(stack.bits - theoretical) < 0.001 * theoretical + 24


def test_without_borrowing_nothing_comes_back(small_model: Model) -> None:
    model, groups = segment(small_model, 32, 32)
    stack = Stack()
    costs = bitsback.encode(stack, groups, model, borrow=False)
    assert costs.bits_back == 0 and not costs.borrowed
    assert abs(stack.bits - sum(costs.groups) - costs.z_gross) < 40


def test_a_stack_with_too_few_bits_lends_nothing(small_model: Model) -> None:
    model, groups = segment(small_model, 1, 1)
    stack = Stack()
    p = model.likelihood(groups[:3], None)
    model_q = model.posterior(groups[:3])
    assert p.mean.size == groups[3].size
    z, borrowed = bitsback.draw(stack, model_q)
    assert not borrowed and np.array_equal(z, model_q.mode(PLAIN_STRIDE))
    assert stack.bits == 0


def test_what_a_draw_leaves_is_at_least_the_reserve(small_model: Model) -> None:
    model, groups = segment(small_model, 8, 8)
    stack = Stack()
    stack.push(groups[3], model.likelihood(groups[:3], None))
    _, borrowed = bitsback.draw(stack, model.posterior(groups[:3]))
    assert borrowed and stack.bits >= LEAST_BITS


def test_the_posterior_looks_at_known_groups_only_and_the_last_likelihood_not_at_z(small_model: Model) -> None:
    model, groups = segment(small_model, 8, 8)
    q = model.posterior(groups[:3])
    again = model.posterior([*groups[:3], groups[3] + 5][:3])
    assert np.array_equal(q.mean, again.mean)
    assert "features" not in model.exact.contexts[3] and "features" in model.exact.contexts[2]


def test_likelihoods_depend_on_z(small_model: Model) -> None:
    model, groups = segment(small_model, 8, 8)
    z = model.posterior(groups[:3]).mode(1)
    one, two = (model.likelihood([], model.condition(v)) for v in (z, z + 3))
    assert not np.array_equal(one.mean, two.mean)
    assert torch.is_tensor(model.condition(z))
