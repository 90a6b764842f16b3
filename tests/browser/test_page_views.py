"""The views, the choice of pictures, the tables, the theme and the help."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.looking import EVIL, PICTURES, box, canvas, middle

pytestmark = pytest.mark.browser


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
    assert tab.locator("h1").text_content() == "folder/large.png"
    assert thumbnails.nth(2).locator("span").text_content() == "large.png", "the end of a path, which tells it apart"
    assert thumbnails.nth(2).get_attribute("title") == "folder/large.png"
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
