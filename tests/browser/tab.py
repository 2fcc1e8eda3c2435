"""What the tests do on the "Switchover" tab, as a person would."""

from __future__ import annotations

import json

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Page, expect


def in_airflow(page: Page) -> FrameLocator:
    """The page inside Airflow's own."""
    return page.frame_locator("iframe")


def decide(tab: FrameLocator | Page, label: str) -> None:
    """Press a button and say yes in the dialog that it opens."""
    tab.get_by_role("button", name=label, exact=True).click()
    asked = tab.get_by_role("dialog")
    expect(asked).to_be_visible()
    asked.get_by_role("button", name="Yes, ").click()
    expect(asked).not_to_be_visible()


def serious(page: Page) -> str:
    """What axe finds serious or worse, as text; empty when there is nothing."""
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})  # what passes is a large list
    bad = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    return json.dumps([(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in bad]) if bad else ""
