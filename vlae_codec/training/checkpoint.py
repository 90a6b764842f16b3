"""A training run on disk: one file that holds all that a run needs to go on exactly where it was.

Keys: format, model_config, train_config, step, pixels, seconds, model, ema, optimizer, random (a state per process).
Only tensors and plain values, so that it loads without unpickling code.
"""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlae_codec.errors import InputError
from vlae_codec.models.config import Config
from vlae_codec.models.vlae import VLAE
from vlae_codec.training.config import Objective, TrainConfig

FORMAT = 1
NAME = "checkpoint.pt"


@dataclass
class Checkpoint:
    """What stands in the file; `optimizer` and `random` are empty for a run that has not begun."""

    model_config: Config
    train_config: TrainConfig
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    step: int = 0
    pixels: int = 0  # of all crops so far
    seconds: float = 0.0  # of training so far
    optimizer: dict[str, Any] = field(default_factory=dict)
    random: list[Tensor] = field(default_factory=list)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file whole or not at all."""
    values = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    values["model_config"] = dataclasses.asdict(checkpoint.model_config)
    values["train_config"] = dataclasses.asdict(checkpoint.train_config)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        torch.save({"format": FORMAT, **values}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> Checkpoint:
    """Read a file that `save` wrote.

    Raises:
        InputError: missing, damaged, or not a checkpoint of this format.
    """
    try:
        values = torch.load(path, weights_only=True)
        found = values.pop("format")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Exception as error:  # pickle's and zip's own errors have no common base but Exception
        raise InputError(f"{path}: not a checkpoint of vlae train ({type(error).__name__})") from error
    if found != FORMAT:
        raise InputError(f"{path}: checkpoint format {found}; this program reads {FORMAT}")
    values["model_config"] = Config(**values["model_config"])
    train = values["train_config"]
    values["train_config"] = TrainConfig(**{**train, "objective": Objective(**train["objective"])})
    return Checkpoint(**values)


def averaged(checkpoint: Checkpoint) -> VLAE:
    """The model with the averaged weights, ready to evaluate."""
    model = VLAE(checkpoint.model_config)
    model.load_state_dict(checkpoint.ema)
    return model.eval().requires_grad_(False)
