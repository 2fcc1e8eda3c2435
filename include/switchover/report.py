"""What a switchover did, from the ledger alone: one summary, printed, mailed or kept as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from switchover.ledger import Ledger, RunRow
from switchover.protocol import State

Summary = dict[str, Any]
RULE_COLUMNS = ("rule", "outcome", "value", "bound", "margin", "n", "needs")


def summarise(ledger: Ledger, id: str) -> Summary:
    """Everything about one run as JSON-able values; parts that are missing are empty, never invented."""
    row = ledger.runs.get(id)
    journal = ledger.journal
    return {
        "id": row.id,
        "service": row.service,
        "state": row.state.value,
        "reason": row.reason,
        "decision": row.decision.value if row.decision else None,
        "blue": row.blue,
        "green": row.green,
        "pointer": row.pointer,
        "plan_digest": row.plan_digest,
        "gold_digest": row.gold_digest,
        "approved_hash": row.approved_hash,
        "blue_hash": row.blue_hash,
        "opened_at": _iso(row.opened_at),
        "flipped_at": _iso(row.flipped_at),
        "hold_until": _iso(row.hold_until),
        "ended_at": _iso(row.ended_at),
        "ttr_s": ttr(row),
        "steps": [_step(step) for step in journal.steps(id)],
        "checks": [{key: check[key] for key in ("name", "ok", "found", "expected")} for check in journal.checks(id)],
        "verdicts": [{"gate": v["gate"], "tick": v["tick"], **v["body"]} for v in journal.verdicts(id, latest=True)],
        "writers": [_plain(writer, "run") for writer in journal.writers(id)],
        "flips": [_plain(flip, "run", "id") for flip in journal.flips(id)],
        "events": [_plain(event, "run", "id") for event in journal.events(id)],
    }


def ttr(row: RunRow) -> dict[str, float | None] | None:
    """The time to restore and its parts in seconds; ``None`` when nothing was rolled back.

    ``detect``: first bad answer -> verdict. ``decide``: verdict -> decision written. ``hand_over``: decision
    -> the actor starts. ``flip``: -> the store has applied. ``converge``: -> every reader follows. ``total``
    counts from the verdict on, so it is the sum of all but ``detect``. One clock: the ledger's.
    """
    if row.converged_at is None or row.rollback_started_at is None:
        return None
    judged = row.judged_at or row.decided_at or row.rollback_started_at
    decided = row.decided_at or judged
    applied = row.rollback_applied_at or row.rollback_started_at
    return {
        "detect": _between(row.first_bad_at, judged),
        "decide": _between(judged, decided),
        "hand_over": _between(decided, row.rollback_started_at),
        "flip": _between(row.rollback_started_at, applied),
        "converge": _between(applied, row.converged_at),
        "total": _between(judged, row.converged_at),
    }


def status_line(row: RunRow, now: datetime) -> str:
    """One line in words: who is live, since when, and what comes next."""
    if row.state is State.HOLDING and row.flipped_at and row.hold_until:
        live = _clock((now - row.flipped_at).total_seconds())
        whole = _clock((row.hold_until - row.flipped_at).total_seconds())
        return f"Green {row.green!r} live for {live} of {whole}; undecided"
    since = _clock((now - (row.ended_at or row.updated_at)).total_seconds())
    words = {
        State.PROMOTED: f"promoted: Green {row.green!r} is live",
        State.ROLLED_BACK: f"rolled back: Blue {row.blue!r} is live; {row.reason}",
        State.ABORTED: f"aborted: Blue {row.blue!r} was never left; {row.reason}",
        State.STUCK: f"STUCK: {row.reason}",
    }
    return f"{words.get(row.state, row.state.value)} (since {since})"


def rule_table(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Verdicts as an aligned table."""
    rows = [[_cell(verdict.get(column)) for column in RULE_COLUMNS] for verdict in verdicts]
    return table([list(RULE_COLUMNS), *rows])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown(summary: Summary) -> str:
    """The summary for people, as Markdown. Cell text is escaped; nothing of it becomes markup."""
    parts = [
        f"# Switchover {_text(summary['id'])}",
        f"**{summary['state']}** — {_text(summary['reason'])}",
        f"Blue `{_text(summary['blue'])}`, Green `{_text(summary['green'])}`, pointer `{_text(summary['pointer'])}`",
    ]
    if summary["ttr_s"]:
        rows = [[name, _cell(value)] for name, value in summary["ttr_s"].items()]
        parts.append("## Time to restore (seconds)\n\n" + _markdown_table(["part", "seconds"], rows))
    steps = [[s["name"], _cell(s["seconds"]), _cell(s["ok"]), s["note"]] for s in summary["steps"]]
    parts.append("## Steps\n\n" + _markdown_table(["step", "seconds", "ok", "note"], steps))
    checks = [[c["name"], _cell(c["ok"]), c["found"], c["expected"]] for c in summary["checks"]]
    parts.append("## Checks\n\n" + _markdown_table(["check", "ok", "found", "expected"], checks))
    verdicts = [[v["gate"], *(_cell(v.get(column)) for column in RULE_COLUMNS)] for v in summary["verdicts"]]
    parts.append("## Verdicts\n\n" + _markdown_table(["gate", *RULE_COLUMNS], verdicts))
    writers = [
        [w["name"], _cell(w["frozen_at"]), _cell(w["resumed_at"]), _cell(w["resumed_on"])] for w in summary["writers"]
    ]
    parts.append("## Writers\n\n" + _markdown_table(["writer", "frozen", "resumed", "on"], writers))
    return "\n\n".join(parts) + "\n"


