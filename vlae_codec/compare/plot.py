"""Rate-distortion curves as a picture: PSNR and SSIMULACRA2 over bits per pixel. Imports matplotlib."""

from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from vlae_codec.compare import curves
from vlae_codec.compare.result import Comparison

PANELS = {"PSNR": "PSNR of RGB, dB", "SSIMULACRA2": "SSIMULACRA2"}
OWN = "#c8301c"
OTHERS = ("#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#17becf", "#8c564b", "#7f7f7f", "#bcbd22")
"""Matplotlib's own colours without those that could be taken for vlae's."""


def plot(groups: Sequence[Sequence[Comparison]], suffix: str) -> bytes:
    """The file of a figure, of the format that the suffix (".png", ".svg", ".pdf") stands for.

    A line for each codec over the groups, the pictures at one quality of vlae; a point where there is one group.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), PANELS, strict=True):
        _panel(axes, groups, measure)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    file = BytesIO()
    figure.savefig(file, format=suffix.removeprefix("."), dpi=120)
    return file.getvalue()


def _panel(axes: Axes, groups: Sequence[Sequence[Comparison]], measure: str) -> None:
    axes.set_prop_cycle(color=OTHERS)
    for name in curves.names(groups):
        own = name == "vlae"
        points = sorted(curves.curve(groups, name, curves.MEASURES[measure]))
        rates, values = zip(*points, strict=True) if points else ((), ())
        style = {"color": OWN, "lw": 2.4, "zorder": 4} if own else {"lw": 1.2}
        axes.plot(rates, values, marker="o", ms=4, label=name, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter() if len(groups) > 2 else FormatStrFormatter("%g"))
    axes.set_xlabel("bits per pixel of files, log scale")
    axes.set_ylabel(PANELS[measure])
    axes.grid(color="#e6e8eb", lw=0.8)
    axes.spines[:].set_visible(False)
