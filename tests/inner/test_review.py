"""A run's review and page: what they say, that markup stays text, and that no gap in the records breaks them."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.inner.judge_cases import on_green
from tests.inner.recorded import TICKS, record

from switchover.ledger import Ledger
from switchover.ledger.any_type import AnyText
from switchover.ledger.tables import metadata, run
from switchover.notify import Event
from switchover.notify.texts import mail_text, render
from switchover.page import render_run
from switchover.page.actions import actions
from switchover.page.bundle import bundle, write_evidence
from switchover.page.rows import Piece, pieces
from switchover.protocol import State
from switchover.report.review import Reviews, review
from switchover.report.summary import markdown
from switchover.report.tell import compose
from switchover.report.told import Now
from switchover.text import shown

MARKUP = "<b>bold</b>"
VOID = {"meta", "link", "br", "input", "img", "rect", "circle", "path"}
PARTS = [table for table in metadata.sorted_tables if "run" in table.c]
worse = on_green(lambda row: {**row, "coverage": 0.1, "ds_question": 0.9}, lambda row: row["question"] in ("q3", "q7"))


@pytest.fixture(scope="module")
def ledger(pg_server: Any) -> Iterator[Ledger]:
    pg_server.create_database("reviews")
    engine = sa.create_engine(pg_server.sqlalchemy_url("reviews"))
    found = Ledger(engine=engine)
    found.create_tables()
    yield found
    engine.dispose()


@pytest.fixture(autouse=True)
def empty(ledger: Ledger) -> None:
    with ledger.database.transaction() as connection:
        connection.execute(sa.text("TRUNCATE switchover_run, switchover_lease CASCADE"))


class Nesting(HTMLParser):
    """Fails where a tag is not closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<body>")[2]))


def test_what_a_roll_back_takes_is_what_the_last_ones_took(ledger: Ledger) -> None:
    """From the verdict to the last reader: the store's own part alone would promise too much."""
    record(ledger)
    at, plan = ledger.now(), ledger.runs.get("docs:1").read_plan()
    for number, took in enumerate((1.2, 1.4, 9.0)):
        id = f"docs:old{number}"
        ledger.runs.open(id=id, plan=plan, pointer="p", blue="a", green="b", hold_minutes=20)
        began, done = at + timedelta(seconds=1), at + timedelta(seconds=took)
        ledger.runs.stamp(id, judged_at=at, rollback_started_at=began, converged_at=done)
    asked = ledger.runs.open(
        id="docs:back", plan=plan, pointer="p", blue="a", green="b", hold_minutes=20, back_of="docs:old0"
    )
    far = at + timedelta(seconds=90)
    ledger.runs.stamp(asked.id, judged_at=at, rollback_started_at=at, converged_at=far)  # a person's, no rollback
    status = review(ledger, "docs:1").facts.status
    told = r"roll back takes about 1.4 s, as the last 3 did \(its pointer 0.2 s, rehearsed \d+ s ago\)$"
    assert re.search(told, status), status


def test_the_page_of_a_hold_says_it_all(ledger: Ledger) -> None:
    record(ledger, spoil=worse)
    found = review(ledger, "docs:1")
    assert found.missing == []
    status = found.facts.status
    assert re.match(r"Green live for 4\d s of 20 min; ", status)
    alone = r"the way back of its pointer took 0.2 s, rehearsed \d+ s ago"
    assert re.search(rf"; Blue is warm; {alone}; a whole one was not measured here yet$", status)
    html = render_run(found, base="/switchover")
    Nesting(html)
    told = text_of(html)
    for words in ("freeze is done", "nothing in flight", "differs, undeclared", "this run, until", "What is 3?"):
        assert words in told
    assert "Accepted now" in told and "Would be accepted now: " in told
    assert re.search(r"latency_p95 not judged", told), "no stop bound, and its place in the table all the same"
    assert "3 writes wait, the oldest for 12.5 s" in told
    assert "no watchdog looks at this ledger" in told
    assert html.count("<figure") == 6
    assert html.count('role="img"') == 6
    assert "<script" in html and "<script>" not in html and " style=" not in html
    assert "data-live" in html.partition(">")[2][:60]


def test_the_file_needs_no_other_and_does_not_ask_again(ledger: Ledger) -> None:
    record(ledger, state=State.PROMOTED)
    html = render_run(review(ledger, "docs:1"), base=None)
    Nesting(html)
    assert "<script" not in html and "<link" not in html and "src=" not in html and "data-live" not in html[:200]
    assert "--green" in html, "the style is inside"


def test_after_a_rollback_the_playbook_of_the_rule_that_fired_comes_first(ledger: Ledger) -> None:
    lost = on_green(lambda row: {**row, "coverage": 0.0})
    record(ledger, state=State.ROLLED_BACK, spoil=lost)
    found = review(ledger, "docs:1")
    assert [each["rule"] for each in found.facts.playbook] == ["coverage"]
    assert "Did the build index everything?" in text_of(render_run(found, base=None))
    assert "1. Did the build index everything?" in markdown(found.facts, found.facts.playbook)


