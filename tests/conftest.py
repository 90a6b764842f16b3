"""What several tests share: a small untrained model, exported as a model file, and photographs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vlae_codec import cli, models
from vlae_codec.images import Picture
from vlae_codec.models.config import Config
from vlae_codec.models.vlae import VLAE

torch.set_num_threads(1)  # the models are small, and threads that wait for each other on a busy machine take minutes

SMALL = Config(
    latent=16, hyper_latent=4, features=16, hyper_width=16, context=16,
    width8=16, width16=16, analysis_blocks8=1, synthesis_blocks4=1, synthesis_blocks8=1, anchors=3,
)  # fmt: skip


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """(512, 512, 3) uint8."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def coffee() -> Picture:
    """A photograph that the shipped models were not trained on, 400x600."""
    from skimage import data

    return Picture(np.ascontiguousarray(data.coffee()), None, {})


@pytest.fixture(scope="session")
def small_vlae() -> VLAE:
    """Untrained weights with some life in them: latents vary, z matters."""
    torch.manual_seed(0)
    model = VLAE(SMALL)
    with torch.no_grad():
        model.analysis_net.out.weight.mul_(4)
        model.hyper_analysis.out.weight.mul_(3)
        for context in model.contexts:
            context.head.out.weight.mul_(5)
            context.modulation.scale.values[0].mul_(0.7)
            context.modulation.shift.values[-1].add_(0.1)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def small_model(small_vlae: VLAE, tmp_path_factory: pytest.TempPathFactory) -> models.Model:
    """The model above as a file, read back."""
    from vlae_codec.training.export import hyper_grid, integers, prior_weights

    x = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 0.2
    grid = hyper_grid(small_vlae, x)
    path: Path = tmp_path_factory.mktemp("model") / "small.safetensors"
    models.save(path, small_vlae, integers(prior_weights(small_vlae, grid), small_vlae, grid))
    return models.read(path, "small")


@pytest.fixture
def use_small_model(small_model: models.Model, monkeypatch: pytest.MonkeyPatch) -> models.Model:
    """The codec finds the small model under every name and id."""
    monkeypatch.setattr(models, "load", lambda key=models.DEFAULT: small_model)
    return small_model


@pytest.fixture
def vlae(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command here and now: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments, prog_name="vlae")
        return int(ended.value.code or 0), *capfd.readouterr()

    return run
