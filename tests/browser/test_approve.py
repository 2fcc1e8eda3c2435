"""A person decides on the page before the flip. The first of the demo's tests: it waits there for an answer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from sandbox.demo.kept import KeptDemo
from sandbox.processes.airflow_api import AirflowApi
from tests.browser.tab import decide, in_airflow, serious

pytestmark = pytest.mark.demo


def test_the_question_is_on_the_tab_and_a_dialog_asks_once_more(asking: Page) -> None:
    tab = in_airflow(asking)
    expect(tab.get_by_role("heading", name="Flip docs to docs_v2?", exact=True)).to_be_visible(timeout=20_000)
    expect(tab.locator("[data-status]")).to_contain_text("waits for a person")
    expect(tab.locator(".asked p").first).to_contain_text("without an answer the run is aborted")
    assert tab.get_by_role("button", name="Roll back now").count() == 0, "nothing was flipped yet"
    tab.get_by_role("button", name="Approve", exact=True).click()
    asked = tab.get_by_role("dialog")
    expect(asked).to_contain_text("Approve: Flip docs to docs_v2?")
    expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    asking.keyboard.press("Enter")
    expect(asked).not_to_be_visible()
    expect(tab.locator(".asked [data-told]")).to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_problem_where_something_is_asked(demo: KeptDemo, asking: Page, scheme: str) -> None:
    alone = asking.context.new_page()
    alone.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    alone.goto(f"{demo.url}/switchover{demo.page.removeprefix(demo.url).removesuffix('/plugin/switchover')}")
    expect(alone.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    assert not serious(alone)
    alone.get_by_role("button", name="Reject", exact=True).click()
    assert not serious(alone)
    alone.close()


def test_a_flip_is_approved_in_the_browser(demo: KeptDemo, asking: Page) -> None:
    tab = in_airflow(asking)
    decide(tab, "Approve")
    expect(tab.locator(".asked [data-told]")).to_contain_text("Answered", timeout=20_000)
    expect(tab.locator(".asked")).to_have_count(0, timeout=30_000)
    row = tab.locator("[data-part=approvals] tbody tr")
    expect(row).to_contain_text("approved at", timeout=20_000)
    expect(row).to_contain_text("admin")
    demo.wait_for("ok   flip")
    with AirflowApi(url=demo.url, login="admin", password=demo.password) as api:
        where = f"{demo.dag_run}/taskInstances/approve_flip/-1/hitlDetails"
        assert api.get(where)["chosen_options"] == ["Approve"]
    frame = next(frame for frame in asking.frames if "/switchover/" in frame.url)
    told = frame.evaluate("url => until_airflow_waits(url).catch((error) => error.message)", f"/api/v2/{where}")
    assert told == "somebody else was first", "whoever answers now need not wait to be told"
