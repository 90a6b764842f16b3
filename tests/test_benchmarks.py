"""Each benchmark from end to end on two small pictures, with a codec that only quantises and deflates pixels."""

import csv
import inspect
import os
import sys
import zlib
from dataclasses import dataclass
from types import ModuleType

import batch_tasks
import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, JpegImagePlugin

import vlae_codec
from benchmarks import (
    bits_back,
    codecs,
    common,
    curves,
    effort,
    model_cards,
    rate_distortion,
    scaling,
    speed,
    throughput,
)
from vlae_codec import bitstream, images, jobs, metrics


@dataclass
class Ledger:
    theoretical: float
    actual: float
    y: float
    z_gross: float = 30.0
    bits_back: float = 10.0

    @property
    def overhead(self):
        return self.actual - self.theoretical


@dataclass
class Encoded:
    data: bytes
    ledger: Ledger
    bits_back: bool


def _encode(picture, quality=50.0, *, model="psnr", bits_back=True, stages=None, jobs=1):
    height, width = picture.pixels.shape[:2]
    step = 1 + (100 - int(quality)) // 2
    payload = bytes([step]) + zlib.compress((picture.pixels // step).tobytes()) + bytes(0 if bits_back else 5)
    header = bitstream.Header(False, model.encode() * 2, round(10 * quality), width, height)
    segment = bitstream.Segment(payload, 0, bits_back)
    if stages is not None:
        stages |= {"analysis": 1e-6, "entropy coding": 2e-6}
    bits = 8.0 * len(payload)
    ledger = Ledger(theoretical=bits - 16, actual=bits, y=bits - 36)
    return Encoded(bitstream.pack(bitstream.Container(header, {}, None, (segment,))), ledger, bits_back)


def _decode(data, *, stages=None, jobs=1):
    container = bitstream.parse(data)
    payload, shape = container.segments[0].payload, (container.header.height, container.header.width, 3)
    symbols = np.frombuffer(zlib.decompress(payload[1:]), np.uint8).reshape(shape)
    if stages is not None:
        stages |= {"entropy coding": 2e-6, "synthesis": 1e-6}
    return images.Picture((symbols * payload[0]).astype(np.uint8), alpha=None, metadata={})


@pytest.fixture(autouse=True)
def fake_codec(monkeypatch):
    module = ModuleType("vlae_codec.codec")
    module.encode, module.decode = _encode, _decode
    monkeypatch.setitem(sys.modules, "vlae_codec.codec", module)
    monkeypatch.setattr(vlae_codec, "codec", module, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.setattr(common, "in_fresh_process", lambda function, task: function(task))


OWN = {"vlae", "vlae, --tune ssim"}


@pytest.fixture
def pictures(tmp_path):
    """A folder of one picture in colour and one in gray, smooth enough that more bits give less error."""
    folder = tmp_path / "two"
    folder.mkdir()
    y, x = np.mgrid[:48, :64]
    smooth = 128 + 80 * np.sin(x / 9) * np.cos(y / 7)
    texture = np.random.default_rng(1).normal(0, 12, (48, 64))
    gray = np.clip(smooth + texture, 0, 255).astype(np.uint8)
    Image.fromarray(gray).save(folder / "gray.png")
    Image.fromarray(np.stack([gray, gray.T[:48].repeat(2, 1)[:, :64], 255 - gray], axis=2)).save(folder / "colour.png")
    return folder


@pytest.fixture
def rate_distortion_run(pictures, tmp_path):
    """Runs the benchmark and returns the rows of its csv."""

    def run(*options):
        codecs = ("--codecs", "JPEG,WebP,AVIF")
        _run(rate_distortion.main, pictures, "--qualities", "10,40,70,95", *codecs, "--out", tmp_path, *options)
        return _rows(tmp_path / "results" / "rate_distortion-two.csv")

    return run


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _run(main, *arguments):
    outcome = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output


def test_rate_distortion_has_a_row_for_every_codec_picture_and_quality(rate_distortion_run):
    rows = rate_distortion_run()
    found = [(row["codec"], row["image"], float(row["quality"])) for row in rows]
    wanted = {
        (codec.name, image, quality)
        for codec in (codecs.Vlae((10, 40, 70, 95)), codecs.Vlae((10, 40, 70, 95), tune="ssim"), *codecs.BASELINES)
        for image in ("gray.png", "colour.png")
        for quality in codec.qualities
    }
    assert len(found) == len(wanted) and set(found) == wanted


def test_rates_are_those_of_whole_files(rate_distortion_run, pictures):
    for row in rate_distortion_run():
        assert float(row["bpp"]) == pytest.approx(8 * int(row["bytes"]) / (48 * 64), abs=1e-6)
        if row["codec"] == "vlae":
            picture = images.Picture(common.read(pictures / row["image"]), alpha=None, metadata={})
            assert int(row["bytes"]) == len(_encode(picture, float(row["quality"])).data)


def test_rate_distortion_writes_a_report_and_both_figures(rate_distortion_run, tmp_path):
    rate_distortion_run()
    report = (tmp_path / "results" / "rate_distortion-two.md").read_text()
    assert "| JPEG " in report and "VTM" not in report
    assert (tmp_path / "figures" / "rate_distortion-two.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures" / "rate_distortion-two.svg").read_text()


def test_a_second_run_measures_nothing_again(rate_distortion_run, monkeypatch):
    rows = rate_distortion_run()
    monkeypatch.setattr(rate_distortion, "measure", lambda task: pytest.fail(f"{task} measured again"))
    assert rate_distortion_run() == rows


def test_a_run_goes_on_after_a_row_that_was_cut_short(rate_distortion_run, tmp_path, monkeypatch):
    rows = rate_distortion_run()
    path = tmp_path / "results" / "rate_distortion-two.csv"
    path.write_bytes(path.read_bytes()[:-20])
    measured, measure = [], rate_distortion.measure
    monkeypatch.setattr(rate_distortion, "measure", lambda task: measured.append(task) or measure(task))
    again = rate_distortion_run()
    assert len(measured) == 1
    assert [row["psnr"] for row in again] == [row["psnr"] for row in rows]


def test_a_change_of_the_source_has_only_vlae_measured_again(rate_distortion_run, tmp_path, monkeypatch):
    rate_distortion_run()
    measured, measure = [], rate_distortion.measure
    monkeypatch.setattr(rate_distortion, "measure", lambda task: measured.append(task) or measure(task))
    monkeypatch.setattr(codecs, "source_digest", lambda: "another")
    rows = rate_distortion_run()
    assert {task.codec.name for task in measured} == OWN and len(measured) == 16
    versions = {row["version"] for row in rows if row["codec"] in OWN}
    assert versions == {measured[0].version, measured[-1].version} and len(versions) == 2
    assert _rows(tmp_path / "results" / "rate_distortion-two.csv") == rows and rows[0]["codec"] == "vlae"


def test_rows_of_codecs_that_are_not_measured_again_stay_and_are_reported(rate_distortion_run, tmp_path):
    rows = rate_distortion_run()
    found = rate_distortion_run("--codecs", "JPEG 4:4:4")
    assert [row for row in found if row["codec"] != "JPEG 4:4:4"] == rows and len(found) == len(rows) + 20
    report = (tmp_path / "results" / "rate_distortion-two.md").read_text()
    assert "| JPEG 4:4:4 " in report and "| WebP " in report


def test_rows_of_an_older_csv_count_until_ssimulacra2_is_asked_for(rate_distortion_run, tmp_path, monkeypatch):
    rows = rate_distortion_run()
    path = tmp_path / "results" / "rate_distortion-two.csv"
    older = [column for column in rate_distortion.COLUMNS if column not in rate_distortion.NEWER]
    common.write_rows(path, older, [{column: row[column] for column in older} for row in rows])
    measured, measure = [], rate_distortion.measure
    monkeypatch.setattr(rate_distortion, "measure", lambda task: measured.append(task) or measure(task))
    monkeypatch.setattr(rate_distortion, "ssimulacra2", lambda a, b: 50.0)
    assert rate_distortion_run() == rows and not measured
    again = rate_distortion_run("--ssimulacra2")
    assert len(measured) == len(rows) and {row["ssimulacra2"] for row in again} == {"50.0000"}
    assert "SSIMULACRA2" in (tmp_path / "results" / "rate_distortion-two.md").read_text()


def test_other_codecs_are_measured_alone_and_stand_behind_vlae(rate_distortion_run, tmp_path, monkeypatch):
    rows = rate_distortion_run()
    monkeypatch.setattr(codecs, "source_digest", lambda: "another")
    monkeypatch.setattr(codecs.Vlae, "encode", lambda *_: pytest.fail("vlae measured again"))
    found = rate_distortion_run("--others-only", "--codecs", "JPEG 2000,JPEG 4:4:4")
    assert [row for row in found if row["codec"] not in ("JPEG 2000", "JPEG 4:4:4")] == rows
    names = list(dict.fromkeys(row["codec"] for row in found))
    assert names == ["vlae", "vlae, --tune ssim", "JPEG", "WebP", "AVIF", "JPEG 4:4:4", "JPEG 2000"]
    assert "## BD-rate of vlae" in (tmp_path / "results" / "rate_distortion-two.md").read_text()


def test_others_only_without_rows_of_vlae_is_refused(pictures, tmp_path):
    outcome = CliRunner().invoke(rate_distortion.main, [str(pictures), "--others-only", "--out", str(tmp_path)])
    assert outcome.exit_code == 2 and "wants rows of vlae" in outcome.output


def test_a_codec_that_some_picture_lacks_is_not_reported(rate_distortion_run, tmp_path):
    rows = rate_distortion_run()
    partial = [row for row in rows if (row["codec"], row["image"]) != ("WebP", "gray.png")]
    assert curves.complete(rows) == rows
    assert curves.complete(partial) == [row for row in rows if row["codec"] != "WebP"]
    common.write_rows(tmp_path / "results" / "rate_distortion-two.csv", rate_distortion.COLUMNS, partial)
    assert len(rate_distortion_run("--others-only", "--codecs", "JPEG")) == len(partial), "the rows stay, for later"
    assert "WebP" not in (tmp_path / "results" / "rate_distortion-two.md").read_text()


def test_an_unknown_codec_is_refused_and_an_absent_one_named(monkeypatch, capsys):
    with pytest.raises(click.UsageError, match="no codec BPG; JPEG, WebP, "):
        codecs.others(["JPEG", "BPG"])
    (jxl,) = (codec for codec in codecs.OTHERS if codec.name == "JPEG XL")
    monkeypatch.setattr(type(jxl.codec), "missing", lambda self: "imagecodecs is not installed")
    assert [codec.name for codec in codecs.others(["JPEG XL", "WebP"])] == ["WebP"]
    assert "without JPEG XL: imagecodecs is not installed" in capsys.readouterr().err


def test_bits_back_compares_the_files_of_every_picture_with_and_without_it(pictures, tmp_path):
    _run(bits_back.main, pictures, "--qualities", "20,80", "--out", tmp_path)
    rows = _rows(tmp_path / "results" / "bits_back-two.csv")
    assert [row["quality"] for row in rows] == ["20", "20", "80", "80"]
    assert all(int(row["file_bits_deterministic"]) - int(row["file_bits"]) == 40 for row in rows)
    assert (tmp_path / "results" / "bits_back-two.md").read_text().count(" 2 of 2 |") == 4


def test_bits_back_tells_the_saving_the_worst_overhead_and_how_many_keep_the_bar():
    row = {"quality": "50", "width": "8", "height": "8", "file_bits": "900", "file_bits_deterministic": "1000"}
    held = row | {"theoretical": "1000", "overhead": "25", "bits_back_active": "true"}
    broken = row | {"theoretical": "1000", "overhead": "25.1", "bits_back_active": "false"}
    line = bits_back.table([held, broken]).splitlines()[-1]
    assert [cell.strip() for cell in line.split("|")[5:-1]] == [
        "10.00 %", "25.1", "2.505 %", "25.1", "2.510 %", "1 of 2", "1 of 2",
    ]  # fmt: skip


def test_speed_has_each_stage_of_each_codec_apart(pictures, tmp_path):
    _run(speed.main, pictures, "--threads", "1", "--out", tmp_path)
    rows = _rows(tmp_path / "results" / "speed-two.csv")
    stages = {(row["codec"], row["direction"]): [] for row in rows}
    for row in rows:
        if row["image"] == "gray.png":
            stages[row["codec"], row["direction"]].append(row["stage"])
    assert stages["vlae", "encode"] == ["load", "analysis", "entropy coding", "rest", "codec", "write"]
    assert stages["vlae", "decode"] == ["load", "entropy coding", "synthesis", "rest", "codec", "write"]
    assert stages["AVIF", "decode"] == ["load", "codec", "write"] and len(stages) == 8
    assert all(float(row["peak_megabytes"]) > 1 for row in rows)


@pytest.mark.parametrize(("seconds", "entropy", "words"), [("0.5", "0.125", "holds"), ("0.8", "0.3", "broken")])
def test_speed_says_whether_the_bars_hold(seconds, entropy, words):
    rows = [
        {"codec": "vlae", "direction": direction, "stage": stage, "seconds": value, "width": "768", "height": "512"}
        for direction in ("encode", "decode")
        for stage, value in (("codec", seconds), ("entropy coding", entropy))
    ]
    assert [line.split()[-1] for line in speed.bars(rows).splitlines()] == [words] * 4


@pytest.mark.parametrize(
    "codec",
    # JPEG XL is not out for PSNR, which need not rise on so odd a picture; VVC takes half a minute.
    [codec for codec in codecs.OTHERS if codec.name not in ("JPEG XL", "VVC") and not codec.codec.missing()],
    ids=lambda codec: codec.name,
)
def test_a_baseline_gives_more_bits_and_less_error_at_each_higher_quality(codec, pictures):
    pixels = common.read(pictures / "colour.png")
    files = [codec.encode(pixels, quality).data for quality in codec.qualities]
    errors = [metrics.psnr(pixels, codec.decode(file)) for file in files]
    assert sorted(files, key=len) == files and sorted(errors) == errors


def test_jpeg_is_subsampled_and_progressive(pictures, tmp_path):
    (tmp_path / "a.jpg").write_bytes(codecs.BASELINES[0].encode(common.read(pictures / "colour.png"), 50).data)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.info["progressive"] and JpegImagePlugin.get_sampling(image) == 2


def test_gray_pictures_are_given_to_every_codec_as_rgb(pictures):
    pixels = common.read(pictures / "gray.png")
    assert pixels.shape == (48, 64, 3) and (pixels[..., 0] == pixels[..., 2]).all()


def row_of_effort(number, image, quality, bpp, psnr, lagrangian, seconds=1.0):
    values = {"effort": str(number), "image": image, "quality": f"{quality}", "bpp": f"{bpp}", "psnr": f"{psnr}"}
    return values | {"lagrangian_bpp": f"{lagrangian}", "seconds_encode": f"{seconds}", "peak_mb": "700"}


def test_efforts_are_compared_with_the_first_and_costlier_files_with_the_one_before():
    curve = [(10, 0.1, 27), (40, 0.3, 30), (70, 0.9, 34), (95, 2.0, 39)]
    shares = {0: 1.0, 3: 0.9, 4: 0.8}
    costs = {0: (5, 5, 5, 5), 3: (4, 4, 4, 5), 4: (4.5, 3, 3, 3)}
    rows = [
        row_of_effort(number, image, quality, share * bpp, psnr, cost, seconds=1.0 + number)
        for number, share in shares.items()
        for image in ("a.png", "b.png")
        for (quality, bpp, psnr), cost in zip(curve, costs[number], strict=True)
    ]
    first, nudged, searched = effort.levels(rows)
    assert (first.bd_rate, first.costlier) == (0, 0)
    assert nudged.bd_rate == pytest.approx(-10) and nudged.worst == pytest.approx(-10) and nudged.costlier == 0
    assert searched.bd_rate == pytest.approx(-20) and searched.costlier == 2 and searched.seconds == 5
    assert "| 4      | -20.00 % |" in effort.table([first, nudged, searched])


def test_efforts_are_measured_once_and_the_memory_is_that_of_a_fresh_process(tmp_path, monkeypatch):
    asked = []

    def in_fresh_process(function, tasks):
        assert function is effort.measure_some
        asked.append([(task.effort, task.path.name, task.quality) for task in tasks])
        rows = [row_of_effort(t.effort, t.path.name, t.quality, t.quality, 20 + t.quality, 1) for t in tasks]
        return [
            dict.fromkeys(effort.COLUMNS, "0") | row | task.identity() for row, task in zip(rows, tasks, strict=True)
        ]

    monkeypatch.setattr(common, "in_fresh_process", in_fresh_process)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    tasks = [effort.Task("s", e, tmp_path / n, q) for e in (0, 3) for n in ("a.png", "b.png") for q in (10.0, 40.0)]
    assert len(effort.measure_all(tasks, tmp_path / "rows.csv")) == 8
    assert asked[0] == [(0, "a.png", 10.0), (0, "a.png", 40.0)] and len(asked) == 4
    assert len(effort.measure_all(tasks, tmp_path / "rows.csv")) == 8 and len(asked) == 4


def test_scaling_has_a_row_for_each_size_and_direction(tmp_path):
    _run(scaling.main, "--megapixels", "0.02,0.01", "--out", tmp_path)
    rows = _rows(tmp_path / "results" / "scaling.csv")
    found = [(row["direction"], row["megapixels"]) for row in rows]
    assert found == [("encode", "0.01"), ("encode", "0.02"), ("decode", "0.01"), ("decode", "0.02")]
    for row in rows:
        assert int(row["width"]) * int(row["height"]) == pytest.approx(1e6 * float(row["megapixels"]), rel=0.02)
    assert (tmp_path / "figures" / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_scaling_fits_the_line_that_rows_lie_on():
    rows = [
        {"direction": "encode", "megapixels": f"{mp}", "width": "1000", "height": f"{1000 * mp}"}
        | {"cpu_seconds": f"{2 * mp}", "peak_megabytes": f"{700 + 5 * mp}"}
        for mp in (1, 10, 100)
    ]
    assert scaling.slopes(rows) == (
        "* encode, from 1 MP on: 2.00 s of the processor per megapixel, growing with pixels to the power of 1.00; "
        "700 MB and 5.0 MB per megapixel, 3 of them the pixels\n"
    )


def test_the_pictures_of_scaling_have_no_seams(monkeypatch):
    pixels = scaling.photograph(700, 1000).astype(int)
    assert np.abs(np.diff(pixels, axis=0)).mean() < 12 and np.abs(pixels[512] - pixels[511]).max() == 0


def test_work_is_shared_among_processes_and_all_results_arrive():
    assert sorted(common.in_processes(abs, range(-5, 0), jobs=2)) == [1, 2, 3, 4, 5]


def test_throughput_gives_encode_all_that_it_asks_for(tmp_path, monkeypatch):
    asked = inspect.signature(jobs.encode)
    monkeypatch.setattr(throughput.batch, "outcomes", lambda order, plan, processes: orders.append(order.task) or [])
    orders = []
    with pytest.raises(IndexError):  # nothing was done, nothing is measured
        throughput.measure([tmp_path / "a.ppm"], 1, tmp_path)
    asked.bind(None, *orders[0].args, **orders[0].keywords, force=False, progress=None)


def test_throughput_counts_the_files_after_the_warm_up_and_tells_whether_the_bar_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "encode", batch_tasks.copy)
    _run(throughput.main, "--files", "3", "--jobs", "1", "--out", tmp_path)
    rows = _rows(tmp_path / "results" / "throughput.csv")
    assert [(row["jobs"], row["files"]) for row in rows] == [("1", "3")]
    rows = [{"jobs": "1", "files_per_second": "2.0"}, {"jobs": "2", "files_per_second": "3.3"}]
    assert throughput.table(rows).splitlines()[-1].endswith("1.65 times; bar 1.7: broken")
    rows[1]["files_per_second"] = "3.4"
    assert throughput.table(rows).splitlines()[-1].endswith("1.70 times; bar 1.7: holds")


def test_a_card_gets_the_figures_of_its_model_and_keeps_the_rest(rate_distortion_run, tmp_path, monkeypatch):
    rows = rate_distortion_run()
    monkeypatch.setattr(model_cards, "FIGURES", tmp_path)
    model = {"psnr": b"psnr" * 2, "ssim": b"ssim" * 2}
    for tune in model:
        kodak = model_cards.kodak(rows, tune, model[tune].hex())
        assert "| 10      |" in kodak and "| WebP " in kodak and "vlae" not in kodak
    card = model_cards.with_figures("# Card\n\nText.\n", kodak)
    assert model_cards.with_figures(card, kodak) == card and card.startswith("# Card\n\nText.\n\n<!-- begin")
    assert model_cards.with_figures(card + "More.\n", "new\n").endswith(
        "figures -->\nnew\n<!-- end figures -->\nMore.\n"
    )
    with pytest.raises(click.ClickException, match="run benchmarks"):
        model_cards.kodak(rows, "psnr", "00")


def test_the_limits_are_drawn_with_what_they_cost(tmp_path, monkeypatch):
    monkeypatch.setattr(model_cards, "FIGURES", tmp_path)
    assert "limits-ssim.png" in model_cards.limits("ssim")
    with Image.open(tmp_path / "limits-ssim.png") as image:
        assert image.width > 1000
    first, *others = model_cards.row_of("text", model_cards.text(), "psnr")
    assert np.array_equal(first.pixels, model_cards.text()) and len(others) == 3
    assert all(" bpp, " in shown.caption and shown.caption.endswith(" dB") for shown in others)
