"""The page in a real browser, opened from disk as its readers open it."""

import base64
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.made_comparisons import comparison
from vlae_codec.compare import page

pytestmark = pytest.mark.browser
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
EVIL = "<img src=x onerror=\"document.title='run'\">.png"
PICTURES = [comparison(seed=1), comparison(EVIL, 200, 150, seed=2), comparison("large.png", 700, 1000, seed=3)]
SIZE = {"width": 1000, "height": 900}


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Any]]:
    """Starts Chromium with more flags than usual."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        reason = "no chromium, chromium-browser or google-chrome is installed"
        (pytest.fail if os.environ.get("VLAE_BROWSER_REQUIRED") else pytest.skip)(reason)
    with sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])


@pytest.fixture(scope="module")
def browser(start: Callable[..., Any]) -> Iterator[Any]:
    """The usual one."""
    started = start()
    yield started
    started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "page.html"
    page.write(PICTURES, path)
    return path.as_uri()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page with the options of a browser context; nothing may be logged, thrown or loaded meanwhile."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def opened(**options: Any) -> Any:
        contexts.append(browser.new_context(**({"viewport": SIZE} | options)))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: request.url.startswith(("data:", address)) or complaints.append(request.url))
        tab.goto(address)
        tab.wait_for_selector("img-comparison-slider.rendered")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def tab(visit: Callable[..., Any]) -> Any:
    return visit()


def share(tab: Any) -> int:
    """What the divider tells a screen reader."""
    return int(tab.locator("#slider").get_attribute("aria-valuenow"))


def box(tab: Any, selector: str) -> dict[str, float]:
    found: dict[str, float] = tab.locator(selector).bounding_box()
    return found


def drag(tab: Any, start: tuple[float, float], by: tuple[float, float]) -> None:
    """With the mouse, from a point of the window."""
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(start[0] + by[0] / 2, start[1] + by[1] / 2)
    tab.mouse.move(start[0] + by[0], start[1] + by[1])
    tab.mouse.up()


def middle(tab: Any) -> tuple[float, float]:
    stage = box(tab, "#stage")
    return stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2


def window(tab: Any) -> NDArray[np.uint8]:
    """What is on the screen, in its pixels (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert("RGB"))


def canvas(tab: Any, side: str) -> NDArray[np.uint8]:
    """The pixels of the map on one side (H, W, 3)."""
    tab.wait_for_selector(f"#{side} canvas:visible")
    png = tab.evaluate("side => document.querySelector(`#${side} canvas`).toDataURL()", side).split(",")[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))


def test_the_divider_follows_the_mouse(tab: Any) -> None:
    assert share(tab) == 50
    stage = box(tab, "#stage")
    drag(tab, middle(tab), (stage["width"] / 4, 0))
    assert share(tab) == 75
    assert tab.locator("#slider").get_attribute("aria-valuetext") == "75 % original, 25 % vlae"


def test_what_is_left_of_the_divider_is_the_original_and_what_is_right_of_it_vlae(tab: Any) -> None:
    tab.keyboard.press("1")
    place = box(tab, "#left img")
    x, y = int(place["x"]), int(place["y"])
    found = window(tab)[y : y + 90, x : x + 130]
    assert np.array_equal(found[:20, :60], PICTURES[0].original[:20, :60])
    assert np.array_equal(found[:20, 70:], PICTURES[0].contenders[0].pixels[:20, 70:])


def test_the_divider_follows_the_keys(tab: Any) -> None:
    tab.locator("#slider").focus()
    tab.keyboard.down("ArrowRight")
    expect(tab.locator("#slider")).not_to_have_attribute("aria-valuenow", "50")
    tab.keyboard.up("ArrowRight")
    assert share(tab) > 50
    tab.keyboard.press("Home")
    assert share(tab) == 0
    tab.keyboard.press("End")
    assert share(tab) == 100


@pytest.mark.parametrize("ratio", [1, 1.25, 2])
def test_zoomed_pixels_are_squares_of_whole_screen_pixels(
    start: Callable[..., Any], address: str, ratio: float
) -> None:
    started = start(f"--force-device-scale-factor={ratio}", "--window-size=1000,900")  # real: emulation snaps elsewhere
    tab = started.new_context(no_viewport=True).new_page()
    tab.goto(address)
    tab.wait_for_selector("img-comparison-slider.rendered")
    tab.keyboard.press("f")
    for zoom in (1, 2, 4):
        tab.keyboard.press(str(zoom))
        expect(tab.locator("#position")).to_have_text(
            f"{100 * zoom} % of the screen’s pixels, devicePixelRatio {ratio}"
        )
        x, y = (round(box(tab, "#whole img.shown")[axis] * ratio) for axis in "xy")
        wanted = PICTURES[0].original.repeat(zoom, axis=0).repeat(zoom, axis=1)
        assert np.array_equal(window(tab)[y : y + len(wanted), x : x + wanted.shape[1]], wanted)
    started.close()


