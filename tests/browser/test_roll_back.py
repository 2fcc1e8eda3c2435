"""A person rolls back on the page: a second switchover, which an event of its asset began and only the button ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox.demo.kept import KeptDemo
from sandbox.processes.airflow_api import AirflowApi
from sandbox.processes.postgres import DOCS_DB
from tests.browser.tab import decide, in_airflow

pytestmark = pytest.mark.demo
DAG = "switchover__docs"


@pytest.fixture(scope="module")
def api(ended: KeptDemo) -> Iterator[AirflowApi]:
    with AirflowApi(url=ended.url, login="admin", password=ended.password) as found:
        yield found


def docs(ended: KeptDemo, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(ended.database(DOCS_DB), autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


def started_by_its_asset(api: AirflowApi) -> str:
    """Tell the plan's asset, as a build does, and wait for the run that Airflow starts."""
    (asset,) = api.get("assets", name_pattern="docs_index")["assets"]
    api.post("assets/events", {"asset_id": asset["id"], "extra": {"target": "docs_v2"}})
    until = time.monotonic() + 60
    while time.monotonic() < until:
        newest = api.get(f"dags/{DAG}/dagRuns", order_by="-run_after", limit=1)["dag_runs"][0]
        if newest["run_type"] == "asset_triggered":
            return str(newest["dag_run_id"])
        time.sleep(0.5)
    pytest.fail("an event of the asset started no run within 60 s")


@pytest.fixture(scope="module")
def live(ended: KeptDemo, browser: Browser, api: AirflowApi) -> Iterator[Page]:
    """A logged-in page at the tab of a run that is in its hold, minutes from its end."""
    docs(ended, "UPDATE switchover_alias SET target = 'docs_v1'")  # Blue again, as before the first switchover
    run = started_by_its_asset(api)
    page = ended.log_in(browser, viewport={"width": 1280, "height": 900})
    page.goto(f"{ended.url}/dags/{DAG}/runs/{run}/plugin/switchover")
    tab = in_airflow(page)
    expect(tab.get_by_role("button", name="Approve", exact=True)).to_be_visible(timeout=120_000)
    decide(tab, "Approve")  # the moment it is asked, before Airflow waits
    expect(tab.get_by_role("button", name="Roll back now")).to_be_visible(timeout=120_000)
    assert api.get(f"dags/{DAG}/dagRuns/{run}/taskInstances/approve_flip")["try_number"] == 1, "it was asked once"
    yield page
    page.context.close()


def test_whoever_is_not_logged_in_any_more_is_told_so(ended: KeptDemo, live: Page, browser: Browser) -> None:
    alone = ended.log_in(browser)  # in Airflow's own frame, Airflow would show its login first
    alone.goto(f"{ended.url}/switchover{live.url.removeprefix(ended.url).removesuffix('/plugin/switchover')}")
    alone.context.clear_cookies()
    decide(alone, "Roll back now")
    expect(alone.locator("[data-told]").last).to_contain_text("Not done: you are not logged in any more.")
    expect(alone.get_by_role("button", name="Roll back now")).to_be_enabled()
    alone.context.close()


def test_roll_back_now_brings_blue_back(ended: KeptDemo, live: Page, api: AirflowApi) -> None:
    assert api.get("dags/rollback__docs/dagRuns")["total_entries"] == 0
    tab = in_airflow(live)
    expect(tab.locator("[data-status]")).to_contain_text("Green live for", timeout=60_000)
    assert docs(ended, "SELECT target FROM switchover_alias") == [("docs_v2",)]
    decide(tab, "Roll back now")
    expect(tab.locator("[data-told]")).to_contain_text("rollback__docs is ")
    expect(tab.locator(".badge").first).to_have_text("Rolled back", timeout=60_000)
    expect(tab.locator(".status")).to_contain_text("break-glass by admin")
    expect(tab.get_by_role("button", name="Roll back now")).to_have_count(0)
    assert docs(ended, "SELECT target FROM switchover_alias") == [("docs_v1",)]
    (run,) = api.get("dags/rollback__docs/dagRuns")["dag_runs"]
    assert (run["triggering_user_name"], run["note"]) == ("admin", "Roll back now, from the review page")
