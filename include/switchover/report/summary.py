"""What a switchover did, from the ledger alone: one summary, printed, mailed or kept as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from switchover.compare.arms import ArmsCompared, compare_evidence
from switchover.errors import SwitchoverError
from switchover.judge.analysis import Analysis
from switchover.judge.outcome import Verdict
from switchover.judge.rules import Rules
from switchover.ledger import Ledger, RunRow
from switchover.ledger.evidence import Recording
from switchover.ledger.ttr import between, ttr, ttr_budget
from switchover.planfile.departures import departed, departures
from switchover.protocol import State
from switchover.text import table

RULE_COLUMNS = ("rule", "outcome", "value", "bound", "margin", "n", "needs")
STALENESS = ("writes that wait", "the oldest, seconds", "and maybe more")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A question as the ledger remembers it."""

    paraphrases: Sequence[str]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One run as JSON-able values; times are ISO text. Parts that are missing are empty, never invented."""

    id: str
    service: str
    state: str
    reason: str
    decision: str | None
    blue: str
    green: str
    pointer: str
    plan_digest: str
    gold_digest: str | None
    approved_hash: str | None
    blue_hash: str | None
    opened_at: str | None
    flipped_at: str | None
    hold_until: str | None
    ended_at: str | None
    ttr_s: Mapping[str, float | None] | None
    ttr_budget_s: float | None
    steps: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    verdicts: Sequence[Mapping[str, Any]]
    departures: Sequence[str]
    writers: Sequence[Mapping[str, Any]]
    staleness: Sequence[Mapping[str, Any]]
    flips: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, by the names of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def summarise(ledger: Ledger, id: str) -> Summary:
    """Read all that the ledger has of one run."""
    row = ledger.runs.get(id)
    journal = ledger.journal
    return Summary(
        id=row.id,
        service=row.service,
        state=row.state.value,
        reason=row.reason,
        decision=row.decision.value if row.decision else None,
        blue=row.blue,
        green=row.green,
        pointer=row.pointer,
        plan_digest=row.plan_digest,
        gold_digest=row.gold_digest,
        approved_hash=row.approved_hash,
        blue_hash=row.blue_hash,
        opened_at=_iso(row.opened_at),
        flipped_at=_iso(row.flipped_at),
        hold_until=_iso(row.hold_until),
        ended_at=_iso(row.ended_at),
        ttr_s=ttr(row),
        ttr_budget_s=ttr_budget(row),
        steps=[_step(step) for step in journal.steps(id)],
        checks=[{key: check[key] for key in ("name", "ok", "found", "expected")} for check in journal.checks(id)],
        verdicts=[_verdict(verdict) for verdict in journal.verdicts(id, latest=True)],
        departures=_departures(row),
        writers=[_plain(writer, "run") for writer in journal.writers(id)],
        staleness=[_staleness(row) for row in journal.staleness(id) if isinstance(row["body"], dict)],
        flips=[_plain(flip, "run", "id") for flip in journal.flips(id)],
        events=[_plain(event, "run", "id") for event in journal.events(id)],
    )


def ttr_line(parts: Mapping[str, float | None]) -> str:
    """The parts of :func:`ttr` in their order, in one line."""
    return ", ".join(f"{name} {_cell(seconds)}" for name, seconds in parts.items())


def status_line(row: RunRow, now: datetime) -> str:
    """One line in words: who is live, since when, and what comes next."""
    if row.state is State.HOLDING and row.flipped_at and row.hold_until:
        live = clock((now - row.flipped_at).total_seconds())
        whole = clock((row.hold_until - row.flipped_at).total_seconds())
        return f"Green {row.green!r} live for {live} of {whole}; undecided"
    since = clock((now - (row.ended_at or row.updated_at)).total_seconds())
    why = f"; {row.reason}" if row.reason else ""
    words = {
        State.PROMOTED: (
            f"brought back: ended with {row.green!r} live again{why}"
            if row.back_of
            else f"promoted: ended with Green {row.green!r} live"
        ),
        State.ROLLED_BACK: f"rolled back: ended with Blue {row.blue!r} live{why}",
        State.ABORTED: f"aborted {_where_aborted(row)}: ended with Blue {row.blue!r} live{why}",
        State.STUCK: f"STUCK: {row.reason}",
    }
    return f"{words.get(row.state, row.state.value)} (since {since})"


def _where_aborted(row: RunRow) -> str:
    return "before the flip" if row.flipping_at is None else "during the flip"


def deciding(
    verdicts: Sequence[Mapping[str, Any]], *, decided: bool, asked: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The verdicts that decide about Green where the run is: of the newest looks of each gate, those of one.

    While people are asked whether to flip, those of acceptance decide. Else a stop rule that fired does. Else what was
    judged at the end of the hold decides from when people are asked about it or the run is decided, however many looks
    of the watch follow. Else it is what was judged last.

    ``verdicts``: the newest look of each gate, oldest first; ``decided``: whether the run is; ``asked``: its questions.
    """
    gates = {verdict["gate"] for verdict in verdicts}
    stopped = any(verdict["gate"] == "stop" and verdict["outcome"] == "FAIL" for verdict in verdicts)
    after = decided or any(question["gate"] != "before_flip" for question in asked)
    asks_to_flip = any(each["gate"] == "before_flip" and each.get("answered_at") is None for each in asked)
    gate = verdicts[-1]["gate"] if verdicts else None
    if asks_to_flip and "acceptance" in gates:
        gate = "acceptance"
    elif stopped:
        gate = "stop"
    elif after and "hold" in gates:
        gate = "hold"
    return [verdict for verdict in verdicts if verdict["gate"] == gate]


