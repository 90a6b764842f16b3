"""docs/FORMAT.md against the codec: a decoder written from the document reads what the codec writes."""

import ast
import copy
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import independent_decoder as independent
import independent_networks
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from vlae_codec import bitsback, bitstream, codec, entropy, models, segments
from vlae_codec.bitsback import PLAIN_STRIDE
from vlae_codec.bitstream import Container, Header
from vlae_codec.entropy import FRACTIONS, LEVELS, MEAN_STEPS, SYMBOL_MAX, Distributions, Ints, Kind, Stack
from vlae_codec.images import Picture
from vlae_codec.models.exact import MEAN_MAX, SegmentModel
from vlae_codec.models.vlae import VLAE
from vlae_codec.timing import Stopwatch
from vlae_codec.training.export import hyper_grid, integers, prior_weights

Pixels = NDArray[np.uint8]
Arrays = dict[str, NDArray[np.generic]]
DOCUMENT = Path(__file__).parent.parent / "docs" / "FORMAT.md"
KEYS = [(level, f) for level in range(LEVELS) for f in range(0, FRACTIONS, int(MEAN_STEPS[level]))]
KINDS = {Kind.LATENT: "ŷ", Kind.PRIOR: "z", Kind.SAMPLED: "q"}  # as the independent decoder calls them


