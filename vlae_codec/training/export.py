"""From a checkpoint to the file that the codec loads: safetensors, integers for the prior, float16 for the transforms.

The prior is rounded to the grids of `models/exact.py`; the bound of every layer is proved, and what the rounding costs
is measured on photographs. Channels of z that carry next to nothing are left out, altogether or below a quality: a pop
takes two bits of the other groups for each value of z, used or not. The others are put on a grid of about one
posterior standard deviation, which is folded into the weights on both sides of z.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vlae_codec import bitsback
from vlae_codec.entropy import LEVELS, LEVELS_PER_OCTAVE, Stack, level_std
from vlae_codec.errors import LimitError
from vlae_codec.models import save
from vlae_codec.models.exact import (
    ACTIVATION_MAX,
    ACTIVATION_SCALE,
    MAX_LEVEL,
    SUM_LIMIT,
    WEIGHT_SCALE,
    ExactPrior,
    SegmentModel,
    whole_weight,
)
from vlae_codec.models.vlae import LATENT_UNIT, VLAE, Normal, interval_bits, kl_bits
from vlae_codec.training.checkpoint import Checkpoint, averaged
from vlae_codec.training.objective import quantise

RATES = (0.0, 0.25, 0.5, 0.75, 1.0)  # rate indices at which things are measured
PRUNING_RATES = tuple(i / 20 for i in range(21))  # rate indices at which channels of z may begin
Z_STEP = 1.25  # posterior standard deviations: coarser costs rate, finer only asks for more bits to borrow
MIN_KL = 0.02  # bits per channel and position of z; below it the channel is constant
INT16_MAX = 2**15 - 1
DRAWS = 4  # of z, for each crop and rate
MAX_COST = 0.001  # of the rate, that rounding may cost


@dataclass(frozen=True)
class HyperGrid:
    """Channels of z that are kept (k,), the grid of each (k,): z is a multiple of `step`, and the quality in tenths
    from which on each is coded (k,)."""

    kept: Tensor
    step: Tensor
    first_quality: Tensor


@dataclass(frozen=True)
class Report:
    """What an export proved and measured.

    cost: extra bits of the fixed-point prior against the float one, as a fraction, at each of RATES.
    headroom: bits by which the largest possible sum of any layer stays below 2^53 of its unit.
    kept: channels of z that are coded.
    """

    cost: tuple[float, ...]
    headroom: float
    kept: int

    def text(self) -> str:
        """In words."""
        costs = ", ".join(f"{cost:+.3%} at {rate:g}" for rate, cost in zip(RATES, self.cost, strict=True))
        return (
            f"Rounding the prior changes the rate by {costs} (rate index). The largest possible sum of any layer stays "
            f"{self.headroom:.1f} bits below the limit of exactness. {self.kept} channels of z are coded."
        )


@torch.no_grad()
def latents(model: VLAE, x: Tensor, rate: float) -> tuple[list[Tensor], Normal]:
    """Groups of ŷ of crops (B, 3, H, W), and the posterior of z."""
    rates = torch.full((len(x),), rate)
    groups, _ = quantise(model, model.analysis(x, rates), rates)
    return groups, model.posterior(groups[0])


@torch.no_grad()
def hyper_grid(model: VLAE, x: Tensor) -> HyperGrid:
    """The grid of z, from crops (B, 3, H, W)."""
    posteriors = [latents(model, x, rate)[1] for rate in PRUNING_RATES]
    kl = torch.stack([kl_bits(q, model.prior()).mean((0, 2, 3)) for q in posteriors])  # (rates, Z)
    log_std = torch.stack([q.std.log().mean((0, 2, 3)) for q in posteriors])
    used = kl > MIN_KL
    used[-1, kl[-1].argmax()] = True  # a collapsed z keeps one channel, so that the file has its shape
    kept = used.any(0).nonzero().flatten()
    step = (log_std * used).sum(0) / used.sum(0).clamp_min(1)  # where it is used
    first = torch.tensor(PRUNING_RATES)[used[:, kept].int().argmax(0)]
    return HyperGrid(kept, Z_STEP * step[kept].exp(), (first * MAX_LEVEL).round())


def prior_weights(model: VLAE, grid: HyperGrid) -> dict[str, Tensor]:
    """Float weights of the prior networks with the grid of z folded in, named as in the file."""
    parts = ("hyper_analysis.", "hyper_synthesis.", "contexts.")
    weights = {n: w.detach().clone() for n, w in model.state_dict().items() if n.startswith(parts)}
    unit = LATENT_UNIT * grid.step[None, :, None, None]
    weights["hyper_synthesis.inp.weight"] = weights["hyper_synthesis.inp.weight"][:, grid.kept] * unit
    out, bias = weights["hyper_analysis.out.weight"], weights["hyper_analysis.out.bias"]
    hyper = model.config.hyper_latent
    step = grid.step[:, None, None, None]
    weights["hyper_analysis.out.weight"] = torch.cat([out[grid.kept] / step, out[hyper + grid.kept]])
    weights["hyper_analysis.out.bias"] = torch.cat(
        [bias[grid.kept] / grid.step, bias[hyper + grid.kept] - grid.step.log()]
    )
    return {name.replace(".values", ""): w for name, w in weights.items()}


@torch.no_grad()
def integers(weights: dict[str, Tensor], model: VLAE, grid: HyperGrid) -> dict[str, Tensor]:
    """The tensors of `ExactPrior`: units of 2^-14, for weights times a power of two per channel, so that int16 does."""
    fixed: dict[str, Tensor] = {}
    for name, w in weights.items():
        units = w.double() * WEIGHT_SCALE
        if name.endswith(".weight"):
            shift = (units.abs().flatten(1).amax(1) / INT16_MAX).log2().ceil().clamp_min(0)
            fixed[name.replace(".weight", ".shift")] = shift
            units = units / 2 ** shift[:, None, None, None]
        fixed[name] = units.round()
    std = model.prior().std.flatten()[grid.kept] / grid.step
    level = (LEVELS_PER_OCTAVE * (std / level_std(0)).log2()).round().clamp(0, LEVELS - 1)
    between = torch.tensor([level_std(i + 0.5) for i in range(LEVELS - 1)], dtype=torch.float64)
    fixed["prior_level"] = level
    fixed["first_quality"] = grid.first_quality
    fixed["log_std_thresholds"] = (between.log() * ACTIVATION_SCALE).round()
    fixed["std_thresholds"] = (between.expm1().log() * ACTIVATION_SCALE).round()
    return {name: narrow(w) for name, w in fixed.items()}


def narrow(values: Tensor) -> Tensor:
    """Whole numbers as int16, or as int32 where they need it."""
    largest = float(values.abs().max())
    if largest > 2**31 - 1:
        raise LimitError(f"a number of {largest / WEIGHT_SCALE:.3g} does not fit into 32 bits")
    return values.to(torch.int16 if largest <= INT16_MAX else torch.int32)


def prove_bounds(tensors: dict[str, Tensor]) -> float:
    """Least headroom, in bits, of the sums of all layers below 2^53 of their unit.

    Raises:
        LimitError: a layer could leave it; the message names the layer.
    """
    limit, least = SUM_LIMIT / (WEIGHT_SCALE * ACTIVATION_SCALE), math.inf
    for name in (n.removesuffix(".weight") for n in tensors if n.endswith(".weight")):
        weight, bias = whole_weight(tensors, name), tensors[f"{name}.bias"].double()
        largest = float((weight.abs().flatten(1).sum(1) * ACTIVATION_MAX + bias.abs()).max()) / WEIGHT_SCALE
        if name.startswith("contexts.") and name.endswith((".inp", ".expand")):
            largest += ACTIVATION_MAX  # the state that is added
        owner = modulation_of(name)
        if owner:
            scale, shift = (float(tensors[f"{owner}.{part}"].abs().max()) / WEIGHT_SCALE for part in ("scale", "shift"))
            largest = largest * max(scale, 1.0) + shift
        headroom = math.log2(limit / largest)
        if headroom <= 0:
            raise LimitError(f"{name}: sums reach {largest:.3g}, exact below {limit:.3g}")
        least = min(least, headroom)
    return least


def modulation_of(layer: str) -> str | None:
    """The modulation that follows a layer, if one does."""
    network, part = layer.rsplit(".", 1)
    follows = part == "inp" if network.startswith("contexts.") else layer == "hyper_synthesis.out"
    return f"{network}.modulation" if follows else None


@torch.no_grad()
def float_bits(model: VLAE, y: Tensor, rate: float) -> float:
    """Negative ELBO in bits of the latents of one crop, y (1, latent, h, w) not rounded, under the float model.

    The mean over DRAWS of z.
    """
    rates = torch.full((1,), rate)
    groups, p = quantise(model, y, rates)
    q = model.posterior(groups[0])
    bits = float(kl_bits(q, model.prior()).sum())
    bits += sum(float(interval_bits(group, p_t).sum()) for group, p_t in zip(groups[1:], p, strict=True))
    for _ in range(DRAWS):
        z = q.mean + q.std * torch.randn_like(q.mean)
        bits += float(interval_bits(groups[0], model.first_likelihood(z, rates)).sum()) / DRAWS
    return bits


def exact_bits(segment: SegmentModel, y: Tensor, lender: Stack) -> float:
    """The same under the fixed-point model, with z drawn from the bits of `lender`."""
    kept = bitsback.quantise(segment.split(y[0].numpy()), segment)
    q = segment.posterior(kept.values[0])
    bits = sum(p.centred().bits(symbols) for p, symbols in zip(kept.p, kept.symbols[1:], strict=True))
    for _ in range(DRAWS):
        z = lender.pop(q)
        first = segment.first_likelihood(z).bits(kept.symbols[0])
        bits += (first + segment.prior(1).bits(z) - q.bits(z)) / DRAWS
    return bits


@torch.no_grad()
def rounding_cost(model: VLAE, prior: ExactPrior, x: Tensor, rate: float) -> float:
    """Bits of the fixed-point model over those of the float one, minus 1, on crops (B, 3, H, W).

    Each rounds about its own means and draws its own z, so that the cost includes the grid and the pruning of z.
    """
    exact = wanted = 0.0
    lender = Stack(bytes(np.random.default_rng(0).integers(1, 255, 1 << 20, np.uint8)))
    for crop in x:
        y = model.analysis(crop[None], torch.full((1,), rate))
        exact += exact_bits(SegmentModel(prior, (y.shape[2], y.shape[3]), round(rate * MAX_LEVEL)), y, lender)
        wanted += float_bits(model, y, rate)
    return exact / wanted - 1


def export(checkpoint: Checkpoint, x: Tensor, path: Path) -> Report:
    """Write the averaged weights of a checkpoint as a model file.

    Args:
        x: crops of photographs (B, 3, H, W) in ±0.5 to measure on, sides multiples of 64.
        path: of the new file.
    Raises:
        LimitError: a layer's sums could leave the exact range, or rounding costs more than MAX_COST of the rate.
    """
    model = averaged(checkpoint)
    grid = hyper_grid(model, x)
    tensors = integers(prior_weights(model, grid), model, grid)
    headroom = prove_bounds(tensors)
    prior = ExactPrior(tensors)
    cost = tuple(rounding_cost(model, prior, x, rate) for rate in RATES)
    if max(cost) > MAX_COST:
        raise LimitError(f"rounding costs {max(cost):.3%} of the rate; at most {MAX_COST:.1%} is allowed")
    save(path, model, tensors, checkpoint.pixels, checkpoint.seconds, checkpoint.train_config.objective.tune)
    return Report(cost, headroom, len(grid.kept))
