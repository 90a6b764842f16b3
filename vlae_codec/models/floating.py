"""The prior of a model file in floating point: what gradients pass through. Undoes `export` up to its rounding.

p(z) gets unit variance, which only changes the unit of z. Channels of z that the file leaves out are silent: q(z) does
not see the latents, and nothing looks at z.
"""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from vlae_codec.entropy import level_std
from vlae_codec.models import Model
from vlae_codec.models.exact import WEIGHT_SCALE, whole_weight
from vlae_codec.models.vlae import LATENT_UNIT, VLAE


@cache
def floating(model: Model) -> VLAE:
    """Transforms and prior as one float32 model; made once per process."""
    whole = VLAE(model.transforms.config).eval().requires_grad_(False)
    state = whole.state_dict() | {n: w for n, w in model.transforms.state_dict().items() if not w.is_meta}
    weights = float_weights(model.prior.tensors)
    state |= {name: weights[plain] for name in state if (plain := name.replace(".values", "")) in weights}
    unfold_grid(state, model.prior.prior_level)
    whole.load_state_dict(state)
    return whole


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
    state["log_prior_std"] = torch.zeros_like(state["log_prior_std"])
    w, b = state["hyper_analysis.out.weight"], state["hyper_analysis.out.bias"]
    silent, none = w.new_zeros(hyper - kept, *w.shape[1:]), b.new_zeros(hyper - kept)
    state["hyper_analysis.out.weight"] = torch.cat([w[:kept] * step[:, None, None, None], silent, w[kept:], silent])
    state["hyper_analysis.out.bias"] = torch.cat([b[:kept] * step, none, b[kept:] + step.log(), none])