@pytest.fixture(scope="module")
def lively(small_vlae: VLAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file: the small model with no number left where it began."""
    model, generator = copy.deepcopy(small_vlae), torch.Generator().manual_seed(5)
    with torch.no_grad():
        weights = dict(model.named_parameters())
        for name, values in weights.items():
            if "bias" in name or "modulation" in name:
                values.add_(0.2 * torch.randn(values.shape, generator=generator))
        weights["hyper_analysis.out.weight"][:4].mul_(80)  # means of z beyond their limit
        weights["contexts.1.inp.weight"].mul_(10)  # more than 16 bits hold without a shift
        weights["log_prior_std"].copy_(torch.linspace(-4, 1, 4))
        weights["synthesis_net.out.weight"].mul_(1.5)
    grid = hyper_grid(model, 0.2 * torch.randn(1, 3, 64, 64, generator=generator))
    grid = replace(grid, first_quality=torch.linspace(0, 600, len(grid.kept)))
    path = tmp_path_factory.mktemp("model") / "lively.safetensors"
    tensors = integers(prior_weights(model, grid), model, grid)
    tensors["contexts.0.head.out.weight"][-1] = 0  # a deviation that lies on a threshold
    tensors["contexts.0.head.out.bias"][-1] = 16 * tensors["std_thresholds"][30]
    models.save(path, model, tensors)
    return path


@pytest.fixture
def arrays(lively: Path, monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """The arrays of that file; the codec finds it under every name."""
    model = models.read(lively, "lively")
    monkeypatch.setattr(models, "load", lambda key=models.DEFAULT: model)
    return load_file(lively)


def crop(photo: Pixels, height: int, width: int, channels: int = 3) -> Picture:
    """A piece of the photograph, repeated if it is too small."""
    pixels = np.tile(photo, (-(-height // 512), -(-width // 512), 1))[:height, :width, :channels]
    return Picture(np.ascontiguousarray(pixels), None, {})


def assert_decodes_alike(data: bytes, arrays: Arrays) -> None:
    """Both decoders give the same latents, and pixels of which a few differ by rounding."""
    y, pixels = independent.decode(data, arrays)
    wanted = codec.decode(data).pixels
    assert np.array_equal(codec.latents(data), y)
    assert pixels.shape == wanted.shape
    error = np.abs(pixels.astype(int) - wanted)
    assert error.max() <= 1 and np.count_nonzero(error) <= 1 + error.size // 1000


@pytest.mark.parametrize(
    ("size", "channels", "quality", "borrowed"),
    [
        ((1, 1), 3, 0, False),
        ((1, 90), 1, 20, True),
        ((37, 53), 3, 50, True),
        ((96, 64), 3, 33.3, False),
        ((130, 201), 1, 93.7, True),
        ((130, 201), 3, 100, True),
        ((1025, 1040), 1, 5, True),
    ],
)
def test_a_decoder_written_from_the_document_reads_every_file(
    photo: Pixels, arrays: Arrays, size: tuple[int, int], channels: int, quality: float, borrowed: bool
) -> None:
    encoded = codec.encode(crop(photo, *size, channels), quality, bits_back=borrowed)
    assert_decodes_alike(encoded.data, arrays)


def test_metadata_and_alpha_are_told_from_segments(photo: Pixels, arrays: Arrays) -> None:
    picture = replace(crop(photo, 40, 30), alpha=photo[:40, :30, 0], metadata={"icc": bytes(300), "xmp": b"<x/>"})
    assert_decodes_alike(codec.encode(picture).data, arrays)


@pytest.mark.parametrize("borrowed", [True, False])
def test_wild_latents_are_decoded_alike(arrays: Arrays, borrowed: bool) -> None:
    wild = np.random.default_rng(0).standard_cauchy((16, 5, 6)) * 30
    wild[:2, 0] = [[SYMBOL_MAX], [-SYMBOL_MAX]]
    y = wild.clip(-SYMBOL_MAX, SYMBOL_MAX).astype(np.float32)
    model, level = models.load(), 700
    assert_wild(SegmentModel(model.prior, (5, 6), level), y)
    segment, _ = segments.encode(y, model, level, borrowed, 0.0, Stopwatch(None))
    assert segment.bits_back == borrowed
    header = Header(False, model.id, level, 6 * 16, 5 * 16)
    assert_decodes_alike(bitstream.pack(Container(header, {}, None, (segment,))), arrays)


def assert_wild(model: SegmentModel, y: NDArray[np.float32]) -> None:
    """Means of z reach their limit, a level of z is below the lowest without bits-back, and ŷ and z have escapes."""
    latents = bitsback.quantise(model.split(y), model)
    q = model.posterior(latents.values[0])
    assert np.abs(q.mean).max() == MEAN_MAX * FRACTIONS
    assert model.prior(1).level.min() < independent_networks.PLAIN_LEVELS
    z = q.mode(PLAIN_STRIDE)
    coded = [model.first_likelihood(PLAIN_STRIDE * z), *(p.centred() for p in latents.p)]
    for p, symbols in [*zip(coded, latents.symbols, strict=True), (model.prior(PLAIN_STRIDE), z)]:
        assert p.grouping.index(symbols)[1].any()


def distributions(n: int, kind: Kind) -> Distributions:
    """Of n symbols, over all levels."""
    rng = np.random.default_rng(n)
    mean, level = rng.integers(-4000, 4000, n), rng.integers(0, LEVELS, n)
    return Distributions(mean.astype(np.int32), level.astype(np.int32), kind)


def wide(*values: Ints) -> list[independent_networks.Ints]:
    """The same numbers in 64 bits."""
    return [v.astype(np.int64) for v in values]


@pytest.mark.parametrize("kind", [Kind.LATENT, Kind.PRIOR])
def test_a_list_and_its_escapes_are_popped_as_they_were_pushed(kind: Kind) -> None:
    p = distributions(500, kind)
    symbols = p.mode(1)
    symbols[::7] = np.linspace(-SYMBOL_MAX, SYMBOL_MAX, len(symbols[::7])).astype(np.int32)
    stack = Stack()
    stack.push(symbols, p)
    other = independent.Stack(stack.to_bytes())
    assert np.array_equal(independent.pop_list(other, *wide(p.mean, p.level), KINDS[kind]), symbols)
    assert not other.words and other.state < 2


def test_a_list_that_was_drawn_goes_back_to_the_same_bits() -> None:
    stack, q = Stack(np.random.default_rng(0).bytes(4000) + b"\1"), distributions(600, Kind.SAMPLED)
    wanted = independent.Stack(stack.to_bytes())
    symbols = stack.pop(q)
    found = independent.Stack(stack.to_bytes())
    independent.push_list(found, *wide(symbols, q.mean, q.level))
    assert (found.words, found.state) == (wanted.words, wanted.state)


def test_tables_and_the_digest_in_the_document_are_those_of_the_codec() -> None:
    digest = hashlib.sha256()
    for level, f in KEYS:
        for kind in Kind:
            counts = np.diff(independent.table(level, f, KINDS[kind])) - 1
            assert np.array_equal(counts, entropy.table(level * FRACTIONS + f, kind))
            digest.update(counts.astype("<i4").tobytes())
    assert digest.hexdigest() in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("module", [independent, independent_networks])
def test_the_independent_decoder_shares_no_code_with_the_codec(module: ModuleType) -> None:
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names <= {*sys.stdlib_module_names, "numpy", "independent_networks"}


@pytest.mark.parametrize("name", sorted({entry.name for entry in models.REGISTRY}))
def test_files_of_shipped_models_are_decoded_alike(photo: Pixels, name: str) -> None:
    data = codec.encode(crop(photo, 90, 77), 40, model=name).data
    assert_decodes_alike(data, load_file(models.entry_of(name).path))