def test_both_sides_stay_in_step_under_zoom_and_pan(tab: Any) -> None:
    tab.keyboard.press("p")  # the large picture
    tab.keyboard.press("2")
    before = box(tab, "#left img")
    assert (before["width"], before["height"]) == (2000, 1400)
    x, y = middle(tab)
    drag(tab, (x - 200, y), (60, 30))
    assert share(tab) == 50, "the drag pans; the divider has its grip"
    after = box(tab, "#left img")
    assert (after["x"] - before["x"], after["y"] - before["y"]) == (60, 30)
    assert after == box(tab, "#right img")
    tab.keyboard.press("Shift+ArrowRight")
    assert box(tab, "#right img")["x"] == after["x"] - 64
    tab.keyboard.press("+")
    assert box(tab, "#left img") == box(tab, "#right img") and box(tab, "#left img")["width"] == 4000
    drag(tab, (x, y), (100, 0))
    assert share(tab) > 55, "the grip moves the divider at any zoom"


def test_a_finger_moves_the_divider_and_pans_what_is_zoomed(visit: Callable[..., Any]) -> None:
    tab = visit(has_touch=True)
    tab.keyboard.press("p")
    touch = tab.context.new_cdp_session(tab)

    def swipe(start: tuple[float, float], dx: float) -> None:
        for kind, step in (("touchStart", 0), ("touchMove", dx / 2), ("touchMove", dx), ("touchEnd", None)):
            points = [] if step is None else [{"x": start[0] + step, "y": start[1]}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    x, y = middle(tab)
    swipe((x - 100, y), 300)
    expect(tab.locator("#slider")).to_have_attribute(
        "aria-valuenow", str(round(50 + 100 * 200 / box(tab, "#stage")["width"]))
    )
    tab.keyboard.press("2")
    before = box(tab, "#left img")["x"]
    swipe((x - 200, y), 80)
    assert box(tab, "#right img")["x"] == before + 80


def test_panning_ends_where_the_picture_ends(tab: Any) -> None:
    tab.keyboard.press("p")
    tab.keyboard.press("2")
    for _ in range(40):
        tab.keyboard.press("Shift+ArrowLeft")
    assert box(tab, "#left img")["x"] == pytest.approx(box(tab, "#stage")["x"], abs=1)


def test_a_double_click_zooms_where_it_points(tab: Any) -> None:
    tab.keyboard.press("p")
    stage = box(tab, "#stage")
    point = (stage["x"] + 400, stage["y"] + 280)
    before = box(tab, "#left img")
    fraction = (point[0] - before["x"]) / before["width"]
    tab.mouse.dblclick(*point)
    after = box(tab, "#left img")
    assert after["width"] == 2000
    assert (point[0] - after["x"]) / after["width"] == pytest.approx(fraction, abs=0.001)


def test_flicker_changes_the_whole_picture_by_key_click_and_hold(tab: Any) -> None:
    shown = tab.locator("#whole")
    tab.keyboard.press("f")
    assert shown.get_attribute("aria-label") == "original"
    for act in (lambda: tab.keyboard.press("f"), lambda: tab.mouse.click(*middle(tab)), lambda: tab.click("#flip")):
        before = shown.get_attribute("aria-label")
        act()
        assert {before, shown.get_attribute("aria-label")} == {"original", "vlae, 161 bytes, 30.50 dB"}
    tab.locator("#stage").focus()
    tab.keyboard.press("s")
    assert not shown.is_visible()


def test_space_held_shows_the_right_picture_until_released(tab: Any) -> None:
    tab.keyboard.down(" ")
    assert tab.locator("#whole").get_attribute("aria-label") == "vlae, 161 bytes, 30.50 dB"
    assert tab.locator("#whole").is_visible()
    tab.keyboard.up(" ")
    assert not tab.locator("#whole").is_visible()


def test_the_error_is_the_amplified_difference_from_the_original(tab: Any) -> None:
    tab.keyboard.press("e")
    original, vlae = (pixels.astype(int) for pixels in (PICTURES[0].original, PICTURES[0].contenders[0].pixels))
    difference = np.abs(original - vlae)
    for gain in (8, 16, 2, 4):
        expect(tab.locator("#right .badge")).to_have_text(f"error of vlae, ×{gain}")
        assert np.array_equal(canvas(tab, "right"), np.minimum(difference * gain, 255))
        tab.keyboard.press("g")
    legend = tab.locator("#legend").text_content()
    assert f"{difference.mean():.2f} on average, {difference.max()} at most" in legend
    assert not tab.locator("#left canvas").is_visible(), "the original has no error: it is shown itself"


def test_the_bits_view_is_brightest_where_the_bits_are(tab: Any) -> None:
    tab.keyboard.press("b")
    bits = PICTURES[0].bits_map
    heat = canvas(tab, "right").astype(int).sum(axis=2)
    means = np.array([[heat[16 * i : 16 * i + 16, 16 * j : 16 * j + 16].mean() for j in range(9)] for i in range(6)])
    assert np.corrcoef(means.ravel(), bits.ravel())[0, 1] > 0.9
    picture = box(tab, "#right img")
    scale = picture["width"] / 130
    tab.mouse.move(picture["x"] + 120 * scale, picture["y"] + 40 * scale)
    assert f"{bits[40 // 16, 120 // 16]:.1f} bits" in tab.locator("#pointer").text_content()


def test_the_pixel_under_the_pointer_is_told(tab: Any) -> None:
    picture = box(tab, "#left img")
    scale = picture["width"] / 130
    tab.mouse.move(picture["x"] + 100.5 * scale, picture["y"] + 7.5 * scale)
    original = " ".join(map(str, PICTURES[0].original[7, 100]))
    vlae = " ".join(map(str, PICTURES[0].contenders[0].pixels[7, 100]))
    assert tab.locator("#pointer").text_content() == f"x 100, y 7   original {original}   vlae {vlae}"


def test_any_picture_can_stand_on_either_side(tab: Any) -> None:
    badges = [tab.locator(f"#{side} .badge") for side in ("left", "right")]
    tab.get_by_role("radio", name="Other right").check()
    assert badges[1].text_content() == "Other, 170 bytes, ∞ dB"
    tab.keyboard.press("l")
    assert badges[0].text_content() == "vlae, 161 bytes, 30.50 dB"
    tab.keyboard.press("x")
    assert [badge.text_content()[:5] for badge in badges] == ["Other", "vlae,"]


def test_the_theme_follows_the_system_until_it_is_chosen(visit: Callable[..., Any]) -> None:
    def paper(tab: Any) -> str:
        return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark, light = visit(color_scheme="dark"), visit(color_scheme="light")
    papers = {"dark": paper(dark), "light": paper(light)}
    assert papers["dark"] != papers["light"]
    dark.click("#theme")
    assert paper(dark) == papers["light"] and dark.locator("#theme").text_content() == "Theme: light"
    light.keyboard.press("t")
    light.keyboard.press("t")
    assert paper(light) == papers["dark"]
    light.reload()
    assert paper(light) == papers["dark"], "the choice is remembered"


def test_thumbnails_and_keys_change_the_picture(tab: Any) -> None:
    thumbnails = tab.locator("#thumbnails button")
    assert thumbnails.count() == 3
    thumbnails.nth(2).click()
    assert tab.locator("h1").text_content() == "large.png"
    assert [thumbnails.nth(i).get_attribute("aria-current") for i in range(3)] == ["false", "false", "true"]
    tab.keyboard.press("n")
    assert tab.locator("h1").text_content() == "a.png"
    tab.keyboard.press("p")
    assert "1000 × 700 pixels" in tab.locator("#summary").text_content()


def test_a_file_name_that_is_markup_stays_text(tab: Any) -> None:
    tab.keyboard.press("n")
    assert tab.locator("h1").text_content() == EVIL
    assert tab.title() == f"{EVIL}, vlae compare"


def test_the_tables_hold_the_measures_and_the_ledger_adds_up(tab: Any) -> None:
    row = tab.locator("#figures tbody tr").first
    assert row.locator("td").all_text_contents() == [
        "50", "161", "0.1101", "30.50", "–", "70.25 (best)", "0.125 (best)", "0.063 (best)",
    ]  # fmt: skip
    assert "∞" in tab.locator("#figures tbody tr").nth(1).text_content()
    lines = dict(
        zip(*(tab.locator(f"#ledger tbody {cell}").all_text_contents() for cell in ("th", ".share")), strict=True)
    )
    assert lines["payload"] == "80.7 %" and lines["file"] == "100.0 %"
    assert tab.locator("#ledger tbody tr").last.text_content() == "=file1,288.0100.0 %"
    assert "Absent: not installed" in tab.locator("#missing").text_content()


def test_the_help_opens_takes_the_keys_and_closes(tab: Any) -> None:
    tab.keyboard.press("?")
    assert tab.get_by_role("dialog", name="Keys").is_visible()
    tab.keyboard.press("e")
    assert tab.locator("input[value=slider]").is_checked()
    tab.keyboard.press("Escape")
    assert not tab.get_by_role("dialog").is_visible()


def test_every_control_has_a_name_and_is_reached_by_tab(tab: Any) -> None:
    seen = []
    for _ in range(16):
        tab.keyboard.press("Tab")
        seen.append(
            tab.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.value")
        )
    for wanted in ("help", "theme", "0", "view", "zoom", "slider", "left", "right"):
        assert wanted in seen, f"{wanted} in {seen}"
    nameless = tab.evaluate(
        """[...document.querySelectorAll("button, input, a, [tabindex], [role=img]")].filter((element) =>
            !(element.getAttribute("aria-label") || element.closest("label")?.textContent.trim() ||
              element.textContent.trim()) && !element.closest("[hidden]")).map((element) => element.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_the_page_is_never_wider_than_its_window(visit: Callable[..., Any], width: int) -> None:
    tab = visit(viewport={"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
