"""The parts that the networks are made of."""

import pytest
import torch
from torch import nn

from vlae_codec.models.blocks import GatedBlock, ResidualBlock, fast_bfloat16, normalised


def test_a_norm_takes_mean_and_size_of_every_position_away() -> None:
    x = torch.randn(2, 48, 5, 7, generator=torch.Generator().manual_seed(0))
    found = normalised(x)
    assert torch.allclose(found.mean(1), torch.zeros(2, 5, 7), atol=1e-6)
    assert torch.allclose(found.square().mean(1), torch.ones(2, 5, 7), atol=1e-4)
    sizes = torch.rand(2, 1, 5, 7) + 0.5
    assert torch.allclose(normalised(x * sizes + 3), found, atol=1e-3)
    assert not normalised(torch.full((1, 48, 2, 2), 0.5)).any()


def test_a_norm_keeps_the_order_in_memory() -> None:
    x = torch.randn(1, 16, 4, 6)
    last = x.to(memory_format=torch.channels_last)
    assert normalised(last).is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(normalised(last), normalised(x), atol=1e-6)


def test_a_gated_block_adds_nothing_where_all_channels_are_equal_and_it_has_no_biases() -> None:
    block = GatedBlock(32)
    flat = torch.full((1, 32, 6, 6), 2.0)
    assert torch.equal(block(flat), flat)
    assert not torch.equal(block(flat + torch.randn(1, 32, 6, 6)), flat)


def test_a_gated_block_costs_what_a_residual_block_costs() -> None:
    gated, residual = (
        sum(layer.weight.numel() for layer in block(192).modules() if isinstance(layer, nn.Conv2d))
        for block in (GatedBlock, ResidualBlock)
    )
    assert gated == pytest.approx(residual, rel=0.01)


@pytest.mark.parametrize("block", [GatedBlock, ResidualBlock])
def test_activations_stay_in_bfloat16(block: type[nn.Module]) -> None:
    x = torch.randn(1, 32, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert block(32)(x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "amx", "avx512", "fast"),
    [
        ("AMD EPYC", False, True, True),
        ("AMD EPYC", False, False, False),
        ("Intel Xeon", True, True, True),
        ("Intel Xeon", False, True, False),
    ],
)
def test_only_some_processors_are_fast_with_bfloat16(
    monkeypatch: pytest.MonkeyPatch, name: str, amx: bool, avx512: bool, fast: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert fast_bfloat16(torch.device("cpu")) == fast


def test_a_torch_that_does_not_name_the_processor_goes_by_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert fast_bfloat16(torch.device("cpu"))
