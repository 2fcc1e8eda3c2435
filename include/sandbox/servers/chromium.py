"""Debian's Chromium, without a window, driven by Playwright: for tests of pages and for their pictures."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from sandbox.errors import NotHere

QUIET = (
    "--headless",
    "--no-sandbox",  # root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def binary() -> str:
    """Path of Chromium.

    Raises
        NotHere  it is not installed
    """
    found = shutil.which("chromium")
    if found is None:
        raise NotHere("chromium: not on the PATH; run `make servers` as root, or install the package chromium")
    return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=binary(), args=list(QUIET))
        try:
            yield found
        finally:
            found.close()
