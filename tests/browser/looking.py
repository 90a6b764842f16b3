"""What several tests look at: the pictures of the page, and how to read and to move what is on the screen."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.made_comparisons import comparison

EVIL = "<img src=x onerror=\"document.title='run'\">.png"
PICTURES = [comparison(seed=1), comparison(EVIL, 200, 150, seed=2), comparison("folder/large.png", 700, 1000, seed=3)]


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