def rule_table(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Verdicts as an aligned table."""
    rows = [[_cell(verdict.get(column)) for column in RULE_COLUMNS] for verdict in verdicts]
    return table([list(RULE_COLUMNS), *rows])


def markdown(summary: Summary, playbook: Sequence[Mapping[str, Any]] = ()) -> str:
    """The summary for people, as Markdown. Cell text is escaped; nothing of it becomes markup."""
    parts = [
        f"# Switchover {escaped(summary.id)}",
        f"**{summary.state}** — {escaped(summary.reason)}",
        f"Blue `{escaped(summary.blue)}`, Green `{escaped(summary.green)}`, pointer `{escaped(summary.pointer)}`",
    ]
    for fired in playbook:
        told = "\n".join(f"{number}. {escaped(step)}" for number, step in enumerate(fired["steps"], 1))
        parts.append(f"## What to look at first: {escaped(fired['rule'])}\n\n{told}")
    if summary.ttr_s:
        rows = [[name, _cell(value)] for name, value in summary.ttr_s.items()]
        rows.append(["budget", _cell(summary.ttr_budget_s)])
        parts.append("## Time to restore (seconds)\n\n" + markdown_table(["part", "seconds"], rows))
    steps = [[s["name"], _cell(s["seconds"]), _cell(s["ok"]), s["note"]] for s in summary.steps]
    parts.append("## Steps\n\n" + markdown_table(["step", "seconds", "ok", "note"], steps))
    checks = [[c["name"], _cell(c["ok"]), c["found"], c["expected"]] for c in summary.checks]
    parts.append("## Checks\n\n" + markdown_table(["check", "ok", "found", "expected"], checks))
    verdicts = [[v["gate"], *(_cell(v.get(column)) for column in RULE_COLUMNS)] for v in summary.verdicts]
    parts.append("## Verdicts\n\n" + markdown_table(["gate", *RULE_COLUMNS], verdicts))
    if loose := departed(summary.departures):
        parts.append(f"{escaped(loose)}.")
    writers = [
        [w["name"], *(_cell(w[key]) for key in ("frozen_at", "resumed_at", "resumed_on", "held"))]
        for w in summary.writers
    ]
    parts.append("## Writers\n\n" + markdown_table(["writer", "frozen", "resumed", "on", "held"], writers))
    if summary.staleness:
        parts.append("## What Blue would have lacked\n\n" + markdown_table(["tick", *STALENESS], _stale(summary)))
    return "\n\n".join(parts) + "\n"


def _stale(summary: Summary) -> list[list[str]]:
    """The gauge at its worst and at its last look."""
    rows = summary.staleness
    worst = max(rows, key=lambda row: (len(row["doubts"]), row["waiting"] or 0, row["oldest_s"] or 0))
    shown = [worst, rows[-1]] if worst is not rows[-1] else [worst]
    return [[_cell(r["tick"]), _cell(r["waiting"]), _cell(r["oldest_s"]), "; ".join(r["doubts"]) or "-"] for r in shown]


def load_evidence(ledger: Ledger, id: str, *, phase: str) -> Recording | None:
    """All evidence of a phase over the questions that were to be asked; ``None`` without any."""
    asked = [row["id"] for row in ledger.subjects.questions(id)] or ledger.evidence.questions(id)
    found = ledger.evidence.load(id, phase=phase, questions=asked)
    return found if found.evidence.observed.any() else None


def compare_recorded(ledger: Ledger, id: str, analysis: Analysis, *, phase: str, rules: Rules) -> ArmsCompared:
    """Both arms by what the ledger holds: questions, tags and hits as they were recorded."""
    questions = ledger.subjects.questions(id)
    compared = compare_evidence(
        analysis,
        rules=rules,
        items={row["id"]: Recorded(paraphrases=row["paraphrases"], tags=row["tags"]) for row in questions},
        rows_of=lambda wanted: ledger.evidence.of_questions(id, phase=phase, questions=wanted),
        hits_of=lambda probes: ledger.evidence.hits(id, phase=phase, probes=probes),
    )
    return compared if questions else replace(compared, note="no tags, no texts: the questions were not recorded")


def _departures(row: RunRow) -> list[str]:
    """Where the run's plan is looser than the contract; none of a plan that cannot be read any more."""
    try:
        return departures(row.read_plan())
    except (SwitchoverError, ValueError):
        return []


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    columns = {name: verdict[name] for name in ("gate", "tick", "rule", "outcome")}
    return {**columns, **Verdict.body_of(verdict["body"]), **columns}


def _staleness(row: Mapping[str, Any]) -> dict[str, Any]:
    nothing = {"waiting": None, "oldest_s": None, "doubts": ["half-written"], "thawed": []}
    return {"tick": row["tick"], "at": _iso(row["at"]), **nothing, **row["body"]}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": step["name"],
        "ok": step["ok"],
        "actor": step["actor"],
        "note": step["note"],
        "started_at": _iso(step["started_at"]),
        "seconds": between(step["started_at"], step["ended_at"]),
    }


def _plain(row: Mapping[str, Any], *without: str) -> dict[str, Any]:
    return {k: _iso(v) if isinstance(v, datetime) else v for k, v in row.items() if k not in without}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def clock(seconds: float) -> str:
    """A length of time for people: ``6 min 20 s``, ``3 h 5 min``, ``12 days``."""
    minutes, rest = divmod(int(min(1e12, max(0.0, seconds))), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes and rest else f"{minutes} min" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def escaped(value: Any) -> str:
    """Text that Markdown shows as it is."""
    text = str(value).replace("\n", " ")
    for mark in "\\`*_|<>[]":
        text = (
            text.replace(mark, f"\\{mark}")
            if mark not in "<>"
            else text.replace(mark, {"<": "&lt;", ">": "&gt;"}[mark])
        )
    return text


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are escaped; ``none`` without rows."""
    if not rows:
        return "none"
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(escaped(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