def test_what_a_person_may_decide_is_on_the_page_and_in_no_file(ledger: Ledger) -> None:
    id = "docs:manual__2026-11-26T10:00:00+00:00"
    record(ledger, id)
    ledger.approvals.ask(
        id, "before_unfreeze", person_number=1, subject="b" * 64, until=ledger.now() + timedelta(minutes=30)
    )
    found = review(ledger, id)
    assert "; waits for a person; " in found.facts.status
    answer, back = actions(found, "/switchover")
    assert (answer.title, [choice.label for choice in answer.choices]) == (
        "Let docs stay on docs_v2?",
        ["Approve", "Reject"],
    )
    assert "without an answer Green is rolled back. It is about bbbbbbbbbbbb: plan" in answer.told
    run = "manual__2026-11-26T10%3A00%3A00%2B00%3A00"
    where = f"/api/v2/dags/switchover__docs/dagRuns/{run}/taskInstances/approve_unfreeze/-1/hitlDetails"
    assert {(choice.method, choice.url) for choice in answer.choices} == {("PATCH", where)}
    assert json.loads(answer.choices[1].body) == {"chosen_options": ["Reject"], "params_input": {}}
    assert (back.choices[0].method, back.choices[0].url) == ("POST", "/api/v2/dags/rollback__docs/dagRuns")
    html = render_run(found, base="/switchover")
    Nesting(html)
    assert "before unfreeze 1" in text_of(html) and "approved at" in text_of(html)
    assert actions(found, None) == [] and "<dialog" not in render_run(found, base=None)
    assert actions(found, "/air/flow/switchover")[1].choices[0].url.startswith("/air/flow/api/v2/"), "behind a proxy"


@pytest.mark.parametrize("state", [State.WARMED, State.ROLLED_BACK, State.ABORTED])
def test_where_nothing_is_open_there_is_nothing_to_decide(ledger: Ledger, state: State) -> None:
    record(ledger, state=state)
    assert actions(review(ledger, "docs:1"), "/switchover") == []


def test_a_promotion_can_be_taken_back_as_long_as_blue_is_kept(ledger: Ledger) -> None:
    record(ledger, state=State.PROMOTED)
    found = review(ledger, "docs:1")
    ended = replace(found.row, ended_at=found.now - timedelta(hours=1))
    (action,) = actions(replace(found, row=ended), "/switchover")
    (choice,) = action.choices
    assert (choice.method, choice.url) == ("POST", "/api/v2/dags/rollback__docs/dagRuns")
    assert json.loads(choice.body)["conf"] == {"after_promotion": True}
    assert "What docs_v1 lacks since the promotion: " in choice.told
    late = replace(found.row, ended_at=found.now - timedelta(hours=73))
    assert actions(replace(found, row=late), "/switchover") == [], "Blue may be gone by now"
    again = replace(ended, back_of="docs:0")
    assert actions(replace(found, row=again), "/switchover") == [], "a way back has none of its own"


def test_the_second_person_is_told_who_was_the_first(ledger: Ledger) -> None:
    record(ledger, state=State.WARMED)
    ledger.approvals.ask("docs:1", "before_flip", person_number=2, subject="a" * 64, until=ledger.now())
    (answer,) = actions(review(ledger, "docs:1"), "/switchover")
    assert answer.told.startswith("A second person, another one than anna, decides until ")


def test_hits_stand_side_by_side_with_the_gold_span_marked(ledger: Ledger) -> None:
    record(ledger, spoil=worse)
    html = render_run(review(ledger, "docs:1"), base=None)
    mover = html.partition('class="mover"')[2].partition("</details>")[0]
    assert mover.count("<mark>") == 2, "once on each arm"
    assert f"<mark>{'x' * 30}</mark>" in mover, "characters 100 to 130 of a hit that spans 50 to 130"
    assert "the answer to" in mover


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], [("abcdef", False)]),
        ([(0, 2), (4, 9)], [("ab", True), ("cd", False), ("ef", True)]),
        ([(0, 3), (1, 4)], [("abc", True), ("d", True), ("ef", False)]),
    ],
)
def test_a_text_is_cut_at_its_marks(marks: list[tuple[int, int]], expected: list[tuple[str, bool]]) -> None:
    assert pieces("abcdef", marks) == [Piece(text=text, gold=gold) for text, gold in expected]


def test_markup_in_any_record_stays_text(ledger: Ledger) -> None:
    record(ledger)
    with ledger.database.transaction() as connection:
        for table in PARTS:
            texts = [c.name for c in table.c if isinstance(c.type, AnyText) and not c.primary_key and c.name != "run"]
            texts = [name for name in texts if (table.name, name) not in KEYS]
            if texts:
                connection.execute(sa.update(table).values(dict.fromkeys(texts, MARKUP)))
        connection.execute(sa.update(run).values(reason=MARKUP, blue=MARKUP, pointer=MARKUP, plan_digest=MARKUP))
    html = render_run(review(ledger, "docs:1"), base=None)
    assert MARKUP not in html
    assert html.count("&lt;b&gt;bold") > 20


