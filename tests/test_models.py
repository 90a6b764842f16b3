import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vlae_codec import models
from vlae_codec.errors import IncompatibleError
from vlae_codec.training.export import prove_bounds

MAX_BYTES = 50_000_000  # of all weights in the wheel


def test_every_shipped_model_is_the_file_that_the_registry_names() -> None:
    assert models.REGISTRY
    for entry in models.REGISTRY:
        assert hashlib.sha256(entry.path.read_bytes()).hexdigest() == entry.sha256
        assert models.load(entry.name).id.hex() == models.load(bytes.fromhex(entry.id)).id.hex() == entry.id


def test_weights_together_stay_below_the_limit() -> None:
    assert sum(path.stat().st_size for path in models.WEIGHTS.iterdir()) < MAX_BYTES


def test_every_layer_of_shipped_priors_is_exact() -> None:
    for entry in models.REGISTRY:
        assert prove_bounds(dict(models.load(entry.name).prior.tensors)) > 1


def test_numbers_and_names_of_the_registry_are_used_once() -> None:
    for values in zip(*((e.number, e.path, e.id) for e in models.REGISTRY), strict=True):
        assert len(set(values)) == len(values)


def test_the_id_depends_on_every_integer_and_on_nothing_else(small_model: models.Model) -> None:
    tensors = dict(small_model.prior.tensors)
    assert models.model_id(tensors) == small_model.id
    assert models.model_id(dict(reversed(tensors.items()))) == small_model.id
    assert models.model_id({n: t.int() for n, t in tensors.items()}) == small_model.id
    for name in tensors:
        changed = {**tensors, name: tensors[name].clone()}
        changed[name].view(-1)[-1] += 1
        assert models.model_id(changed) != small_model.id


def test_damaged_weights_are_refused(tmp_path: Path, small_model: models.Model) -> None:
    entry = models.REGISTRY[0]
    data = bytearray(entry.path.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(data)
    with pytest.raises(IncompatibleError, match="SHA-256"):
        models.read(path, "psnr", entry.sha256)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="cannot be read"):
        models.read(tmp_path / "none.safetensors", "psnr")


def test_an_unknown_name_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(IncompatibleError, match=r"model best .* psnr"):
        models.entry_of("best")


def test_transforms_are_float32_and_nothing_in_the_prior_is_trained(small_model: models.Model) -> None:
    assert small_model.transforms.analysis_net.out.weight.dtype == torch.float32
    assert not any(p.requires_grad for p in small_model.transforms.parameters())


def test_importing_the_registry_imports_neither_torch_nor_numpy() -> None:
    program = "import sys, vlae_codec.models; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_loading_a_model_leaves_the_random_state_as_it_was() -> None:
    models.load.cache_clear()
    before = torch.get_rng_state()
    models.load()
    assert torch.equal(before, torch.get_rng_state())


def test_a_precise_convolution_is_float32_under_autocast_and_its_gradients_are_nearly_so() -> None:
    from vlae_codec.models.blocks import PreciseConv2d

    torch.manual_seed(0)
    layer, x, slope = PreciseConv2d(64, 32, 1), torch.randn(2, 64, 8, 8, requires_grad=True), torch.randn(2, 32, 8, 8)
    wanted = torch.autograd.grad(plain := layer(x), [x, *layer.parameters()], slope)
    with torch.autocast("cpu", torch.bfloat16):
        fast = layer(x)
    assert torch.equal(fast, plain)
    for one, two in zip(torch.autograd.grad(fast, [x, *layer.parameters()], slope), wanted, strict=True):
        assert one.dtype == torch.float32 and float((one - two).norm()) < 0.01 * float(two.norm())
