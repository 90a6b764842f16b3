"""The models that this version ships, and the only place that opens weights.

A model file is safetensors: `prior.*` are the integers that decide the bits, the rest are the transforms in float16.
The model id, which every .vlae file carries, is a SHA-256 over the former: a change of the transforms alone changes
the pictures, never whether a file can be read. Importing this module imports neither torch nor numpy.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vlae_codec.errors import IncompatibleError

if TYPE_CHECKING:
    from torch import Tensor

    from vlae_codec.models.exact import ExactPrior
    from vlae_codec.models.vlae import VLAE

WEIGHTS = Path(__file__).parent / "weights"
ID_BYTES = 8
PRIOR = "prior."


@dataclass(frozen=True)
class Entry:
    """A shipped model. Numbers and names are never reused.

    id: hexadecimal, first 8 bytes of the SHA-256 of the integers; sha256: of the whole file.
    """

    number: int
    name: str
    id: str
    sha256: str

    @property
    def path(self) -> Path:
        """Its weights."""
        return WEIGHTS / f"{self.number:02d}-{self.name}.safetensors"


# Written out by hand. Before the first release an entry may be replaced by better weights, never after.
REGISTRY: tuple[Entry, ...] = (
    Entry(1, "psnr", "73a09672800154fc", "a2d425bc4bebaeac3330bf4f14d7739f267556de663eba518c738af0de569bb1"),
    Entry(2, "ssim", "4fdd1da2e25af565", "c092c33daad029c136fd32438e0b5ebff8f0dc1363d78a2b7b7389d8b43f1bf3"),
)
DEFAULT = "psnr"
TUNES = ("psnr", "ssim")
"""What models are tuned for; also their names."""


@dataclass(frozen=True)
class Model:
    """A loaded model: transforms in floating point, prior in integers.

    pixels, seconds: that it was trained for. tune: the distortion that it was trained for, as `--tune` names it.
    """

    name: str
    id: bytes
    transforms: VLAE
    prior: ExactPrior
    pixels: int
    seconds: float
    tune: str = "psnr"


def entry_of(key: str | bytes) -> Entry:
    """The newest shipped model of a name, or the one of an id.

    Raises:
        IncompatibleError: there is none.
    """
    for entry in reversed(REGISTRY):
        if key in (entry.name, bytes.fromhex(entry.id)):
            return entry
    known = ", ".join(f"{e.name} ({e.id})" for e in REGISTRY) or "none"
    wanted = key.hex() if isinstance(key, bytes) else key
    where = "the version of vlae-codec that wrote the file has it"
    raise IncompatibleError(f"model {wanted} is not part of this version, which has: {known}; {where}")


def name_of(model_id: bytes) -> str | None:
    """Name of the shipped model with this id; None if there is none."""
    return next((e.name for e in REGISTRY if bytes.fromhex(e.id) == model_id), None)


@cache
def load(key: str | bytes = DEFAULT) -> Model:
    """A shipped model by name or by id; loaded once per process.

    Raises:
        IncompatibleError: not shipped, or its file is missing or damaged.
    """
    entry = entry_of(key)
    return read(entry.path, entry.name, entry.sha256)


def read(path: Path, name: str, sha256: str | None = None) -> Model:
    """A model file; `sha256`, when given, must be that of its bytes."""
    import safetensors
    import safetensors.torch
    import torch

    from vlae_codec.models.config import Config
    from vlae_codec.models.exact import ExactPrior
    from vlae_codec.models.vlae import VLAE

    try:
        data = path.read_bytes()
    except OSError as error:
        raise IncompatibleError(f"{path}: weights of model {name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, found):
        raise IncompatibleError(f"{path}: damaged weights: SHA-256 {found}, expected {sha256}; install anew")
    tensors = safetensors.torch.load(data)
    with safetensors.safe_open(path, "pt") as file:
        metadata = {key: json.loads(value) for key, value in file.metadata().items()}
    # Made on the meta device it would take a second: torch draws weights there with what its compiler is made of.
    with torch.random.fork_rng(devices=[]):
        model = VLAE(Config(**metadata["config"])).to("meta")
    floats = {n: t.float() for n, t in tensors.items() if not n.startswith(PRIOR)}
    model.load_state_dict(floats, strict=False, assign=True)
    prior = {n.removeprefix(PRIOR): t for n, t in tensors.items() if n.startswith(PRIOR)}
    model.eval().requires_grad_(False)
    return Model(name, model_id(prior), model, ExactPrior(prior), **metadata["training"])


def model_id(prior: Mapping[str, Tensor]) -> bytes:
    """First 8 bytes of the SHA-256 over name, shape and little-endian 32-bit values of each tensor, by name."""
    digest = hashlib.sha256()
    for name in sorted(prior):
        values = prior[name].int().contiguous().numpy()
        digest.update(f"{name}{list(values.shape)}".encode())
        digest.update(values.astype("<i4").tobytes())
    return digest.digest()[:ID_BYTES]


def save(
    path: Path, model: VLAE, prior: Mapping[str, Tensor], pixels: int = 0, seconds: float = 0, tune: str = "psnr"
) -> None:
    """Write a model file: the transforms of `model` in float16, the integers of the prior, how it was trained."""
    import safetensors.torch

    transforms = ("analysis_net.", "synthesis_net.", "log_gain.", "log_inverse_gain.")
    tensors = {n: w.half().contiguous() for n, w in model.state_dict().items() if n.startswith(transforms)}
    tensors |= {f"{PRIOR}{name}": values.contiguous() for name, values in prior.items()}
    training = {"pixels": pixels, "seconds": seconds, "tune": tune}
    metadata = {"config": dataclasses.asdict(model.config), "training": training}
    safetensors.torch.save_file(tensors, path, {key: json.dumps(value) for key, value in metadata.items()})
