"""The fixed-point prior against the float one, and against itself in other circumstances."""

import numpy as np
import pytest
import torch

from vlae_codec.bitsback import quantise
from vlae_codec.entropy import FRACTIONS, LEVELS, LEVELS_PER_OCTAVE, Distributions, level_std
from vlae_codec.errors import LimitError
from vlae_codec.models import Model
from vlae_codec.models.exact import (
    ACTIVATION_SCALE,
    FixedConv2d,
    SegmentModel,
    enter,
    interpolate,
    requantise,
    whole_weight,
)
from vlae_codec.models.vlae import LATENT_UNIT, MIN_STD, VLAE
from vlae_codec.training.export import HyperGrid, hyper_grid, integers, prior_weights, prove_bounds


def crops(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 0.2


@pytest.mark.parametrize("level", [0, 1, 123, 499, 500, 999, 1000])
def test_anchors_are_interpolated_as_in_training(small_vlae: VLAE, level: int) -> None:
    anchors = torch.tensor([[0, 100], [400, -300], [1000, 7]])
    wanted = np.array([np.interp(level / 500, [0, 1, 2], column) for column in anchors.numpy().T])
    found = interpolate(anchors, level).flatten().numpy() * (1 << 14)
    assert np.abs(found - wanted).max() <= 1


def test_activations_lie_on_their_grid_and_in_their_range() -> None:
    x = torch.linspace(-2000, 2000, 9999, dtype=torch.float64)
    y = requantise(x)
    assert torch.equal(y * ACTIVATION_SCALE, (y * ACTIVATION_SCALE).round())
    assert float(y.max()) == 127 and float(y.min()) == -127
    assert float(requantise(torch.tensor(-8.0, dtype=torch.float64))) == -1


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_the_exact_prior_agrees_with_the_float_one(small_vlae: VLAE, small_model: Model, rate: float) -> None:
    grid = hyper_grid(small_vlae, crops())
    rates = torch.tensor([rate])
    y = small_vlae.analysis(crops(1) / 2, rates)  # larger latents would bring activations to their limit
    model = SegmentModel(small_model.prior, (y.shape[2], y.shape[3]), round(rate * 1000))
    kept = quantise(model.split(y[0].numpy()), model)
    groups = small_vlae.split(torch.from_numpy(model.merge(kept.values))[None] / FRACTIONS)
    mean, log_std = small_vlae.hyper_analysis(groups[0] / LATENT_UNIT).chunk(2, 1)
    mean, std = (v[:, grid.kept] / step_of(grid) for v in (mean, log_std.exp()))
    q = model.posterior(kept.values[0])
    assert_close(q, mean[:, model.coded], std[:, model.coded])
    z = np.clip(q.mode(1), -300, 300)
    full = torch.zeros(1, 4, *model.hyper_shape[2:])
    coded = model.coded
    full[:, grid.kept[coded]] = torch.from_numpy(z).float().reshape(model.hyper_shape) * step_of(grid)[:, coded]
    assert_close(model.first_likelihood(z), *small_vlae.first_likelihood(full, rates))
    predict = small_vlae.predictor(rates)
    for group, p in zip(groups, kept.p, strict=False):
        assert_close(p, *predict(group))


def step_of(grid: HyperGrid) -> torch.Tensor:
    return grid.step[None, :, None, None]


def test_the_least_deviation_that_is_learned_is_that_of_the_first_level() -> None:
    assert pytest.approx(level_std(0), rel=1e-12) == MIN_STD


def assert_close(found: Distributions, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Means within four 64ths and 0.2 %, levels within one of the nearest."""
    wanted = mean.flatten().numpy() * FRACTIONS
    assert (np.abs(found.mean - wanted) <= 4 + 0.002 * np.abs(wanted)).all()
    level = (LEVELS_PER_OCTAVE * (std.expand(mean.shape) / level_std(0)).log2()).clamp(0, LEVELS - 1).flatten().numpy()
    assert np.abs(found.level - level).max() <= 1


def test_split_and_merge_agree_with_the_float_model(small_vlae: VLAE, small_model: Model) -> None:
    y = torch.randint(-9, 9, (1, 16, 8, 12), generator=torch.Generator().manual_seed(0))
    model = SegmentModel(small_model.prior, (8, 12), 0)
    flat = model.split(y[0].int().numpy())
    for mine, theirs in zip(flat, small_vlae.split(y.float()), strict=True):
        assert np.array_equal(mine, theirs.flatten().int().numpy())
    assert np.array_equal(model.merge(flat), y[0].numpy())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (4, 4), (7, 2)])
def test_merge_undoes_split_at_any_size(small_model: Model, height: int, width: int) -> None:
    y = np.random.default_rng(0).integers(-50, 50, (16, height, width)).astype(np.int32)
    model = SegmentModel(small_model.prior, (height, width), 0)
    groups = model.split(y)
    assert sum(g.size for g in groups) == y.size
    assert np.array_equal(model.merge(groups), y)


def test_every_layer_stays_exact_for_the_largest_inputs(small_model: Model) -> None:
    assert prove_bounds(dict(small_model.prior.tensors)) > 0


def test_sums_equal_those_of_whole_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-30000, 30000, (8, 24, 3, 3), generator=generator)
    bias = torch.randint(-30000, 30000, (8,), generator=generator)
    x = torch.randint(-130048, 130048, (1, 24, 6, 5), generator=generator)
    found = FixedConv2d({"c.weight": weight, "c.bias": bias, "c.shift": torch.full((8,), 2)}, "c")(
        x.double() / ACTIVATION_SCALE
    )
    wanted = torch.nn.functional.conv2d(x, 4 * weight, padding=1) + bias[None, :, None, None] * ACTIVATION_SCALE
    assert torch.equal(found * (ACTIVATION_SCALE << 14), wanted.double())


def test_a_layer_that_could_leave_the_exact_range_is_refused(small_vlae: VLAE) -> None:
    grid = hyper_grid(small_vlae, crops())
    tensors = integers(prior_weights(small_vlae, grid), small_vlae, grid)
    tensors["contexts.1.inp.weight"] = torch.full_like(tensors["contexts.1.inp.weight"], 2**31 - 1, dtype=torch.int32)
    with pytest.raises(LimitError, match=r"contexts\.1\.inp"):
        prove_bounds(tensors)


def test_a_number_that_does_not_fit_is_refused(small_vlae: VLAE) -> None:
    grid = hyper_grid(small_vlae, crops())
    weights = prior_weights(small_vlae, grid)
    weights["contexts.0.head.out.bias"] = weights["contexts.0.head.out.bias"] + 1e6
    with pytest.raises(LimitError, match="32 bits"):
        integers(weights, small_vlae, grid)


def test_large_weights_are_kept_as_sixteen_bits_and_a_shift(small_vlae: VLAE) -> None:
    grid = hyper_grid(small_vlae, crops())
    weights = prior_weights(small_vlae, grid)
    weights["contexts.1.inp.weight"] = weights["contexts.1.inp.weight"] * 100
    tensors = integers(weights, small_vlae, grid)
    assert tensors["contexts.1.inp.weight"].dtype == torch.int16
    shift = tensors["contexts.1.inp.shift"]
    assert int(shift.min()) > 0
    error = whole_weight(tensors, "contexts.1.inp") / 2**14 - weights["contexts.1.inp.weight"]
    assert (error.abs().flatten(1).amax(1) <= 2.0 ** (shift - 15)).all()


def test_latents_beyond_the_range_of_activations_are_clamped() -> None:
    assert enter(torch.tensor([-9000.0, 3.0, 9000.0])).tolist() == [-127, 0.75, 127]


def test_channels_of_z_begin_at_their_quality(small_model: Model) -> None:
    first = small_model.prior.first_quality.tolist()
    for level in {0, 1000, *first, *(max(f - 1, 0) for f in first)}:
        model = SegmentModel(small_model.prior, (4, 4), level)
        assert model.coded.tolist() == [c for c, f in enumerate(first) if f <= level]
        assert model.prior(1).mean.size == len(model.coded)
