"""What a person reads before they decide: Markdown, in which nothing that comes from outside becomes markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from switchover.approval import Gate
from switchover.ledger import RunRow
from switchover.planfile.departures import departed
from switchover.report.summary import Summary, escaped, markdown_table
from switchover.text import shown

ASKED = {
    Gate.BEFORE_FLIP: ("Flip {service} to {green}?", "the run is aborted; the pointer was never moved"),
    Gate.BEFORE_UNFREEZE: ("Let {service} stay on {green}?", "Green is rolled back"),
    Gate.ON_UNACCEPTED: ("Keep {service} on {green} though not every rule passes?", "Green is rolled back"),
}
GATES = {Gate.BEFORE_FLIP: "acceptance", Gate.BEFORE_UNFREEZE: "hold", Gate.ON_UNACCEPTED: "hold"}
WIDEST = 48


def subject_text(row: RunRow, gate: Gate) -> str:
    """The question in one line."""
    return shown(ASKED[gate][0].format(service=row.service, green=row.green))


def otherwise(gate: Gate) -> str:
    """What happens without an answer."""
    return ASKED[gate][1]


def body_text(
    summary: Summary,
    arms: Mapping[str, Mapping[str, Any]],
    *,
    gate: Gate,
    until: datetime,
    approvers: int,
    bound: str,
    rehearsed: float | None,
    url: str,
) -> str:
    """What is approved: arms, pins that differ, verdicts, the rehearsed way back, and until when.

    ``arms``: role -> pins, as verify found them. ``rehearsed``: seconds of the way back in the rehearsal that counts.
    """
    verdicts = [v for v in summary.verdicts if v["gate"] == GATES[gate]]
    rows = [[v["rule"], v["outcome"], v["detail"]] for v in verdicts]
    people = "Two different persons must approve. " if approvers == 2 else ""
    loose = departed(summary.departures)
    link = f"\n\n[Everything about this run]({url.replace(')', '%29')})" if url else ""
    return shown(
        "\n\n".join(
            [
                f"Blue {escaped(summary.blue)} → Green {escaped(summary.green)}, pointer {escaped(summary.pointer)}",
                f"{people}Until {until:%Y-%m-%d %H:%M:%S} UTC; without an answer {otherwise(gate)}.",
                "### Pins that differ\n\n" + markdown_table(["pin", "Blue", "Green"], _pins(arms)),
                f"### Verdicts ({GATES[gate]})\n\n" + markdown_table(["rule", "verdict", "detail"], rows),
                *([f"{escaped(loose)}."] if loose else []),
                f"Way back: {'not rehearsed' if rehearsed is None else f'rehearsed in {rehearsed:.3f} s'}",
                f"This is approval of {bound[:12]}: plan, both manifests and gold set as they are now."
                " A change of any of them voids it.",
            ]
        )
        + link
    )


def _pins(arms: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    blue, green = (arms.get(role, {}).get("pins", {}) for role in ("blue", "green"))
    names = sorted({*blue, *green})
    return [
        [name, str(blue.get(name, "-"))[:WIDEST], str(green.get(name, "-"))[:WIDEST]]
        for name in names
        if blue.get(name) != green.get(name)
    ]
