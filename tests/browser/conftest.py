"""The page in a real browser, opened from disk as its readers open it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.looking import PICTURES
from vlae_codec.compare import page

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
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