def write_evidence(ledger: Ledger, id: str, put: Callable[[str, bytes], None]) -> list[str]:
    """Write the evidence bundle through ``put(name, bytes)``; returns the names.

    After a rollback it holds the questions that moved most with both arms' hits side by side.
    """
    summary = summarise(ledger, id)
    files = {
        "summary.json": json.dumps(summary, indent=2, default=str),
        "report.md": markdown(summary),
    }
    phase = "hold" if summary["flipped_at"] else "warm"
    worst = worst_questions(ledger, id, phase=phase)
    if worst:
        files["worst_questions.json"] = json.dumps(worst, indent=2, default=str)
    for name, text in files.items():
        put(name, text.encode())
    return sorted(files)


def worst_questions(ledger: Ledger, id: str, *, phase: str, most: int = 10) -> list[dict[str, Any]]:
    """Questions whose coverage fell most from Blue to Green, worst first, with both arms' newest hits."""
    totals: dict[str, dict[str, list[float]]] = {}
    for row in ledger.evidence.rows(id, phase=phase):
        if row["coverage"] is not None:
            totals.setdefault(row["question"], {"blue": [], "green": []})[row["arm"]].append(row["coverage"])
    moved = sorted((_mean(arms["green"]) - _mean(arms["blue"]), question) for question, arms in totals.items())
    picked = {question: change for change, question in moved[:most] if change < 0}
    hits: dict[str, dict[str, Any]] = {question: {} for question in picked}
    for row in ledger.evidence.hits(id, phase=phase, questions=list(picked)):
        hits[row["question"]][row["arm"]] = {key: row[key] for key in ("coverage", "cited", "hits")}
    return [{"question": question, "coverage_change": picked[question], **hits[question]} for question in picked]


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": step["name"],
        "ok": step["ok"],
        "actor": step["actor"],
        "note": step["note"],
        "started_at": _iso(step["started_at"]),
        "seconds": _between(step["started_at"], step["ended_at"]),
    }


def _plain(row: Mapping[str, Any], *without: str) -> dict[str, Any]:
    return {k: _iso(v) if isinstance(v, datetime) else v for k, v in row.items() if k not in without}


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 3) if start is not None and end is not None else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    text = str(value).replace("\n", " ")
    for mark in "\\`*_|<>[]":
        text = (
            text.replace(mark, f"\\{mark}")
            if mark not in "<>"
            else text.replace(mark, {"<": "&lt;", ">": "&gt;"}[mark])
        )
    return text


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "none"
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(_text(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
