"""Rows of the page's tables: what a template shows and does not work out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from switchover.compare.arms import Mover
from switchover.judge.evidence import ARMS
from switchover.page.charts import sparkline
from switchover.page.words import number, signed
from switchover.protocol import State
from switchover.report.review import Review

LIVE_ON_GREEN = (State.HOLDING.value, State.PROMOTED.value)
MOVING = (State.FLIPPING.value, State.ROLLING_BACK.value, State.STUCK.value)
WIDEST, WIDEST_GOLD = 420, 2000  # characters of a hit that are shown, and of a gold span in it
MOST_PIECES = 40
#: What a row of the rules' table has nothing to say of where a rule stops no hold.
NO_STOP_BOUND = ("outcome", "value", "bound", "comparison", "margin", "interval", "n", "n_of", "needs")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a text; ``gold`` where it answers the question."""

    text: str
    gold: bool


def list_row(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """One line of the list: the row with ``live``, ``age_s`` and ``ttr_s``."""
    state = row["state"]
    live = "in motion" if state in MOVING else row["green"] if state in LIVE_ON_GREEN else row["blue"]
    judged = row["judged_at"] or row["decided_at"] or row["rollback_started_at"]
    back = row["converged_at"] if row["rollback_started_at"] else None
    return {
        **row,
        "live": live,
        "age_s": (now - row["opened_at"]).total_seconds(),
        "ttr_s": max(0.0, (back - judged).total_seconds()) if back and judged else None,
    }


def steps(review: Review) -> list[dict[str, Any]]:
    """The steps with where they lie on the run's time line: ``left`` and ``width`` in percent."""
    found = []
    times = [datetime.fromisoformat(step["started_at"]) for step in review.facts.steps]
    if not times:
        return []
    begin, end = min(times), review.row.ended_at or review.now
    whole = max(1.0, (end - begin).total_seconds())
    for step, started in zip(review.facts.steps, times, strict=True):
        lasted = step["seconds"]
        running = lasted is None and not review.row.state.ended
        length = (review.now - started).total_seconds() if running else (lasted or 0.0)
        left = 100 * min(1.0, max(0.0, (started - begin).total_seconds() / whole))
        width = min(100 - left, max(0.6, 100 * length / whole))
        lasted = length if running else lasted
        found.append({**step, "seconds": lasted, "running": running, "left": f"{left:.2f}", "width": f"{width:.2f}"})
    return found


def rules(review: Review) -> list[dict[str, Any]]:
    """The verdicts of the newest look, worst first, each with its trend."""
    order = ("FAIL", "ERROR", "INCONCLUSIVE", "PASS", "OFF")
    gate = sorted(review.facts.gate, key=lambda v: order.index(v["outcome"]) if v["outcome"] in order else 0)
    found = [{**verdict, "trend": _trend(review, str(verdict.get("rule"))), "now": None} for verdict in gate]
    if not gate or gate[0]["gate"] != "stop":
        return found
    now = {verdict.get("rule"): verdict for verdict in accepted_now(review)}
    stops = {row.get("rule") for row in found}
    without = {"gate": "stop", **dict.fromkeys(NO_STOP_BOUND), "trend": Markup("")}
    others = [{**without, "rule": rule, "now": verdict} for rule, verdict in now.items() if rule not in stops]
    return [*({**row, "now": now.get(row.get("rule"))} for row in found), *others]


def accepted_now(review: Review) -> list[dict[str, Any]]:
    """What the acceptance rules said at the newest look of the hold."""
    return [dict(verdict) for verdict in review.facts.verdicts if verdict["gate"] == "now"]


def _trend(review: Review, rule: str) -> Markup:
    looks = review.trends.get(rule, ())
    return sparkline([look.value for look in looks][-60:])


def movers(review: Review) -> list[dict[str, Any]]:
    """The questions that moved most, worst first, with both arms' hits and the gold span marked."""
    if review.compared is None:
        return []
    return [_mover(review, mover) for mover in review.compared.arms.movers]


def _mover(review: Review, mover: Mover) -> dict[str, Any]:
    assert review.compared is not None
    known = review.compared.questions.get(mover.question, {})
    spans = [span for span in known.get("spans", ()) if isinstance(span, Mapping)]
    arms = []
    for arm in ARMS:
        hits = [_hit(review, arm, hit, spans) for hit in mover.hits.get(arm, ()) if isinstance(hit, Mapping)]
        arms.append({"name": arm.capitalize(), "kind": arm, "hits": hits, "cited": list(mover.cited[arm].items())})
    return {
        "id": mover.question,
        "worse": mover.change > 0,
        "change": signed(mover.change),
        "asked": mover.asked,
        "quote": known.get("quote", ""),
        "answers": [f"{span.get('doc')} {span.get('start')}–{span.get('end')}" for span in spans],
        "figures": [(name, number(blue), number(green)) for name, (blue, green) in mover.figures.items()],
        "arms": arms,
    }


def _hit(review: Review, arm: str, hit: Mapping[str, Any], spans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    assert review.compared is not None
    text = review.compared.texts.get((arm, str(hit.get("snippet_id"))), "")
    marks = _overlaps(hit, spans)
    return {
        "where": f"{hit.get('doc')} {hit.get('start')}–{hit.get('end')}",
        "section": hit.get("section_id"),
        "url": hit.get("source_url"),
        "gold": bool(marks),
        "pieces": pieces(text, marks) if text else [],
    }


def _overlaps(hit: Mapping[str, Any], spans: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Where gold spans lie in a hit's text, in characters from its start."""
    start, end = hit.get("start"), hit.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        return []
    found = [
        (max(start, int(span["start"])) - start, min(end, int(span["end"])) - start)
        for span in spans
        if span.get("doc") == hit.get("doc") and "start" in span and "end" in span
    ]
    return sorted((low, high) for low, high in found if low < high)


def pieces(text: str, marks: Sequence[tuple[int, int]]) -> list[Piece]:
    """The text cut at its marks; long stretches without a mark are shortened."""
    found: list[Piece] = []
    at = 0
    for low, high in marks:
        low, high = max(at, low), min(len(text), high)
        if low >= high:
            continue
        found += [Piece(text=text[at:low], gold=False), Piece(text=text[low:high], gold=True)]
        at = high
    found.append(Piece(text=text[at:], gold=False))
    room = max(60, WIDEST // max(1, len(found)))
    return [
        Piece(text=_shortened(piece.text, WIDEST_GOLD if piece.gold else room), gold=piece.gold)
        for piece in found[:MOST_PIECES]
        if piece.text
    ]


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room // 2].rstrip()} … {text[-room // 2 :].lstrip()}"
