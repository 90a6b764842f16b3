"""A model card: what a model file is, how it was made and measured, written beside it by `vlae export`."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

from vlae_codec import models
from vlae_codec.machine import machine
from vlae_codec.training.checkpoint import Checkpoint
from vlae_codec.training.diagnose import Measurement, table, verdict
from vlae_codec.training.export import Report

MANIFEST = "MANIFEST.tsv"  # beside the photographs: columns file, source, licence
LIMITS = """\
Trained on photographs. Text, screenshots and drawings cost more bits than in PNG or lossless WebP and get soft edges;
noise is smoothed at low qualities; very small pictures pay for a header of about 32 bytes. Quality is tuned for PSNR
or MS-SSIM, not for the eye. No one should base decisions about people on details of a picture that was compressed at
low quality.
"""


def write_card(
    path: Path, checkpoint: Checkpoint, report: Report, measurements: list[Measurement], folder: Path
) -> Path:
    """The card of the model file `path`; returns where it was written."""
    card = path.with_suffix(".md")
    parts = [
        "# Model card\n",
        identity(path),
        training(checkpoint),
        "## The prior in fixed point\n\n" + report.text() + "\n",
        f"## What z carries\n\nBits per 64x64 pixels. {verdict(measurements)}\n\n{table(measurements)}\n",
        data(folder),
        "## Limits\n\n" + LIMITS,
    ]
    card.write_text("\n".join(parts), encoding="utf-8")
    return card


def identity(path: Path) -> str:
    """Name, size and hashes of the file."""
    content = path.read_bytes()
    return (
        f"- file: `{path.name}`, {len(content):,} bytes\n"
        f"- SHA-256: `{hashlib.sha256(content).hexdigest()}`\n"
        f"- model id: `{models.read(path, path.stem).id.hex()}`\n"
    )


def training(checkpoint: Checkpoint) -> str:
    """What the checkpoint knows of its past."""
    settings = checkpoint.train_config
    objective = settings.objective
    latents = "as effort 3 finds them" if objective.searched else "as the analysis gives them"
    sizes = ", ".join(f"{name} {value}" for name, value in vars(checkpoint.model_config).items())
    return (
        "## Training\n\n"
        f"{checkpoint.seconds / 3600:.1f} hours, {checkpoint.pixels / 1e9:.1f} gigapixels of crops, on "
        f"{machine()}; at the end {settings.batch} crops of {settings.crop}x{settings.crop} pixels per process and "
        f"step, the learning rate falling from {settings.learning_rate:g} over {settings.decay_steps} steps; "
        f"weights averaged (EMA {settings.ema:g}).\n\n"
        f"Tuned for {objective.tune}, on latents {latents}; "
        f"{settings.half_chroma:.0%} of the crops had half of their chroma, as in JPEG.\n\n"
        f"Remedies against posterior collapse: beta {objective.beta:g}, KL annealing over {objective.kl_annealing} "
        f"steps, {objective.free_bits:g} free bits.\n\nSizes: {sizes}.\n"
    )


def data(folder: Path) -> str:
    """Sources and licences of the photographs, from the manifest beside them if there is one."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return f"## Data\n\nPhotographs without a {MANIFEST}.\n"
    with manifest.open(encoding="utf-8", newline="") as file:
        counts = Counter((row["source"], row["licence"]) for row in csv.DictReader(file, delimiter="\t"))
    rows = [f"| {source} | {licence} | {count} |" for (source, licence), count in sorted(counts.items())]
    head = ["| source | licence | pictures |", "|---|---|---|"]
    return f"## Data\n\n{sum(counts.values())} pictures.\n\n" + "\n".join(head + rows) + "\n"
