"""One demo for all tests here, which is also the demo of a good Green; and a browser. Both end with these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sandbox.demo.kept import KeptDemo
from sandbox.errors import NotHere
from sandbox.processes import leftovers
from sandbox.processes.airflow_home import REPOSITORY
from sandbox.servers import chromium

HOLD = 30
PLAN = REPOSITORY / "docs" / "examples" / "docs_approved.yaml"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Where it is not installed the tests are skipped with the reason; in CI they fail."""
    try:
        chromium.binary()
    except NotHere as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}", pytrace=False)
        pytest.skip(str(reason))
    with chromium.browser() as found:
        yield found


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptDemo]:
    """A good Green of a plan that asks people, from its start on; it stays up when it was promoted."""
    state: Path = tmp_path_factory.mktemp("browser") / "state"
    with KeptDemo(state=state, scenario="good", hold=HOLD, plan=PLAN) as found:
        yield found
    print("".join(found.told))  # shown when a test has failed
    assert leftovers.ours(state) == []


@pytest.fixture(scope="package")
def asking(demo: KeptDemo, browser: Browser) -> Page:
    """A logged-in page at the run's tab, when the demo has asked whether to flip."""
    demo.wait_for("review page: http")
    page = demo.log_in(browser, viewport={"width": 1280, "height": 900})
    demo.wait_for("asks Flip")
    page.goto(demo.page)
    return page


@pytest.fixture(scope="package")
def holding(demo: KeptDemo, asking: Page) -> Page:
    """The same page, when the demo's hold has begun."""
    demo.wait_for("  hold ")
    return asking


@pytest.fixture(scope="package")
def ended(demo: KeptDemo) -> KeptDemo:
    """The demo, when its switchover has ended."""
    demo.finish(timeout=400)
    return demo
