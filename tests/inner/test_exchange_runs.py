"""Runs out to TREC: the newest probe of each question, each document once, in the order of the hits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from switchover.errors import BadInput
from switchover.gold.export import export_run, newest_probes
from switchover.judge.evidence_row import EvidenceRow
from switchover.ledger import Ledger

ROOT = Path(__file__).parents[2]


def probe(question: str, arm: str, tick: int, paraphrase: int, seed: int, *docs: str) -> EvidenceRow:
    hits = [{"doc": doc, "start": 0, "end": 9, "score": 0.1 * i, "rank": i} for i, doc in enumerate(docs, start=1)]
    return EvidenceRow(
        phase="warm",
        tick=tick,
        arm=arm,
        question=question,
        paraphrase=paraphrase,
        seed=seed,
        ds_question=0.3,
        ds_anchor=0.3,
        coverage=1.0,
        cited="s",
        status=200,
        ms_retrieve=None,
        ms_rerank=None,
        ms_reason=None,
        ms_total=None,
        tool_loop=False,
        hits=hits,
        at=datetime(2026, 11, 24, tzinfo=timezone.utc),
    )


def test_a_run_lists_each_document_once_in_the_order_of_the_hits(tmp_path: Path) -> None:
    rows = [
        probe("q2", "green", 3, 0, 0, "b", "a", "b", "c"),
        probe("q1", "green", 3, 0, 0, "c"),
        probe("q1", "green", 3, 1, 0),
        probe("q1", "blue", 3, 0, 0, "a"),
    ]
    files = export_run(rows, tmp_path / "runs", targets={"blue": "docs_v1", "green": "docs_v2"})
    assert (tmp_path / "runs" / "green.p0.trec").read_text().splitlines() == [
        "q1 Q0 c 1 1.000000 docs_v2.p0",
        "q2 Q0 b 1 1.000000 docs_v2.p0",
        "q2 Q0 a 2 0.500000 docs_v2.p0",
        "q2 Q0 c 3 0.333333 docs_v2.p0",
    ]
    assert [(f.name, f.tag, f.questions, f.lines, f.unanswered) for f in files] == [
        ("blue.p0.trec", "docs_v1.p0", 1, 1, 0),
        ("green.p0.trec", "docs_v2.p0", 2, 4, 0),
        ("green.p1.trec", "docs_v2.p1", 1, 0, 1),
    ]


@pytest.mark.parametrize(("question", "doc"), [("q1", "my doc"), ("q 1", "d"), ("q1", "")])
def test_a_run_with_an_id_that_trec_cannot_hold_is_refused(tmp_path: Path, question: str, doc: str) -> None:
    with pytest.raises(BadInput, match="arm blue: id .* is empty or holds white space.*nothing was written"):
        export_run([probe(question, "blue", 0, 0, 0, "d", doc)], tmp_path / "runs", targets={"blue": "b"})
    assert list(tmp_path.iterdir()) == []


def test_the_newest_probe_with_the_lowest_seed_is_taken() -> None:
    rows = [probe("q1", "green", tick, p, seed) for tick in (0, 2, 1) for p in (0, 1) for seed in (1, 0)]
    assert newest_probes(rows) == [("q1", 2, 0, 0), ("q1", 2, 1, 0)]
    assert newest_probes(reversed(rows)) == newest_probes(rows)


def test_the_ledger_gives_the_hits_of_both_arms_for_the_probes_that_are_asked_for(ledger: Ledger) -> None:
    rows = [
        probe("q1", arm, tick, p, seed, f"{arm} {tick} {p} {seed}")
        for arm in ("blue", "green")
        for tick in (0, 1)
        for p in (0, 1)
        for seed in (0, 1)
    ]
    ledger.evidence.add("docs:1", rows)
    assert ledger.evidence.newest_phase("docs:1") == "warm"
    ledger.evidence.add("docs:1", [replace(probe("q1", "blue", 1, 0, 0, "of the hold"), phase="hold")])
    assert ledger.evidence.newest_phase("docs:1") == "hold"
    probes = newest_probes(ledger.evidence.rows("docs:1", phase="warm"))
    many = [*probes, *[("q9", tick, 0, 0) for tick in range(600)]]  # more than one batch
    found = ledger.evidence.hits("docs:1", phase="warm", probes=many)
    assert sorted(row.hits[0]["doc"] for row in found) == ["blue 1 0 0", "blue 1 1 0", "green 1 0 0", "green 1 1 0"]