KEYS = {("switchover_evidence", "phase"), ("switchover_evidence", "arm"), ("switchover_evidence", "question")}


def test_no_character_in_any_record_ends_the_page_or_acts_on_a_screen(ledger: Ledger) -> None:
    evil = "\x01\x1b[31m\u202e\u2066\x7f\x9b"
    record(ledger, spoil=lambda row: worse({**row, "question": row["question"]}))
    with ledger.database.transaction() as connection:
        for table, column in (("evidence", "question"), ("question", "id"), ("event", "text"), ("step", "note")):
            connection.exec_driver_sql(f"UPDATE switchover_{table} SET {column} = {column} || %s", (evil,))
        connection.exec_driver_sql("UPDATE switchover_run SET reason = %s", (evil,))
    found = review(ledger, "docs:1")
    assert found.compared is not None
    assert any(evil in name for name in found.compared.names), "it is there"
    now = Now(row=found.row, at=found.now, target="docs_v2")
    message = compose(ledger, now, Event.FLIP, detail=evil)
    assert message is not None
    files = dict(bundle(found))
    told = [render_run(found, base="/switchover"), *(render(message, kind=kind) for kind in ("slack", "smtp"))]
    for text in (*told, mail_text(message), *files.values()):
        assert not set(evil) & set(text) - set("[31m")
        text.encode()
    assert files["report.html"].count("<svg") == told[0].count("<svg") > 5, "charts too"


@given(st.text())
def test_what_is_shown_keeps_every_other_character(text: str) -> None:
    seen = shown(text)
    assert len(seen) == len(text)
    seen.encode()
    assert all(a == b for a, b in zip(text, seen, strict=True) if a.isprintable() or a in "\t\n")


def test_the_bundle_has_every_probe_as_a_table_and_no_cell_is_a_formula(ledger: Ledger) -> None:
    record(ledger, spoil=lambda row: {**row, "cited": "=1+1"} if row["question"] == "q1" else row)
    kept: dict[str, bytes] = {}
    assert "evidence.csv" in write_evidence(ledger, "docs:1", kept.__setitem__)
    rows = list(csv.DictReader(kept["evidence.csv"].decode().splitlines()))
    assert len(rows) == 2 * len(ledger.evidence.rows("docs:1", phase="warm"))
    assert {row["cited"] for row in rows if row["question"] == "q1"} == {"'=1+1"}


def test_a_comparison_is_made_once_for_each_look(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    record(ledger)
    reviews, loaded = Reviews(), []
    load = ledger.evidence.load
    monkeypatch.setattr(ledger.evidence, "load", lambda *a, **k: loaded.append(1) or load(*a, **k))
    first, second = reviews.get(ledger, "docs:1"), reviews.get(ledger, "docs:1")
    assert first.compared is second.compared and len(loaded) == 1
    new = replace(next(iter(ledger.evidence.rows("docs:1", phase="hold"))), tick=TICKS)
    ledger.evidence.add("docs:1", [new])
    assert reviews.get(ledger, "docs:1").compared is not first.compared


@pytest.mark.parametrize("seed", range(16))
def test_no_gap_in_the_records_breaks_the_page(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    record(ledger, state=rng.choice([State.HOLDING, State.PROMOTED, State.ROLLED_BACK, State.STUCK]), spoil=worse)
    with ledger.database.transaction() as connection:
        for table in rng.sample(PARTS, 4):
            share = rng.choice([0.1, 0.5, 1.0])
            connection.execute(sa.text(f"DELETE FROM {table.name} WHERE random() < {share}"))
        for table in rng.sample([*PARTS, run], 4):
            for column in table.c:
                if "JSONB" in str(column.type):
                    broken = rng.choice(["{}", "[]", '"half"', '{"rule": null, "spans": [1]}', "[{}]", "17"])
                    connection.execute(sa.text(f"UPDATE {table.name} SET {column.name} = '{broken}'"))
                elif column.nullable and rng.random() < 0.7:
                    connection.execute(sa.update(table).values({column.name: None}))
    found = review(ledger, "docs:1")
    Nesting(render_run(found, base="/switchover"))
    assert dict(bundle(found))["report.md"]


def test_each_record_that_is_gone_is_named(ledger: Ledger) -> None:
    record(ledger, state=State.PROMOTED)
    with ledger.database.transaction() as connection:
        for table in PARTS:
            connection.execute(sa.delete(table))
        connection.execute(sa.update(run).values(plan=sa.text("'{}'::jsonb"), gold_digest=None, flipped_at=None))
    found = review(ledger, "docs:1")
    assert len(found.missing) == 11, found.missing
    told = text_of(render_run(found, base=None))
    assert all(each in told for each in found.missing)
