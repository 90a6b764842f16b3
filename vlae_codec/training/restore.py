"""From a model file back to a model that can be trained: undoes `export` up to its rounding.

p(z) gets unit variance, which only changes the unit of z. Channels of z that were left out start anew: q(z) sees the
latents faintly, and nothing looks at z.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vlae_codec.entropy import level_std
from vlae_codec.models import read
from vlae_codec.models.exact import WEIGHT_SCALE, whole_weight
from vlae_codec.models.vlae import LATENT_UNIT, VLAE
from vlae_codec.training.checkpoint import Checkpoint
from vlae_codec.training.config import TrainConfig


def restored(path: Path) -> Checkpoint:
    """A run that has not begun, from the weights of a model file; its time and pixels are counted on.

    Raises:
        IncompatibleError: the file cannot be read.
    """
    model = read(path, path.name)
    config = model.transforms.config
    state = VLAE(config).state_dict()
    state |= {name: w for name, w in model.transforms.state_dict().items() if not w.is_meta}
    weights = float_weights(model.prior.tensors)
    state |= {name: weights[plain] for name in state if (plain := name.replace(".values", "")) in weights}
    unfold_grid(state, model.prior.prior_level)
    average = {name: w.clone() for name, w in state.items()}
    return Checkpoint(config, TrainConfig(), state, average, pixels=model.pixels, seconds=model.seconds)


def float_weights(fixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights, biases and modulations of the prior, named as in the file."""
    values = {name: w.double() for name, w in fixed.items() if name.endswith((".bias", ".scale", ".shift"))}
    values |= {name: whole_weight(fixed, name.removesuffix(".weight")) for name in fixed if name.endswith(".weight")}
    return {name: (w / WEIGHT_SCALE).float() for name, w in values.items()}


def unfold_grid(state: dict[str, Tensor], prior_level: Tensor) -> None:
    """Put the layers on both sides of z from the grid of the file into units of p(z)'s deviation, in place."""
    kept, hyper = len(prior_level), len(state["log_prior_std"])
    step = torch.tensor([1 / level_std(int(level)) for level in prior_level])
    inp = state["hyper_synthesis.inp.weight"] / (LATENT_UNIT * step[:, None, None])
    state["hyper_synthesis.inp.weight"] = torch.cat([inp, inp.new_zeros(len(inp), hyper - kept, *inp.shape[2:])], 1)
    state["log_prior_std"].zero_()
    w, b = state["hyper_analysis.out.weight"], state["hyper_analysis.out.bias"]
    faint = 0.1 * w[:kept].std() * torch.randn(hyper - kept, *w.shape[1:])
    silent = b.new_zeros(hyper - kept)
    state["hyper_analysis.out.weight"] = torch.cat([w[:kept] * step[:, None, None, None], faint, w[kept:], 0 * faint])
    state["hyper_analysis.out.bias"] = torch.cat([b[:kept] * step, silent, b[kept:] + step.log(), silent])
