"""The state of a run in one line of words, as long as there is something to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from switchover.ledger import RunRow
from switchover.protocol import State
from switchover.report.summary import clock, status_line

Answered = tuple[tuple[int, int], tuple[int, int]]  # (successful, asked) of the newest look: Blue, Green


def headline(
    row: RunRow,
    now: datetime,
    *,
    gate: Sequence[Mapping[str, Any]],
    answered: Answered | None,
    rehearsal: Mapping[str, Any] | None,
    asked: Mapping[str, Any] | None,
) -> str:
    """``Green live for 6 min 20 s of 20 min; all 6 stop rules pass; Blue is warm; roll back takes about 2 s, ...``.

    ``rehearsal``: ``seconds`` of the pointer alone and ``at``; ``whole``: seconds of this service's last rollbacks,
    from the verdict to the last reader. The store's own part alone would promise too much.
    """
    waits = "waits for a person" if asked is not None and row.decision is None else ""
    if row.state is not State.HOLDING:
        return "; ".join(filter(None, (status_line(row, now), waits)))
    parts = [_live(row, now), waits, _rules(gate), _blue(answered), _way_back(rehearsal, now)]
    return "; ".join(part for part in parts if part)


def _live(row: RunRow, now: datetime) -> str:
    if row.flipped_at is None:
        return f"Green {row.green!r} is live, since when is not recorded"
    live = clock((now - row.flipped_at).total_seconds())
    whole = f" of {clock((row.hold_until - row.flipped_at).total_seconds())}" if row.hold_until else ""
    over = ", the hold is over and undecided" if row.hold_until and now > row.hold_until else ""
    return f"Green live for {live}{whole}{over}"


def _rules(gate: Sequence[Mapping[str, Any]]) -> str:
    if not gate:
        return "nothing judged yet"
    if gate[0]["gate"] == "acceptance":
        return "no look since the flip yet"
    said = [verdict for verdict in gate if verdict.get("outcome") != "OFF"]
    bad = [f"{verdict.get('rule')} {verdict.get('outcome')}" for verdict in said if verdict.get("outcome") != "PASS"]
    side = "stop" if gate[0]["gate"] == "stop" else "acceptance"
    off = f" ({len(gate) - len(said)} off by the plan's word, or not applicable)" if len(said) < len(gate) else ""
    return (", ".join(bad) if bad else f"all {len(said)} {side} rules pass") + off


def _blue(answered: Answered | None) -> str:
    if answered is None:
        return ""
    good, asked = answered[0]
    if not asked:
        return "Blue was not asked"
    return "Blue is warm" if good == asked else f"Blue failed {asked - good} of {asked} probes"


def _way_back(rehearsal: Mapping[str, Any] | None, now: datetime) -> str:
    if rehearsal is None or rehearsal.get("seconds") is None:
        return "the way back was not rehearsed"
    ago = clock((now - rehearsal["at"]).total_seconds())
    pointer = f"{max(0.1, rehearsal['seconds']):.1f} s, rehearsed {ago} ago"
    whole = sorted(rehearsal.get("whole", ()))
    if not whole:
        return f"the way back of its pointer took {pointer}; a whole one was not measured here yet"
    last = f"the last {len(whole)} did" if len(whole) > 1 else "the last one did"
    return f"roll back takes about {max(0.1, whole[len(whole) // 2]):.1f} s, as {last} (its pointer {pointer})"
