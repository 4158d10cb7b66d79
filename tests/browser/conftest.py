"""A real Chromium with a fake microphone that speaks, and a whole Offhook that serves the widget.

The Chromium is the machine's, or that of OFFHOOK_TEST_CHROMIUM; Playwright only drives it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from offhook import widget
from speech.offline.voice import Speaker
from tests.browser.embedding import Site, serving
from tests.system.platform import Platform, running

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE = "OFFHOOK_TEST_CHROMIUM"
NO_CHROMIUM = (
    f"there is no Chromium on this machine: `apt-get install chromium`, or name one in {VARIABLE}"
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the Chromium of this machine; without one its tests are skipped, and say so."""
    named = os.environ.get(VARIABLE)
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(NO_CHROMIUM)
    return found


@pytest.fixture(scope="session")
def built() -> Path:
    """Return the folder of the built widget."""
    widget.obtain(os.environ, print)
    return widget.WEB / "dist"


@pytest.fixture(scope="session")
def axe(built: Path) -> str:
    """Return the source of axe."""
    widget.obtain_checks(os.environ, print)
    return (widget.WEB / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def platform(
    chromium: str, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Return a running Offhook."""
    with running(tmp_path_factory.mktemp("offhook")) as started:
        yield started


@pytest.fixture(scope="session")
def site(platform: Platform) -> Iterator[Site]:
    """Return a site of another origin, with a strict policy, whose pages have the widget."""
    with serving(platform.home.api_url) as started:
        yield started


@pytest.fixture(scope="session")
def speaker() -> Speaker:
    """Return the embedded voice, for the person's lines and for the independent ear."""
    return Speaker.load()


@pytest.fixture(scope="module")  # while it is there, no other loop of this thread can run
def playwright(chromium: str) -> Iterator[Playwright]:
    """Return what drives the browser."""
    with sync_playwright() as started:
        yield started


class Browsers:
    """Starts browsers, and closes them."""

    def __init__(self, playwright: Playwright, chromium: str) -> None:
        self._playwright = playwright
        self._chromium = chromium
        self._open: list[Browser] = []

    def launch(self, *switches: str) -> Browser:
        """Return a new browser with a fake sound device, and what `switches` say of it."""
        always = ["--use-fake-device-for-media-stream", "--autoplay-policy=user-gesture-required"]
        options: dict[str, Any] = {"args": [*always, *switches], "chromium_sandbox": False}
        browser = self._playwright.chromium.launch(executable_path=self._chromium, **options)
        self._open.append(browser)
        return browser

    def close(self) -> None:
        """Close them all."""
        for each in self._open:
            each.close()


@pytest.fixture
def browsers(playwright: Playwright, chromium: str) -> Iterator[Browsers]:
    """Return what starts browsers."""
    made = Browsers(playwright, chromium)
    yield made
    made.close()
