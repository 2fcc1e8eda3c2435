"""A storm's result for people, then as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.writers import boundaries, counts


def problems(found: Mapping[str, Any]) -> list[str]:
    """What is not as it must be: counts that are not 0, a boundary where nobody died, an end that was no kill."""
    switchovers = found["switchovers"]["promoted"] + found["switchovers"]["rolled_back"]
    every = [name for places in boundaries.PHASES for name in boundaries.named(places)] if switchovers else []
    few = [name for name in every if found["kills"].get(name, 0) < switchovers]
    other = [f"{found['other_deaths']} died elsewhere"] if found["other_deaths"] else []
    return [
        *counts.wrong(found),
        *(f"{found['kills'].get(name, 0)} killed at {name!r}, of {switchovers}" for name in few),
        *other,
        *found["missed"],
    ]


def told(found: Mapping[str, Any]) -> int:
    """Print it; 1 if there is a problem."""
    print(f"{'':10}{'sent':>9}{'effects':>9}{'lost':>6}{'duplicated':>12}{'out of order per key':>22}")
    for kind in counts.KINDS:
        sent, effects, lost, twice, late = found[kind].values()
        print(f"{kind:10}{sent:>9}{effects:>9}{lost:>6}{twice:>12}{late:>22}")
    queue, ends = found["queue"], found["switchovers"]
    print(
        f"\n{queue['queued']} of the calls were queued, {queue['told_to_wait']} told to come again,"
        f" {queue['repeated']} repeated; {queue['on_the_wrong_arm']} applied on the wrong arm"
    )
    print(
        f"{ends['promoted']} promoted, {ends['rolled_back']} rolled back;"
        f" {ends['effects_while_frozen']} effects while frozen\n\nkilled with SIGKILL:"
    )
    for where, times in found["kills"].items():
        print(f"{times:>5}  {where}")
    wrong = problems(found)
    print(*(f"NOT AS IT MUST BE: {problem}" for problem in wrong), sep="\n")
    totals = {name: sum(found[kind][name] for kind in counts.KINDS) for name in ("sent", *counts.WRONG)}
    print(json.dumps({"ok": not wrong, **totals, **found}))
    return 1 if wrong else 0
