"""The same file gives the same latents whatever computes them: threads, instruction sets, libraries, precisions.

Each circumstance is a process of its own, because these settings are read when torch starts.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vlae_codec import codec, models
from vlae_codec.images import Picture

PROGRAM = """
import hashlib, sys, torch
from pathlib import Path
from vlae_codec import codec, models

precision, threads, onednn, *paths = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.backends.mkldnn.enabled = onednn == "on"
model = models.read(Path(paths[0]), "any")
models.load = lambda key=None: model
digest = hashlib.sha256()
for path in paths[1:]:
    data = Path(path).read_bytes()
    digest.update(codec.latents(data).tobytes())
    codec.decode(data, precision=getattr(torch, precision))
print(digest.hexdigest())
"""

CIRCUMSTANCES = [
    ("float32", "1", "on", {}),
    ("float32", "2", "on", {}),
    ("float32", "2", "off", {}),
    ("bfloat16", "1", "on", {}),
    ("bfloat16", "2", "off", {"ATEN_CPU_CAPABILITY": "avx2"}),
    ("float32", "1", "on", {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}),
    ("float32", "1", "on", {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}),
    ("float32", "2", "on", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"}),
    ("float32", "1", "on", {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16", "MKL_CBWR": "COMPATIBLE"}),
]


@pytest.fixture(scope="module")
def files(photo: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """The shipped model and files that it wrote here, at three qualities; the hash of their latents."""
    folder = tmp_path_factory.mktemp("circumstances")
    digest, paths = hashlib.sha256(), []
    for quality in (5, 50, 95):
        data = codec.encode(Picture(photo[:187, :251], None, {}), quality).data
        path = folder / f"{quality}.vlae"
        path.write_bytes(data)
        digest.update(codec.latents(data).tobytes())
        paths.append(str(path))
    return [str(models.entry_of(models.DEFAULT).path), *paths], digest.hexdigest()


@pytest.mark.parametrize(("precision", "threads", "onednn", "environment"), CIRCUMSTANCES)
def test_a_file_gives_the_same_latents(
    files: tuple[list[str], str], precision: str, threads: str, onednn: str, environment: dict[str, str]
) -> None:
    arguments, wanted = files
    command = [sys.executable, "-c", PROGRAM, precision, threads, onednn, *arguments]
    root = Path(codec.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == wanted


def test_float_networks_do_differ_between_circumstances(photo: NDArray[np.uint8]) -> None:
    """What the tests above would miss if both sides of them were the same computation."""
    transforms = models.load().transforms
    x = torch.from_numpy(photo[:128, :128]).permute(2, 0, 1)[None].float() / 255 - 0.5
    with torch.inference_mode():
        one = transforms.analysis(x, torch.tensor([0.9]))
        with torch.autocast("cpu", torch.bfloat16):
            two = transforms.analysis(x, torch.tensor([0.9]))
    assert not torch.equal(one, two)
