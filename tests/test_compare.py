"""`vlae compare` and its library: equal bytes, curves, BD-rates, and what is said of what is absent."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from vlae_codec import cli, metrics
from vlae_codec.compare import codecs, curves, report
from vlae_codec.compare.equal_bytes import as_original, compare, largest_within
from vlae_codec.errors import CodecError, UsageError

JPEG = codecs.CODECS["jpeg"]


class Ruler:
    """A codec whose file at quality q has `per_step` * q bytes and holds nothing else."""

    key = name = "ruler"
    library = settings = version = "none"
    scale = range(1, 101)

    def __init__(self, per_step=10, reason=""):
        self.per_step, self.reason, self.calls = per_step, reason, 0

    def missing(self):
        return self.reason

    def encode(self, pixels, quality):
        self.calls += 1
        return bytes(int(self.per_step * quality))

    def decode(self, data):
        return np.full((64, 96, 3), len(data) % 256, np.uint8)


@pytest.fixture
def crop(photo):
    """(64, 96, 3)."""
    return np.ascontiguousarray(photo[100:164, 180:276])


@pytest.fixture
def files(photo, tmp_path):
    """Two pictures, large enough for every measure."""
    for name, corner in (("a.png", 60), ("b.png", 180)):
        Image.fromarray(photo[corner : corner + 176, corner : corner + 168]).save(tmp_path / name)
    return [str(tmp_path / name) for name in ("a.png", "b.png")]


def _run(*arguments):
    return CliRunner().invoke(cli.main, ["compare", *map(str, arguments)])


@pytest.mark.parametrize("size", [10, 11, 499, 500, 999, 1000, 5000])
def test_the_best_quality_that_fits_is_found(size, crop):
    ruler = Ruler()
    coded = largest_within(size, ruler, crop)
    assert len(coded.data) == min(size // 10 * 10, 1000) and coded.quality == len(coded.data) / 10
    assert ruler.calls <= 7


def test_a_codec_without_so_small_a_file_is_refused_with_its_smallest(crop):
    with pytest.raises(CodecError, match="its smallest file has 10 bytes, and vlae's 9"):
        largest_within(9, Ruler(), crop)


def test_no_file_is_larger_than_the_one_of_vlae(crop, use_small_model):
    found = compare("x", crop, 90, [JPEG, codecs.CODECS["webp"]])
    own, *others = found.contenders
    assert own.name == "vlae" and [other.name for other in others] == ["JPEG", "WebP"] and not found.missing
    assert all(len(other.data) <= len(own.data) for other in others)
    for contender in found.contenders:
        assert contender.bpp == 8 * len(contender.data) / (64 * 96)
        assert contender.psnr == metrics.psnr(crop, contender.pixels)
        assert contender.ms_ssim is None and contender.ssimulacra2 is None


def test_the_ledger_and_the_map_are_those_of_the_file(crop, use_small_model):
    found = compare("x", crop, 90, [])
    parts = ("container", "metadata", "alpha", "actual")
    assert sum(found.ledger[part] for part in parts) == 8 * len(found.contenders[0].data)
    assert found.bits_map.shape == (4, 6) and found.bits_map.sum() == pytest.approx(found.ledger["y"], rel=1e-5)


def test_absent_codecs_are_named_and_the_others_go_on(crop, use_small_model):
    broken = Ruler()
    broken.decode = lambda data: 1 / 0
    absent = [Ruler(reason="not here; pip install ruler"), Ruler(per_step=10**6), broken, JPEG]
    found = compare("x", crop, 90, absent)
    assert [contender.name for contender in found.contenders] == ["vlae", "JPEG"]
    assert found.missing[0] == "ruler: not here; pip install ruler"
    assert "its smallest file has 1000000 bytes" in found.missing[1] and "division" in found.missing[2]


def test_gray_that_a_format_holds_as_rgb_is_gray_again(crop):
    gray = crop[..., :1]
    assert (as_original(np.repeat(gray, 3, axis=2), gray) == gray).all()
    assert as_original(crop, crop) is crop


def _groups(found, scale=1.0):
    """Made-up curves: a codec with `scale` times the bits of vlae at every quality."""
    vlae = found.contenders[0]
    other = replace(vlae, name="other")
    return [
        [
            replace(
                found,
                contenders=tuple(
                    replace(c, bpp=rate * (scale if c is other else 1), psnr=psnr, ms_ssim=None, ssimulacra2=2 * psnr)
                    for c in (vlae, other)
                ),
            )
        ]
        for rate, psnr in ((0.1, 27.0), (0.2, 30.0), (0.4, 33.0), (0.8, 36.5))
    ]


@pytest.fixture
def found(crop, use_small_model):
    return compare("x", crop, 50, [])


def test_half_of_the_bits_is_a_bd_rate_of_minus_fifty(found):
    by_measure = {d.measure: d for d in curves.differences(_groups(found, 2.0))}
    assert by_measure["PSNR"].percent == pytest.approx(-50) == by_measure["SSIMULACRA2"].percent
    assert by_measure["MS-SSIM"].percent is None and "4 points" in by_measure["MS-SSIM"].reason


def test_curves_that_do_not_overlap_have_no_bd_rate_and_the_table_says_so(found):
    groups = _groups(found)
    apart = [[replace(c, contenders=(c.contenders[0], replace(c.contenders[1], psnr=c.contenders[1].psnr + 20)))
              for c in group] for group in groups]  # fmt: skip
    text = report.differences_text(curves.differences(apart))
    assert "other, PSNR: BD-rate needs curves that overlap in quality" in text
    assert text.splitlines()[2].split()[:2] == ["other", "–"]


def test_codecs_stand_in_the_order_of_the_quality_that_fewest_lack(found):
    first, *rest = _groups(found)
    vlae, other = first[0].contenders
    late = replace(other, name="late")
    more = [[replace(c, contenders=(vlae, late, other)) for c in group] for group in rest]
    assert curves.names([first, *more]) == ["vlae", "late", "other"]


def test_a_codec_that_one_picture_lacks_has_no_point_there(found):
    first, *rest = _groups(found)
    groups = [[first[0], replace(first[0], contenders=first[0].contenders[:1])], *rest]
    measure = curves.MEASURES["PSNR"]
    assert len(curves.curve(groups, "other", measure)) == 3 and len(curves.curve(groups, "vlae", measure)) == 4


def test_the_command_prints_a_table_of_all_codecs(files, use_small_model):
    outcome = _run(files[0], "--codec", "jpeg,webp", "-q", "90")
    assert outcome.exit_code == 0, outcome.output
    table, settings = outcome.output.strip().split("\n\n")
    head, columns, *rows = table.splitlines()
    assert "168x176, at most" in head and "whole files, headers included" in head and "SSIMULACRA2" in columns
    assert [row.split()[0] for row in rows] == ["vlae", "JPEG", "WebP"]
    assert [line.partition(":")[0] for line in settings.splitlines()] == ["vlae", "JPEG", "WebP"]


def test_settings_library_and_version_of_each_codec_are_printed_once(files, use_small_model):
    outcome = _run(*files, "--codec", "jpeg", "-q", "90")
    (line,) = (line for line in outcome.stdout.splitlines() if line.startswith("JPEG:"))
    assert line == f"JPEG: {JPEG.settings}; libjpeg_turbo ({JPEG.version})" and "progressive True" in line


def test_json_has_the_settings_at_each_file_and_nothing_else_on_stdout(files, use_small_model):
    found = json.loads(_run(files[0], "--codec", "jpeg", "-q", "90", "--json").stdout)
    assert [codec["settings"] for codec in found["codecs"]] == ["effort 3, tune psnr", JPEG.settings]
    assert found["codecs"][1]["version"] == JPEG.version and found["codecs"][1]["library"] == "libjpeg_turbo"


def test_the_command_writes_the_page_of_all_pictures(files, tmp_path, use_small_model):
    page = tmp_path / "page.html"
    outcome = _run(*files, "--codec", "jpeg", "-q", "90", "--html", page)
    assert outcome.exit_code == 0, outcome.output
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.count('id="picture-') == 2 and "libjpeg_turbo" in text


def test_help_names_every_codec():
    words = _run("--help").output.replace(",", " ").replace(";", " ").split()
    assert set(codecs.CODECS) <= set(words)


def test_a_small_picture_has_no_perceptual_measures_and_the_reasons_are_given(files, tmp_path, use_small_model):
    with Image.open(files[0]) as image:
        image.crop((0, 0, 80, 80)).save(tmp_path / "small.png")
    outcome = _run(tmp_path / "small.png", "--codec", "webp", "-q", "100", "--json")
    found = json.loads(outcome.stdout)
    assert found["codecs"][0]["ms_ssim"] is found["codecs"][0]["ssimulacra2"] is None
    assert found["reasons"] == ["MS-SSIM: needs sides of 161 pixels", "SSIMULACRA2: needs sides of 113 pixels"]


def test_several_qualities_give_bd_rates_a_csv_and_a_plot(files, tmp_path, use_small_model):
    table, figure = tmp_path / "curves.csv", tmp_path / "curves.png"
    arguments = ("--codec", "webp", "--qualities", "10,40,70,100", "--csv", table, "--plot", figure, "--json")
    outcome = _run(*files, *arguments)
    assert outcome.exit_code == 0, outcome.output
    *pictures, last = map(json.loads, outcome.stdout.splitlines())
    assert [picture["input"] for picture in pictures] == [files[0]] * 4 + [files[1]] * 4
    assert {entry["codec"] for entry in last["bd_rate"]} <= {"WebP"}
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == sum(len(picture["codecs"]) for picture in pictures)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_one_unreadable_picture_of_several_is_reported_and_the_others_go_on(files, tmp_path, use_small_model):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    outcome = _run(tmp_path / "bad.png", files[0], "--codec", "jpeg", "-q", "90")
    assert outcome.exit_code == 9 and "bad.png" in outcome.stderr and "a.png: 168x176" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--codec", "bpg"), 2, "no codec bpg"),
        (("--qualities", "10,x"), 2, "'x' is not a valid float"),
        (("--qualities", "10,120"), 2, "120"),
        (("--plot", "curves.txt"), 7, "no format for a plot"),
        (("--csv", "-"), 2, "the name of a file"),
        (("--csv", "no/such/folder.csv"), 7, "no folder"),
    ],
)
def test_wrong_options_are_refused_before_the_work(arguments, code, message, tmp_path):
    outcome = _run(tmp_path / "absent.png", *arguments)
    assert outcome.exit_code == code and message in outcome.stderr


def test_nothing_is_overwritten_without_force(files, tmp_path):
    (tmp_path / "old.csv").write_text("kept")
    outcome = _run(files[0], "--csv", tmp_path / "old.csv")
    assert outcome.exit_code == 7 and (tmp_path / "old.csv").read_text() == "kept"


def test_a_missing_package_for_plots_is_named_before_the_work(files, monkeypatch):
    from vlae_codec.compare import command, libraries

    monkeypatch.setattr(libraries, "installed", lambda package: f"{package} is not installed")
    with pytest.raises(UsageError, match="matplotlib is not installed"):
        command._check_installed({"bjontegaard": False, "matplotlib": True})
