"""Debian's Chromium, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def why_no_chromium() -> str | None:
    """Say what is missing for a browser here, or None."""
    if shutil.which("chromium") is None:
        return "there is no Chromium here (Debian: apt-get install chromium)"
    return None if find_spec("playwright") else "there is no playwright here: pip install 'paretosearch[dev]'"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for as long as the context lasts."""
    from playwright.sync_api import sync_playwright

    # Its sandbox needs a user who is not root; what it opens here are our own pages.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        try:
            yield browser
        finally:
            browser.close()
