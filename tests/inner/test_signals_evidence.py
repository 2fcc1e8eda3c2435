"""What a metrics store was asked stands beside the verdicts: in the ledger, on the page, in the bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from judge_cases import sample
from recorded import record

from switchover.judge.traffic import RAW, AskedFigure, Dead, SignalSample, sample_from_json
from switchover.ledger import Ledger
from switchover.page import render_run
from switchover.page.bundle import bundle
from switchover.protocol import State
from switchover.report.review import review

QUERY = 'requests_total{arm="docs_v2", code=~"5.."}[300s]'
ASKED = AskedFigure(
    figure="errors_5xx",
    arm="docs_v2",
    query=QUERY,
    instant="2026-01-01T00:00:00+00:00",
    value=None,
    why="the store warns: <b>partial</b>",
    raw="x" * 5_000,
)


@pytest.fixture(scope="module")
def ledger(pg_server: Any) -> Iterator[Ledger]:
    pg_server.create_database("signals_evidence")
    engine = sa.create_engine(pg_server.sqlalchemy_url("signals_evidence"))
    found = Ledger(engine=engine)
    found.create_tables()
    record(found, "run", state=State.ROLLED_BACK)
    yield found
    engine.dispose()


def test_a_sample_and_a_dead_look_come_back_as_they_were(ledger: Ledger) -> None:
    more: dict[str, Any] = {
        "more": {"cost": 1.5},
        "extra": {"depth": 3.0},
        "p95_between": {"total": [10.0, 25.0]},
        "lacks": {"extra_age": "absent"},
        "asked": [ASKED],
    }
    whole = SignalSample(**{**sample(100).__dict__, **more})
    ledger.journal.sampled("run", 90, whole.to_json())
    ledger.journal.sampled("run", 91, Dead(why="no figure", asked=[ASKED]).to_json())
    found = ledger.journal.samples("run")[-2:]
    assert found == [whole, Dead(why="no figure")]
    assert isinstance(found[0], SignalSample)
    assert found[0].asked == (), "what was asked is read apart: it is much"
    looks = ledger.journal.asked("run", looks=2)
    assert [look["tick"] for look in looks] == [90, 91]
    assert looks[0]["asked"][0]["query"] == QUERY
    assert len(looks[0]["asked"][0]["raw"]) == RAW
    assert sample_from_json(None) is None


def test_the_page_and_the_bundle_show_query_time_and_answer(ledger: Ledger) -> None:
    ledger.journal.sampled("run", 92, Dead(why="no figure", asked=[ASKED]).to_json())
    found = review(ledger, "run")
    page = render_run(found, base=None)
    assert "requests_total{arm=&#34;docs_v2&#34;, code=~&#34;5..&#34;}[300s]" in page
    assert "&lt;b&gt;partial&lt;/b&gt;" in page
    assert "2026-01-01T00:00:00" in page
    files = dict(bundle(found))
    looks = json.loads(files["signals.json"])
    assert looks[-1]["asked"][0]["query"] == QUERY
    assert datetime.fromisoformat(looks[-1]["at"]).astimezone(timezone.utc)
