"""The rate-distortion plot: curves in, a PNG and an SVG out.

The first curve is this project's, the only one in colour; published curves are paler than measured ones. Rates are on
a log scale, so that the horizontal distance between two curves is their BD-rate. Names stand where the lines end.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.curves import Curve

RATES = (0.1, 1.5)
"""Bits per pixel from where to where curves are drawn."""
TICKS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5)
LEGEND = "dark: measured here\npale: published by others"
OWN, MEASURED, PUBLISHED, INK, GRID = "#c8301c", "#34465c", "#808b98", "#222222", "#e6e8eb"


def save(stem: Path, title: str, curves: Sequence[Curve]) -> None:
    """Write stem.png and stem.svg; the same curves give the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "vlae", "font.family": "DejaVu Sans", "font.size": 10}):
        figure = draw(title, curves)
        figure.savefig(stem.with_suffix(".png"), dpi=160)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})


def draw(title: str, curves: Sequence[Curve]) -> Figure:
    """PSNR over bits per pixel of the curves that have a point in RATES."""
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    axes = figure.add_subplot()
    ends: list[tuple[Curve, tuple[float, float]]] = []
    for curve in curves:
        rates, psnrs = _clipped(curve)
        if rates.size:
            own = curve is curves[0]
            axes.plot(rates, psnrs, color=_colour(curve, own), lw=2.6 if own else 1.3, zorder=4 if own else 3)
            ends.append((curve, (float(rates[-1]), float(psnrs[-1]))))
    _frame(axes, title)
    if any(curve.published for curve in curves):
        axes.text(0.985, 0.02, LEGEND, transform=axes.transAxes, ha="right", color=INK, fontsize=9)
    _names(axes, [(curve.name, _colour(curve, curve is curves[0]), end) for curve, end in ends])
    return figure


def _clipped(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates and PSNRs within RATES, cut at the borders on the straight lines of the plot."""
    rates, psnrs = np.array(sorted(curve.points)).T
    inside = (rates > RATES[0]) & (rates < RATES[1])
    borders = [rate for rate in RATES if rates[0] <= rate <= rates[-1]]
    kept = np.sort(np.concatenate([rates[inside], borders]))
    return kept, np.interp(np.log(kept), np.log(rates), psnrs)


def _colour(curve: Curve, own: bool) -> str:
    return OWN if own else PUBLISHED if curve.published else MEASURED


def _frame(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*RATES)
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.xaxis.minorticks_off()
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("bits per pixel of files on disk, log scale")
    axes.set_ylabel("PSNR of RGB, dB")
    axes.set_title(title, loc="left", color=INK)
    axes.grid(color=GRID, lw=0.8)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)


def _names(axes: Axes, ends: Sequence[tuple[str, str, tuple[float, float]]]) -> None:
    """Names beside the right border, or above the lines for a curve that ends far from it, each tied to its end."""
    low, high = axes.get_ylim()
    right = sorted((end for end in ends if end[2][0] > RATES[1] / 2), key=lambda end: end[2][1])
    heights = _apart([end[2][1] for end in right], gap=(high - low) / 24)
    for (name, colour, end), height in zip(right, heights, strict=True):
        _name(axes, name, colour, end, (RATES[1] * 1.04, height), "left")
    early = sorted((end for end in ends if end[2][0] <= RATES[1] / 2), key=lambda end: end[2][0])
    for i, (name, colour, end) in enumerate(early):
        above = (RATES[1] / 4, end[1] + (high - low) * (0.1 + i / 24))
        _name(axes, name, colour, end, above, "right")


def _name(axes: Axes, name: str, colour: str, end: tuple[float, float], at: tuple[float, float], side: str) -> None:
    axes.annotate(
        name, end, at, color=colour, ha=side, va="center", annotation_clip=False,
        fontweight="bold" if colour == OWN else "normal",
        arrowprops={
            "arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 2, "shrinkB": 0,
            "relpos": (0 if side == "left" else 1, 0.5),
        },
    )  # fmt: skip


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Increasing heights moved, where they must be, until neighbours are about a gap apart."""
    moved = list(heights)
    for _ in range(200):
        for i in range(len(moved) - 1):
            push = max(0.0, gap - (moved[i + 1] - moved[i])) / 2
            moved[i], moved[i + 1] = moved[i] - push, moved[i + 1] + push
    return moved
