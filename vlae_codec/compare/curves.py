"""Rate-distortion curves out of comparisons: means over pictures, and the BD-rates of vlae against the others.

Comparisons of the same pictures at several qualities of vlae in, curves and rows of tables out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vlae_codec import metrics
from vlae_codec.compare.result import Comparison, Contender
from vlae_codec.errors import UsageError

Measure = Callable[[Contender], float | None]


MEASURES: Mapping[str, Measure] = {
    "PSNR": lambda contender: contender.psnr,
    "MS-SSIM": lambda contender: None if contender.ms_ssim is None else metrics.decibels(contender.ms_ssim),
    "SSIMULACRA2": lambda contender: contender.ssimulacra2,
}


@dataclass(frozen=True)
class Difference:
    """BD-rate of vlae in percent at equal values of a measure, negative for fewer bits; else why there is none."""

    codec: str
    measure: str
    percent: float | None
    reason: str = ""


def curve(groups: Sequence[Sequence[Comparison]], codec: str, measure: Measure) -> list[metrics.Point]:
    """Mean bits per pixel and mean measure of a codec, a point for each group: the pictures at one quality of vlae.

    Groups in which a picture lacks the codec, or the measure, have no point.
    """
    points = []
    for group in groups:
        found = [contender for comparison in group for contender in comparison.contenders if contender.name == codec]
        values = [value for value in map(measure, found) if value is not None]
        if group and len(values) == len(group):
            points.append((fmean(contender.bpp for contender in found), fmean(values)))
    return points


def names(groups: Sequence[Sequence[Comparison]]) -> list[str]:
    """Of all codecs that took part, vlae first; in the order of the best quality, which fewest lack."""
    return list(dict.fromkeys(c.name for group in reversed(groups) for found in group for c in found.contenders))


def differences(groups: Sequence[Sequence[Comparison]]) -> list[Difference]:
    """BD-rates against each codec by each measure."""
    own, *others = names(groups)
    return [_difference(groups, own, other, measure) for other in others for measure in MEASURES]


def _difference(groups: Sequence[Sequence[Comparison]], own: str, other: str, measure: str) -> Difference:
    anchor, test = (curve(groups, codec, MEASURES[measure]) for codec in (other, own))
    try:
        return Difference(other, measure, metrics.bd_rate(anchor, test))
    except UsageError as error:
        return Difference(other, measure, None, str(error))
