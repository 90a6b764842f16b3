"""The commands that make a model: `vlae train`, `vlae export`, `vlae diagnose`.

Options, messages and exit codes; imports click and the settings, the rest inside the commands, as `cli.py`, which adds
these to its own.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlae_codec.errors import InputError, UsageError
from vlae_codec.models import TUNES
from vlae_codec.training.config import Objective, TrainConfig

if TYPE_CHECKING:
    from torch import Tensor

    from vlae_codec.models.config import Config
    from vlae_codec.training.checkpoint import Checkpoint

Command = Callable[..., None]
DEFAULTS, REMEDIES = TrainConfig(), Objective()
_folder = click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
_checkpoint = click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
_crops = click.option("--crops", type=click.IntRange(2), default=96, show_default=True, help="Crops to measure on.")
_size = click.option(
    "--size", type=click.IntRange(64), default=256, show_default=True, help="Their side, a multiple of 64."
)


def setting(
    name: str, text: str, minimum: float = 0, default: Any = None, maximum: float | None = None
) -> Callable[[Command], Command]:
    """An option of `train` for a setting of TrainConfig or Objective."""
    value = getattr(DEFAULTS, name.replace("-", "_")) if default is None else default
    kind = click.IntRange(int(minimum)) if isinstance(value, int) else click.FloatRange(minimum, maximum)
    return click.option(f"--{name}", type=kind, default=value, show_default=True, help=text)


@click.command()
@_folder
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the run: checkpoint and TensorBoard."
)
@click.option(
    "--branch",
    type=click.Path(path_type=Path),
    help="Checkpoint or model file to start from, counting steps from zero.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="JSON file with sizes of the model: of a new run, with more blocks than --branch has, or for --anew.",
)
@setting("steps", "Where the run ends.", 1)
@setting("batch", "Crops per process and step.", 1)
@setting("crop", "Side of a crop in pixels, a multiple of 64.", 64)
@setting("learning-rate", "Of Muon and Adam alike.")
@setting("warmup-steps", "Over which it rises.")
@setting("decay-steps", "Over which it falls, at the end.")
@setting("ema", "Decay of the averaged weights.", maximum=1)
@setting("seed", "Of weights, crops and noise.")
@setting("log-steps", "Steps between lines and TensorBoard scalars.", 1)
@setting("half-chroma", "Share of crops whose chroma is halved, as JPEG does it.", maximum=1)
@setting("beta", "Weight of the KL of z; 1 is the ELBO.", default=REMEDIES.beta)
@setting("kl-annealing", "Steps over which that weight rises from 0.", default=REMEDIES.kl_annealing)
@setting("free-bits", "Bits per channel and position of z that cost nothing.", default=REMEDIES.free_bits)
@click.option("--only", default="", help="Train only parameters whose names begin so, as synthesis_net.")
@click.option("--anew", default="", help="Parameters whose names begin so start anew; --branch gives the others.")
@click.option("--compile", is_flag=True, help="Fuse operations with torch.compile; on a CPU it needs a C++ compiler.")
@click.option("--tune", type=click.Choice(TUNES), default=TUNES[0], show_default=True, help="What the distortion is.")
@click.option("--searched", is_flag=True, help="Latents as effort 3 finds them, not as the analysis gives them.")
def train(folder: Path, out: Path, branch: Path | None, config: Path | None, anew: str, **options: Any) -> None:
    """Train on the photographs below FOLDER, or go on with the run in --out.

    Ctrl-C and SIGTERM end it with a checkpoint; one is written every four minutes anyway.

    \b
      vlae train photos --out run
      torchrun --nproc-per-node 2 -m vlae_codec train photos --out run
      vlae train photos --out decayed --branch run/checkpoint.pt --steps 20000 --decay-steps 20000 --crop 256
      vlae train photos --out more --branch vlae_codec/models/weights/01-psnr.safetensors
    """
    from vlae_codec.training import loop
    from vlae_codec.training.data import load

    remedies = {f.name: options.pop(f.name) for f in fields(Objective)}
    settings = TrainConfig(**options, objective=Objective(**remedies))
    start = _start(out, branch, config, anew, settings)
    with loop.processes() as device:
        loop.train(load(folder), out, start, settings, device)


def _start(out: Path, branch: Path | None, config: Path | None, anew: str, settings: TrainConfig) -> "Checkpoint":
    """The run in `out` if there is one, else a branch of another, else a new one."""
    from vlae_codec.models.config import Config
    from vlae_codec.training import checkpoint, starts
    from vlae_codec.training.restore import restored

    if (out / checkpoint.NAME).exists():
        return checkpoint.load(out / checkpoint.NAME)
    if anew and not branch:
        raise UsageError("--anew needs --branch, which gives all other parameters")
    sizes = _read_config(config) if config else None
    if not branch:
        return starts.beginning(sizes or Config(), settings)
    parent = restored(branch) if branch.suffix == ".safetensors" else checkpoint.load(branch)
    if anew:
        return starts.renewed(parent, sizes or parent.model_config, settings, anew)
    return starts.grown(parent, sizes) if sizes else starts.branch(parent)


def _read_config(path: Path) -> "Config":
    """Sizes of a model from a JSON object; what it leaves out is as in the shipped ones."""
    from vlae_codec.models.config import Config

    try:
        return Config(**json.loads(path.read_text()))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not the sizes of a model ({error})") from error


@click.command()
@_checkpoint
@_folder
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@_crops
@_size
def export(checkpoint: Path, folder: Path, out: Path, crops: int, size: int) -> None:
    """Write the averaged weights of CHECKPOINT as the model file OUT, with a model card (.md) beside it.

    The prior is rounded to fixed point: the bound of every layer is proved, and what the rounding costs is measured
    on crops of the photographs below FOLDER.

    \b
      vlae export run/checkpoint.pt photos model.safetensors
    """
    from vlae_codec.training import checkpoint as checkpoints
    from vlae_codec.training import export as exporting
    from vlae_codec.training.card import write_card
    from vlae_codec.training.diagnose import diagnose as measure

    loaded = checkpoints.load(checkpoint)
    x = _draw(folder, crops, size)
    report = exporting.export(loaded, x, out)
    click.echo(report.text())
    card = write_card(out, loaded, report, measure(checkpoints.averaged(loaded), x), folder)
    click.echo(f"{out} and {card}", err=True)


@click.command()
@_checkpoint
@_folder
@click.option("--plot", type=click.Path(path_type=Path), help="Picture to draw (.png, .svg).")
@_crops
@_size
def diagnose(checkpoint: Path, folder: Path, plot: Path | None, crops: int, size: int) -> None:
    """Say what z carries in CHECKPOINT, and whether the posterior has collapsed.

    \b
      vlae diagnose run/checkpoint.pt photos --plot z.png
    """
    from vlae_codec.training import checkpoint as checkpoints
    from vlae_codec.training import diagnose as diagnosing

    model = checkpoints.averaged(checkpoints.load(checkpoint))
    measurements = diagnosing.diagnose(model, _draw(folder, crops, size))
    click.echo(diagnosing.table(measurements))
    click.echo(diagnosing.verdict(measurements))
    if plot:
        diagnosing.plot(measurements, plot)
        click.echo(str(plot), err=True)


def _draw(folder: Path, crops: int, size: int) -> "Tensor":
    """The same crops (B, 3, size, size) of a folder every time."""
    import torch

    from vlae_codec.training.data import Crops, load

    if size % 64:
        raise UsageError(f"size {size} is not a multiple of 64 pixels")
    torch.manual_seed(0)
    return Crops(load(folder), size).draw(crops)


COMMANDS = (train, export, diagnose)
