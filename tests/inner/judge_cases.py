"""Evidence for the judge's tests: a healthy pair of arms, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from switchover.judge.evidence import Evidence, SignalSample
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.gates import Outcome, Verdict, judge_acceptance
from switchover.judge.rules import Rules

Row = dict[str, Any]
FLIP = datetime(2026, 11, 24, tzinfo=timezone.utc)
QUESTIONS = [f"q{i}" for i in range(40)]
RULES = Rules()


def row(question: int, paraphrase: int = 0, seed: int = 0, arm: str = "green", tick: int = 0, **changes: Any) -> Row:
    """One good probe: covers everything, cites the question's own section, 10 ms and a little."""
    good: Row = {
        "phase": "warm",
        "tick": tick,
        "arm": arm,
        "question": f"q{question}",
        "paraphrase": paraphrase,
        "seed": seed,
        "ds_question": 0.30 + 0.002 * question,
        "ds_anchor": 0.2,
        "coverage": 1.0,
        "ndcg": 1.0,
        "reciprocal_rank": 1.0,
        "cited": f"section {question}",
        "status": 200,
        "error": None,
        "ms_retrieve": 2.0,
        "ms_rerank": 1.0,
        "ms_reason": 3.0,
        "ms_total": 10.0 + (7 * question + 3 * paraphrase + tick) % 10 / 10,
        "tool_loop": False,
        **{"cited_right": 1.0, "cited_retrieved": 1.0, "uncited": 0.0},
        **{"answer_f1": 0.8, "answer_ds": 0.2, "answer_moved": 0.0},
    }
    return {**good, **changes}


def failed(of: Row) -> Row:
    """The same probe without an answer."""
    worst = {"ds_question": 1.0, "ds_anchor": 1.0, "coverage": 0.0, "cited": None, "status": 0}
    worst |= {"ndcg": 0.0, "reciprocal_rank": 0.0}
    return {**of, **worst, "error": "timed out", **{f"ms_{s}": None for s in ("retrieve", "rerank", "reason", "total")}}


def probes(
    *,
    ticks: int = 3,
    seeds: Callable[[int], Iterable[int]] = lambda tick: (0, 1),
    questions: int = 40,
    spoil: Callable[[Row], Row] = lambda good: good,
) -> list[Row]:
    """Both arms asked every question with 3 paraphrases; ``spoil`` may change each row."""
    return [
        spoil(row(question, paraphrase, seed, arm, tick))
        for tick in range(ticks)
        for arm in ("blue", "green")
        for question in range(questions)
        for paraphrase in range(3)
        for seed in seeds(tick)
    ]


def on_green(change: Callable[[Row], Row], when: Callable[[Row], bool] = lambda row: True) -> Callable[[Row], Row]:
    """Spoil Green's rows only."""
    return lambda good: change(good) if good["arm"] == "green" and when(good) else good


def number(of: Row) -> int:
    """The question's number."""
    return int(of["question"][1:])


def typed(rows: Iterable[Row]) -> list[EvidenceRow]:
    """The rows as the product has them."""
    return [EvidenceRow.from_row(row) for row in rows]


def evidence(rows: Iterable[Row], questions: int = 40) -> Evidence:
    """Evidence over the first ``questions`` of the gold set."""
    return Evidence.from_rows(typed(rows), [f"q{i}" for i in range(questions)])


def sample(
    requests: int,
    errors_5xx: int = 0,
    *,
    failures: int | None = None,
    loops: int = 0,
    start: float = 0,
    end: float = 60,
) -> SignalSample:
    """Live traffic on Green between two seconds after the flip."""
    return SignalSample(
        requests=requests,
        errors_5xx=errors_5xx,
        failures=errors_5xx if failures is None else failures,
        tool_loops=loops,
        p95_ms={"total": 10.9},
        since=FLIP + timedelta(seconds=start),
        until=FLIP + timedelta(seconds=end),
    )


def by_rule(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """Verdicts by the name of their rule."""
    return {verdict.rule: verdict for verdict in verdicts}


def warm(rows: list[dict[str, object]], **options: object) -> dict[str, Verdict]:
    """The warm gate's verdicts."""
    given = {"rules": RULES, "rehearsal_ttr_s": 2.0, "traffic": False, **options}
    return by_rule(judge_acceptance(evidence(rows), **given))


def hold_end(rows: list[dict[str, object]], signals: object, **options: object) -> dict[str, Verdict]:
    """The verdicts at the end of a hold."""
    given = {"rules": RULES, "rehearsal_ttr_s": 2.0, "traffic": True, "signals": signals, **options}
    return by_rule(judge_acceptance(evidence(rows), **given))


def hold_rows(ticks: int = 12) -> list[dict[str, object]]:
    return probes(ticks=ticks, seeds=lambda tick: (tick % 2,))


def not_passing(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {name: v.outcome.value for name, v in verdicts.items() if v.outcome is not Outcome.PASS}
