"""What z carries, and whether the posterior has collapsed: a table, a picture and words.

Three rates are compared at the same latents: with z from the posterior, with the z of other pictures (shuffled), and
with z drawn from the prior. If they are equal, the decoder of the latents ignores z.

    active unit        a channel whose posterior mean varies over the data: Var[E q(z|ŷ)] > 0.01 of the prior's variance
                       (Burda et al., 2016, https://arxiv.org/abs/1509.00519)
    what z is worth    bits of ŷ0 with a shuffled z minus those with the right one; its price is the KL
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vlae_codec.models.config import GROUPS
from vlae_codec.models.vlae import VLAE, Normal, interval_bits, kl_bits
from vlae_codec.training.export import RATES
from vlae_codec.training.objective import quantise

ACTIVE_VARIANCE = 0.01


@dataclass(frozen=True)
class Measurement:
    """At one rate index; bits are per 64x64 pixels, the area of one position of z.

    groups: of all groups with the right z; shuffled, drawn: of ŷ0, the only one that sees z, with another z.
    kl: of each channel of z (Z,); active: which channels are active units (Z,).
    """

    rate: float
    groups: tuple[float, ...]
    shuffled: float
    drawn: float
    kl: Tensor
    active: Tensor

    @property
    def worth(self) -> float:
        """Bits that z saves against the z of another picture."""
        return self.shuffled - self.groups[0]

    @property
    def price(self) -> float:
        """Bits that z costs: its KL."""
        return float(self.kl.sum())


@torch.no_grad()
def measure(model: VLAE, x: Tensor, rate: float) -> Measurement:
    """One rate index on crops (B, 3, H, W) in ±0.5, B at least 2."""
    rates = torch.full((len(x),), rate)
    groups, p_rest = quantise(model, model.analysis(x, rates), rates)
    q, prior = model.posterior(groups[0]), model.prior()
    positions = q.mean[:, 0].numel()
    others = (sample(q).roll(1, 0), prior.std * torch.randn_like(q.mean))
    right, shuffled, drawn = (
        float(interval_bits(groups[0], model.first_likelihood(z, rates)).sum()) / positions
        for z in (sample(q), *others)
    )
    rest = [float(interval_bits(g, p).sum()) / positions for g, p in zip(groups[1:], p_rest, strict=True)]
    spread = q.mean.transpose(0, 1).flatten(1).var(1) / prior.std.flatten().square()
    kl = kl_bits(q, prior).mean((0, 2, 3))
    return Measurement(rate, (right, *rest), shuffled, drawn, kl, spread > ACTIVE_VARIANCE)


def sample(normal: Normal) -> Tensor:
    """One draw."""
    return normal.mean + normal.std * torch.randn_like(normal.std)


def diagnose(model: VLAE, x: Tensor) -> list[Measurement]:
    """Measurements at every rate of RATES, on crops (B, 3, H, W)."""
    torch.manual_seed(0)
    return [measure(model, x, rate) for rate in RATES]


def table(measurements: list[Measurement]) -> str:
    """Markdown, a row per rate index, bits per 64x64 pixels."""
    groups = " | ".join(f"ŷ{t}" for t in range(GROUPS))
    head = f"| rate index | {groups} | KL of z | z of another picture | z from the prior | active units |"
    rows = [head, "|" + "---|" * (GROUPS + 5)]
    for m in measurements:
        cells = [f"{m.rate:.2f}", *(f"{bits:.1f}" for bits in m.groups), f"{m.price:.1f}"]
        cells += [f"+{m.worth:.1f}", f"+{m.drawn - m.groups[0]:.1f}", f"{int(m.active.sum())} of {len(m.active)}"]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def verdict(measurements: list[Measurement]) -> str:
    """One sentence: collapsed, partly collapsed, or alive, and why."""
    active = torch.stack([m.active for m in measurements]).any(0)
    worth, price = (sum(getattr(m, name) for m in measurements) / len(measurements) for name in ("worth", "price"))
    total = sum(sum(m.groups) for m in measurements) / len(measurements)
    facts = (
        f"{int(active.sum())} of {len(active)} channels of z are active; per 64x64 pixels, the right z saves "
        f"{worth:.1f} bits ({worth / total:.2%} of the rate) against that of another picture, and costs {price:.1f} "
        f"({price / total:.2%})."
    )
    if not active.any() or worth < 0.001 * total:
        return f"The posterior has collapsed: {facts}"
    if worth < price:
        return f"z costs more than it is worth: {facts}"
    if int(active.sum()) < len(active) / 2:
        return f"Part of the posterior has collapsed: {facts}"
    return f"The posterior is alive: {facts}"


def plot(measurements: list[Measurement], path: Path) -> None:
    """KL of each channel of z at each rate, and where the bits are, as a picture file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    channels, shares = figure.subplots(1, 2)
    for m in measurements:
        channels.plot(m.kl.sort(descending=True).values.numpy(), marker=".", label=f"rate index {m.rate:.2f}")
    channels.set(
        xlabel="channel of z, sorted",
        ylabel="KL in bits per 64x64 pixels",
        yscale="symlog",
        title="What each channel of z carries",
    )
    channels.legend()
    bottom = torch.zeros(len(measurements))
    names = [f"ŷ{t}" for t in range(GROUPS)] + ["z"]
    for number, name in enumerate(names):
        bits = torch.tensor([(*m.groups, m.price)[number] / (sum(m.groups) + m.price) for m in measurements])
        shares.bar([f"{m.rate:.2f}" for m in measurements], bits, bottom=bottom, label=name)
        bottom += bits
    shares.set(xlabel="rate index", ylabel="share of the rate", title="Where the bits are")
    shares.legend(loc="lower right")
    figure.savefig(path, dpi=120)
