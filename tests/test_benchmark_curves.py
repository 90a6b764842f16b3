"""Curves and what is made of them: BD-rates, tables, plots and README's figures, out of rows and published points."""

import pytest
from PIL import Image

from benchmarks import common, curves, figure, rate_distortion, readme
from benchmarks.codecs import TUNED
from vlae_codec import metrics

ANCHORS = common.HERE / "anchors" / "kodak"


def _made_rows(codec, factor, pictures=("a.png", "b.png")):
    """A codec with `factor` times the bits at every quality, and 2 points of SSIMULACRA2 per dB."""
    return [
        {"codec": codec, "settings": "s", "version": "v", "image": image, "quality": str(quality),
         "bpp": f"{factor * bpp}", "psnr": f"{psnr}", "ms_ssim": f"{1 - 10 ** (-psnr / 20)}",
         "ssimulacra2": f"{2 * psnr}", "seconds_encode": "1", "seconds_decode": "1",
         "date": "d", "machine": "m", "commit": "c"}
        for image in pictures
        for quality, (bpp, psnr) in enumerate([(0.1, 26.0), (0.2, 29.0), (0.4, 32.0), (0.8, 36.0)])
    ]  # fmt: skip


def test_half_of_the_bits_is_minus_fifty_percent_by_every_measure():
    rows = _made_rows("vlae", 0.5) + _made_rows("other", 1)
    assert curves.measures(rows) == ["PSNR", "MS-SSIM", "SSIMULACRA2"]
    for measure in curves.MEASURES:
        assert curves.by_measure(curves.measured(rows, measure), "other") == "-50.0 %"
    assert curves.by_measure(curves.measured(rows), "absent") == "–"
    report = curves.report("x", rows, None)
    assert "| other   | -50.0 % | -50.0 % |     -50.0 % |" in report and "headers included" in report


def test_a_measure_that_no_row_has_is_not_reported():
    rows = [row | {"ssimulacra2": ""} for row in _made_rows("vlae", 1) + _made_rows("other", 1)]
    assert curves.measures(rows) == ["PSNR", "MS-SSIM"] and not curves.measured(rows, "SSIMULACRA2")[0].points


def test_readme_tells_the_settings_that_the_rows_have(tmp_path):
    rows = common.read_rows(
        readme.RESULTS / "rate_distortion-kodak.csv", rate_distortion.COLUMNS, rate_distortion.NEWER
    )
    for name in ("bits_back-kodak.csv", "speed-kodak.csv", "scaling.csv", "throughput.csv"):
        (tmp_path / name).write_bytes((readme.RESULTS / name).read_bytes())
    changed = [row | ({"settings": "method 3"} if row["codec"] == "WebP" else {}) for row in rows]
    common.write_rows(tmp_path / "rate_distortion-kodak.csv", rate_distortion.COLUMNS, changed)
    assert "WebP: method 3." in readme.figures(tmp_path)


def test_every_published_curve_tells_its_source_and_is_long_enough_for_a_bd_rate():
    published = curves.published(ANCHORS)
    assert len(published) == 6
    for curve in published:
        assert "@" in curve.description and metrics.bd_rate(curve.points, curve.points) == 0


def test_the_published_bd_rate_of_a_small_learned_codec_is_found_again():
    found = {curve.name: curve.points for curve in curves.published(ANCHORS)}
    assert metrics.bd_rate(found["VTM 9.1"], found["TinyLIC, 10 kMAC"]) == pytest.approx(11.4, abs=0.05)


def test_curves_that_share_no_psnr_have_a_dash_for_a_bd_rate():
    low = curves.Curve("low", "", tuple((rate, 20 + rate) for rate in (0.1, 0.2, 0.3, 0.4)), published=False)
    high = curves.Curve("high", "", tuple((rate, 50 + rate) for rate in (0.1, 0.2, 0.3, 0.4)), published=False)
    assert curves.bd_rate(low, high, None) == ["–", "–", "–"] == curves.bd_rate(low, low, (30, 36))


def test_what_is_tuned_for_ms_ssim_is_compared_by_that_alone():
    rows = _made_rows("vlae", 0.5) + _made_rows(TUNED.name, 0.25) + _made_rows("other", 1)
    report = curves.report("x", rows, ANCHORS)
    assert "| other                  | -50.0 % |           -75.0 % |" in report
    assert report.count(f"| {TUNED.name}") == 5 and f"against {TUNED.name}" not in report  # its means and a heading
    (vtm,) = (curve for curve in curves.published(ANCHORS, "MS-SSIM") if curve.name == "VTM 9.1")
    assert vtm.points[0][1] == pytest.approx(8.558, abs=0.001)  # of 0.8606
    assert curves.by_ms_ssim(_made_rows("vlae", 0.5), [vtm]) == ""


def test_ms_ssim_is_averaged_before_it_is_in_decibels():
    rows = [row | {"ms_ssim": {"a.png": "0.9", "b.png": "0.99"}[row["image"]]} for row in _made_rows("vlae", 1)]
    assert curves.measured(rows, "MS-SSIM")[0].points[0][1] == pytest.approx(metrics.decibels(0.945))


def test_the_same_curves_give_the_same_svg(tmp_path):
    for stem in ("a", "b"):
        figure.save(tmp_path / stem, "Kodak", curves.published(ANCHORS))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_only_the_kodak_set_is_compared_with_published_curves(tmp_path):
    paths = [tmp_path / f"kodim{i:02}.png" for i in range(1, 25)]
    for i, path in enumerate(paths):
        Image.new("L", (768, 512) if i % 2 else (512, 768)).save(path, compress_level=1)
    assert common.is_kodak(paths) and not common.is_kodak(paths[:23])
    Image.new("L", (768, 511)).save(paths[5])
    assert not common.is_kodak(paths)


def test_readme_has_the_figures_of_the_results() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_figures(text) == text
