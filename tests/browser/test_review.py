"""The review page as people use it. The first tests need the hold, so their order is that of the demo."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox.demo.kept import KeptDemo
from sandbox.processes.airflow_api import AirflowApi
from sandbox.processes.postgres import LEDGER_DB
from tests.browser.tab import decide, in_airflow, serious

pytestmark = pytest.mark.demo
MARKUP = "<img src=x onerror='window.hit=1'>"


def test_the_tab_moves_during_the_hold_without_a_reload(demo: KeptDemo, holding: Page) -> None:
    holding.goto(demo.page)
    tab = in_airflow(holding)
    status = tab.locator("[data-status]")
    expect(status).to_contain_text("Green live for", timeout=20_000)
    expect(tab.locator(".badge").first).to_have_text("Holding")
    frame = next(frame for frame in holding.frames if "/switchover/" in frame.url)
    frame.evaluate("window.loaded_once = true")
    http_5xx = tab.locator("table.rules tr", has_text="http_5xx").locator("td.n[title]")
    before = status.inner_text(), int(re.sub(r"\D", "", http_5xx.inner_text()))
    expect(status).not_to_have_text(before[0], timeout=15_000)
    expect(http_5xx).not_to_have_text(re.compile(rf"^\s*{before[1]}\s*$"), timeout=20_000)
    assert int(re.sub(r"\D", "", http_5xx.inner_text())) > before[1], "live requests are counted on"
    assert frame.evaluate("window.loaded_once") is True, "nothing was loaded again"


def test_the_hold_links_to_its_page_while_it_runs(demo: KeptDemo, holding: Page) -> None:
    with AirflowApi(url=demo.url, login="admin", password=demo.password) as api:
        assert api.get(f"{demo.dag_run}/taskInstances/hold")["state"] == "deferred"
        links = api.get(f"{demo.dag_run}/taskInstances/hold/links")["extra_links"]
    assert links["Switchover"] == demo.page


def test_the_writers_go_on_when_a_person_says_so(demo: KeptDemo, holding: Page) -> None:
    tab = in_airflow(holding)
    expect(tab.get_by_role("heading", name="Let docs stay on docs_v2?")).to_be_visible(timeout=120_000)
    expect(tab.get_by_role("button", name="Roll back now")).to_be_visible()
    decide(tab, "Approve")
    expect(tab.locator(".asked [data-told]")).to_contain_text("Answered", timeout=20_000)
    expect(tab.locator(".badge").first).to_have_text("Promoted", timeout=60_000)


def test_the_demo_was_promoted_and_left_no_trace(ended: KeptDemo) -> None:
    told, result = "".join(ended.told), ended.result
    assert ended.finish() == 0, told
    assert (result["outcome"], result["run_state"]) == ("promoted", "success")
    assert result["pointer"] == {"before": "docs_v1", "after": "docs_v2"}
    traffic, effects = result["traffic"], result["effects"]
    assert traffic["requests"] > 100 and effects["written"] > 10
    assert (traffic["failed"], traffic["mixed"], effects["duplicated"], effects["lost"]) == (0, 0, 0, 0)
    assert result["ttr_s"] is None
    assert [step["name"] for step in result["steps"]] == [
        "attest",
        "freeze",
        "verify",
        "warm",
        "approve_flip",
        "flip",
        "hold",
        "approve_unfreeze",
        "unfreeze",
    ]
    bundle = next((ended.state / "airflow" / "evidence").iterdir())
    assert {path.name for path in bundle.iterdir()} >= {"summary.json", "report.md", "report.html"}
    assert f"review page in Airflow: {ended.page}" in told
    assert "http" not in (ended.state / "review.html").read_text().partition("<main")[0], "the file needs no other"


def test_the_navigation_leads_to_the_list_and_on_to_the_run(ended: KeptDemo, holding: Page) -> None:
    holding.goto(ended.url)
    holding.get_by_text("Switchovers", exact=True).first.click()
    listed = in_airflow(holding)
    row = listed.locator("tbody tr").first
    expect(row).to_contain_text("Promoted", timeout=20_000)
    expect(row).to_contain_text("PASS")
    row.locator("a").click()
    expect(listed.locator("h1")).to_contain_text("docs_v1")
    expect(listed.locator("figure svg")).not_to_have_count(0)


def test_the_evidence_is_one_download_in_the_tab(ended: KeptDemo, holding: Page) -> None:
    holding.goto(ended.page)
    with holding.expect_download() as download:
        in_airflow(holding).get_by_role("link", name="Download the evidence").click(timeout=20_000)
    data = Path(download.value.path()).read_bytes()
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert json.loads(archive.read("summary.json"))["id"] == ended.run
    assert "comparison.json" in archive.namelist()


def test_who_has_no_rights_sees_nothing(ended: KeptDemo, browser: Browser) -> None:
    address = f"{ended.url}/switchover/runs/{quote(ended.run)}"
    stranger = browser.new_context().new_page()
    for path in (address, f"{address}/bundle.zip", f"{ended.url}/switchover/"):
        answer = stranger.request.get(path)
        assert answer.status == 401
    answer = stranger.goto(address)
    assert answer is not None and answer.status == 401
    guest = ended.log_in(browser, user="guest")
    answer = guest.goto(address)
    assert answer is not None and answer.status == 403
    assert "docs_v2" not in guest.content()
    assert guest.request.get(f"{address}/bundle.zip").status == 403
    answer = guest.goto(f"{ended.url}/switchover/")
    assert answer is not None and answer.status == 200
    assert "docs_v2" not in guest.content()


def page_of(ended: KeptDemo, browser: Browser, **look: Any) -> Page:
    page = ended.log_in(browser, **look)
    page.goto(f"{ended.url}/switchover/runs/{quote(ended.run)}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["run", "list"])
def test_axe_finds_no_serious_problem(ended: KeptDemo, browser: Browser, scheme: str, path: str) -> None:
    page = page_of(ended, browser, color_scheme=scheme)
    if path == "list":
        page.goto(f"{ended.url}/switchover/")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert not serious(page)


def test_the_page_is_usable_with_keys_alone(ended: KeptDemo, browser: Browser) -> None:
    page = page_of(ended, browser)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName + ' ' + document.activeElement.className"))
    assert {"SUMMARY ", "DIV scroll"} <= reached
    mover = page.locator(".mover").last
    mover.locator("summary").focus()
    page.keyboard.press("Enter")
    assert mover.get_attribute("open") is not None


def test_a_phone_scrolls_one_way_only(ended: KeptDemo, browser: Browser) -> None:
    page = page_of(ended, browser, viewport={"width": 360, "height": 740})
    for address in (page.url, f"{ended.url}/switchover/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_page_asks_nobody_else_and_complains_of_nothing(ended: KeptDemo, browser: Browser) -> None:
    page = ended.log_in(browser)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{ended.url}/switchover/runs/{quote(ended.run)}", wait_until="networkidle")
    assert len(asked) >= 3
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(ended.url).netloc}
    assert [text for text in said if "favicon" not in text] == []


def test_markup_in_plan_question_answer_and_reason_is_text(ended: KeptDemo, browser: Browser) -> None:
    changes = (
        "UPDATE switchover_run SET reason = %(m)s, plan = jsonb_set(plan, '{description}', to_jsonb(%(m)s::text))",
        "UPDATE switchover_question SET quote = %(m)s, paraphrases = jsonb_build_array(%(m)s::text, %(m)s, %(m)s)",
        "UPDATE switchover_snippet SET text = %(m)s",
        "INSERT INTO switchover_event (run, actor, text) VALUES (%(run)s, %(m)s, %(m)s)",
        # A new look: what was worked out of the one before is not remembered any more.
        "INSERT INTO switchover_evidence (run, phase, tick, arm, question, paraphrase, seed, ds_question, ds_anchor,"
        " status, tool_loop, hits) SELECT run, phase, tick + 1, arm, question, paraphrase, seed, ds_question,"
        " ds_anchor, status, tool_loop, hits FROM switchover_evidence WHERE run = %(run)s AND phase = 'hold'"
        " ORDER BY tick DESC LIMIT 1",
    )
    with psycopg.connect(ended.database(LEDGER_DB), autocommit=True) as ledger:
        for change in changes:
            ledger.execute(change, {"m": MARKUP, "run": ended.run})
    page = page_of(ended, browser)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    for where in ("header .quiet", ".reason", ".mover .q", ".gold q", ".side li p", ".events li"):
        expect(page.locator(where).filter(has_text="onerror").first).to_contain_text(MARKUP)
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0
