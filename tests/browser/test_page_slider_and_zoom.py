"""The slider, zoom and pan: by mouse, finger and keys, and exact to the pixel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.looking import PICTURES, box, drag, middle, share, window

pytestmark = pytest.mark.browser


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
        rows = len(wanted) - round(45 * ratio)  # below them the badge begins
        assert np.array_equal(window(tab)[y : y + rows, x : x + wanted.shape[1]], wanted[:rows])
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
