import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.made_comparisons import comparison, contender, picture
from vlae_codec import images
from vlae_codec.compare import page
from vlae_codec.errors import OutputError

ODD_NAMES = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--<script>",
    "$size ${x}",
    "\udcff\n\u2028",
]


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and the text inside script and style elements."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.contents: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.contents.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.contents[-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def records(text: str) -> list[Any]:
    """The index, then what the page knows of each picture."""
    return [json.loads(block) for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]


def pixels_of(url: str) -> NDArray[np.uint8]:
    kind, data = re.fullmatch(r"data:image/(webp|png);base64,(.*)", url).groups()  # type: ignore[union-attr]
    return images.read(base64.b64decode(data), kind).pixels


def test_every_picture_in_the_page_is_that_of_the_comparison() -> None:
    made = [comparison(seed=1), comparison(height=33, width=17, seed=2)]
    for record, of in zip(records(page.html(made))[1:], made, strict=True):
        assert np.array_equal(pixels_of(record["image"]), of.original)
        for found, wanted in zip(record["contenders"], of.contenders, strict=True):
            assert np.array_equal(pixels_of(found["image"]), wanted.pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 20000), (400, 3), (161, 320)])
def test_gray_and_odd_shapes_are_embedded_without_loss(height: int, width: int) -> None:
    made = comparison(height=height, width=width, channels=1)
    found = pixels_of(records(page.html([made]))[1]["image"])
    assert np.array_equal(np.broadcast_to(made.original, found.shape), found)  # WebP has no gray: three equal channels


def test_thumbnails_are_small_and_look_like_their_picture() -> None:
    flat = replace(comparison(height=320, width=480), original=np.full((320, 480, 3), (10, 200, 90), np.uint8))
    thumbnail = pixels_of(records(page.html([flat]))[0][0]["thumbnail"])
    assert thumbnail.shape == (106, 160, 3) and (thumbnail == (10, 200, 90)).all()


def test_figures_arrive_in_their_units() -> None:
    record = records(page.html([comparison()]))[1]
    vlae, other = record["contenders"]
    assert (record["width"], record["height"], vlae["bytes"], vlae["bpp"]) == (130, 90, 161, 8 * 161 / (90 * 130))
    assert (vlae["psnr"], vlae["ms_ssim"], vlae["ssimulacra2"]) == (30.5, None, 70.25)
    assert other["psnr"] is None, "infinity is no JSON"
    assert record["ledger"]["bits_back"] == 40.25 and record["missing"] == ["Absent: not installed"]


def test_bits_of_each_position_arrive_as_they_are() -> None:
    made = comparison()
    bits = records(page.html([made]))[1]["bits"]
    values = np.frombuffer(base64.b64decode(bits["values"]), "<f4").reshape(bits["rows"], bits["columns"])
    assert np.array_equal(values, made.bits_map)


def test_the_page_loads_nothing() -> None:
    text = page.html([comparison()])
    elements = Elements(text)
    for tag, attributes in elements.tags:
        for key in ("src", "srcset", "href", "action", "data", "poster", "xlink:href", "background"):
            assert (attributes.get(key) or "#").startswith("#"), f"<{tag} {key}={attributes[key]}>"
    assert not elements.named("link") and not elements.named("iframe") and "sourceMappingURL" not in text
    style = elements.contents[0]
    assert "url(" not in style and "@import" not in style


def test_the_policy_allows_the_scripts_of_the_page_by_their_hashes_and_no_others() -> None:
    elements = Elements(page.html([comparison()]))
    policy = next(meta["content"] for meta in elements.named("meta") if "http-equiv" in meta) or ""
    kinds = [tag for tag in elements.tags if tag[0] in ("script", "style")]
    run = [text for (_, at), text in zip(kinds, elements.contents, strict=True) if at.get("type") != "application/json"]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes and len(hashes) == 3
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_cannot_become_markup(name: str) -> None:
    plain = comparison()
    odd = replace(plain, name=name, missing=(name,), contenders=(contender(name, plain.original, 9), *plain.contenders))
    text = page.html([odd])
    usual = page.html(
        [replace(odd, name="a", missing=("a",), contenders=(contender("a", plain.original, 9), *plain.contenders))]
    )
    assert Elements(text).tags == Elements(usual).tags
    index, record = records(text)
    assert index[0]["name"] == record["name"] == record["missing"][0] == record["contenders"][0]["name"]
    assert record["name"] == name.replace("\udcff\n", r"\xff\x0a")


def test_the_page_says_its_size() -> None:
    text = page.html([comparison(height=400, width=600)])
    said = re.search(r"One file of ([0-9.]+) MB", text)
    assert said and float(said[1]) == pytest.approx(len(text.encode()) / 1e6, rel=0.03)


def test_the_slider_is_as_published_and_its_licence_is_in_every_page() -> None:
    folder = files(page.__name__) / page.SLIDER
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("index.js", "styles.css")}
    assert sums == {
        "index.js": "6e01335000bbafdd053f851db4e0025dc3e0fadd677deca51548d6fe95b42162",
        "styles.css": "2e08fb99add8309d261056a13e9eac187832ddd76a777f2ffb2954c92c1b9a00",
    }
    assert (folder / "LICENSE").read_text(encoding="utf-8") in page.html([comparison()])


def test_no_source_of_the_page_is_longer_than_300_lines() -> None:
    lengths = {name: page._source(name).count("\n") for name in (*page.SCRIPTS, "page.css", "template.html")}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


def test_writing_replaces_a_file_and_says_where_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("older")
    page.write([comparison()], tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(OutputError, match="none"):
        page.write([comparison()], tmp_path / "none" / "page.html")


def test_a_map_of_another_size_is_refused() -> None:
    wrong = replace(comparison(), bits_map=np.zeros((2, 2), np.float32))
    with pytest.raises(AssertionError, match="per latent position"):
        page.html([wrong])


def test_pictures_to_test_with_have_no_two_equal_neighbours() -> None:
    made = picture(40, 40)
    assert (made[:, 1:] != made[:, :-1]).any(axis=2).all() and (made[1:] != made[:-1]).any(axis=2).all()
