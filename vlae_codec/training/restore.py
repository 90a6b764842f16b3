"""From a model file back to a model that can be trained: undoes `export` up to its rounding.

Channels of z that were left out start anew: q(z) sees the latents faintly, and nothing looks at z.
"""

from pathlib import Path

import torch
from torch import Tensor

from vlae_codec.models import read
from vlae_codec.models.floating import floating
from vlae_codec.training.checkpoint import Checkpoint
from vlae_codec.training.config import TrainConfig


def restored(path: Path) -> Checkpoint:
    """A run that has not begun, from the weights of a model file; its time and pixels are counted on.

    Raises:
        IncompatibleError: the file cannot be read.
    """
    model = read(path, path.name)
    state = floating(model).state_dict()
    awaken(state["hyper_analysis.out.weight"], len(model.prior.prior_level))
    average = {name: w.clone() for name, w in state.items()}
    return Checkpoint(
        model.transforms.config, TrainConfig(), state, average, pixels=model.pixels, seconds=model.seconds
    )


def awaken(weight: Tensor, kept: int) -> None:
    """Let the means of the channels of z from `kept` on see the latents faintly, in place."""
    silent = weight[kept : len(weight) // 2]
    silent.copy_(0.1 * weight[:kept].std() * torch.randn_like(silent))
