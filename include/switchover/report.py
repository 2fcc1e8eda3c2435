"""What a switchover did, from the ledger alone: one summary, printed, mailed or kept as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from switchover.arms_compared import ArmsCompared, compare_arms
from switchover.arms_text import compared_text
from switchover.errors import GoldError
from switchover.gold import read_items
from switchover.ledger import Ledger, RunRow
from switchover.protocol import State
from switchover.text import table

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

    With evidence of both arms it compares them, down to the questions that moved most with both arms' hits.
    """
    summary = summarise(ledger, id)
    files = {
        "summary.json": json.dumps(summary, indent=2, default=str),
        "report.md": markdown(summary),
    }
    compared = compared_arms(ledger, id)
    if compared is not None:
        files["comparison.json"] = json.dumps(compared.to_json(), indent=2, default=str)
        fenced = compared_text(compared).replace("`", "'")  # nothing in a question or a hit ends the fence
        files["report.md"] += f"\n## Green against Blue\n\n```text\n{fenced}\n```\n"
    for name, text in files.items():
        put(name, text.encode())
    return sorted(files)


def compared_arms(ledger: Ledger, id: str) -> ArmsCompared | None:
    """Both arms over the newest phase with evidence; ``None`` without any.

    Tags and question texts come from the gold set's file as long as it is the one that was asked.
    """
    row, evidence = ledger.runs.get(id), ledger.evidence
    phase = evidence.newest_phase(id)
    rows = evidence.rows(id, phase=phase)
    if not rows:
        return None
    plan = row.read_plan()
    try:
        items, digest = read_items(Path(plan.gold.path))
        note = "" if digest == row.gold_digest else f"no tags: {plan.gold.path} is not the gold set that was asked"
    except GoldError as error:
        items, note = [], f"no tags: {error}"
    compared = compare_arms(
        rows,
        evidence.questions(id),
        rules=plan.rules,
        items={} if note else {item.id: item for item in items},
        hits_of=lambda probes: evidence.hits(id, phase=phase, probes=probes),
    )
    return replace(compared, note=note)


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
