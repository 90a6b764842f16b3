"""Training on latents as effort 3 finds them."""

import numpy as np
import pytest
import torch
from conftest import SMALL
from numpy.typing import NDArray

from vlae_codec import models, refine, tiles
from vlae_codec.models.floating import floating
from vlae_codec.models.vlae import VLAE
from vlae_codec.problem import Problem
from vlae_codec.training import searched as module
from vlae_codec.training.config import Objective
from vlae_codec.training.data import to_floats
from vlae_codec.training.objective import evaluate, latent_bits
from vlae_codec.training.searched import searched

Pixels = NDArray[np.uint8]
RATES = torch.tensor([0.3, 0.8])


@pytest.fixture
def whole_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps as long as the encoder's."""
    monkeypatch.setattr(module, "LONGEST", 1.0)
    monkeypatch.setattr(torch, "rand_like", torch.ones_like)


@pytest.fixture
def crops(photo: Pixels) -> Pixels:
    return np.stack([photo[:128, 50:178], photo[200:328, 200:328]])


@pytest.mark.usefixtures("whole_steps")
def test_the_latents_are_those_that_the_encoder_finds_for_each_picture_alone(crops: Pixels) -> None:
    """Of the two groups that the encoder rounds last, as it gives the others rounded."""
    model, whole, x = floating(models.load()), tiles.whole(128, 128), to_floats(torch.from_numpy(crops))
    with torch.no_grad():
        y = model.analysis(x, RATES)
        found = searched(model, x, y, RATES, "psnr")
        for k, pixels in enumerate(crops):
            problem = Problem(model, pixels, RATES[k : k + 1])
            alone = torch.from_numpy(refine.settle(problem, y[k].numpy(), whole, whole))[None]
            pairs = list(zip(model.split(found[k : k + 1]), model.split(alone), strict=True))
            differences = torch.cat([(one - other).abs().flatten() for one, other in pairs[5:]])
            assert differences.quantile(0.99) < 0.01 and differences.max() < 0.2  # one rounding may differ
            assert sum(float((one - other).abs().max()) > 0.3 for one, other in pairs[:5]) == 5


@pytest.mark.usefixtures("whole_steps")
def test_they_cost_less(crops: Pixels) -> None:
    model, x = floating(models.load()), to_floats(torch.from_numpy(crops))

    def cost(y: torch.Tensor) -> torch.Tensor:
        shown, bits = latent_bits(model, y, RATES, noise=False)
        error = (model.synthesis(shown, RATES) - x).square().mean((1, 2, 3)) * 255**2
        return bits.total / 128**2 + model.config.rate_to_lambda(RATES) * error

    with torch.no_grad():
        y = model.analysis(x, RATES)
        assert (cost(searched(model, x, y, RATES, "psnr")) < 0.99 * cost(y)).all()


def test_steps_differ_in_length_and_the_gradient_passes_straight_through(small_vlae: VLAE, crops: Pixels) -> None:
    x = to_floats(torch.from_numpy(crops))
    y = small_vlae.analysis(x, RATES).requires_grad_()
    torch.manual_seed(0)
    one, other = (searched(small_vlae, x, y, RATES, "psnr") for _ in range(2))
    assert not torch.allclose(one, other) and not torch.allclose(one, y)
    weights = torch.rand_like(y)
    (slope,) = torch.autograd.grad((weights * one).sum(), y)
    assert torch.equal(slope, weights)


@pytest.mark.parametrize("tune", ["psnr", "ssim"])
def test_every_network_learns_from_them(small_vlae: VLAE, tune: str, photo: Pixels) -> None:
    model = VLAE(SMALL)
    model.load_state_dict(small_vlae.state_dict())
    x = to_floats(torch.from_numpy(np.stack([photo[:192, :192], photo[100:292, 100:292]])))
    torch.manual_seed(0)
    plain = evaluate(model, x, RATES, Objective(tune=tune), 0).loss
    torch.manual_seed(0)
    moved = evaluate(model, x, RATES, Objective(tune=tune, searched=True), 0).loss
    moved.backward()
    assert not torch.equal(moved, plain)
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
