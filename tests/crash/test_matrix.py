"""SIGKILL, and clicks in the UI, at every side effect: the run comes to its right end, and nothing was ever wrong."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sandbox.demo.rig import until
from sandbox.demo.scenarios import BLUE, GREEN
from switchover.protocol import State
from tests.crash.cells import CLICKS, Cell, cells
from tests.crash.world import World, watching

HOLD_MINUTES = {"rollback": 1.0, "hold": 1.0}
SHORT_HOLD = 0.05
MOVES = {"promoted": 1, "rolled_back": 2, "aborted": 0}
BLUE_AGAIN_S = 15.0


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.name)
def test_a_crash_ends_right(cell: Cell, world: World, results: list[dict[str, Any]]) -> None:
    world.clean()
    rig = world.rig
    _, version = world.version()
    if cell.at != "hold":
        world.arm(cell.at, cell.moment)
    run = rig.trigger(hold_minutes=HOLD_MINUTES.get(cell.at, SHORT_HOLD))
    with watching(rig, run) as witness:
        if cell.goes_back or cell.at == "hold":
            rig.reached(run, State.HOLDING)
        if cell.at == "hold":
            until(lambda: world.looks(run), timeout=60, what="the hold's first look")
        if cell.goes_back:
            rig.break_green()
        task = None if cell.at == "hold" else world.stopped()
        began = time.monotonic()
        if cell.what in CLICKS:
            world.click(cell.what, run, cell.at)
            time.sleep(1.5)  # a click reaches the task with its next heartbeat; a slow one is a zombie by then
        else:
            world.kill(cell.what, task)
        world.let_go()
        back_s = blue_again(world, began) if cell.what == "whole Airflow" else None
        world.supervisor.paused.clear()
        row = until(lambda: world.ended(run), timeout=180, what=f"the end of {run}", pause_s=0.1)
        seconds = time.monotonic() - began
        until(lambda: world.gone_or_ended(run), timeout=180, what=f"Airflow's end of {run}", pause_s=0.2)
    target, now = world.version()
    effects = world.effects()
    found = {
        "what": cell.what,
        "at": cell.at,
        "moment": cell.moment,
        "end": row.state.value,
        "by": recovered_by(world, row.id),
        "seconds": round(seconds, 1),
        "blue_again_s": back_s,
        "moves": now - version,
        "duplicated": effects["duplicated"],
        "lost": effects["lost"],
        "wrong": sorted(witness.wrong),
        "decisions": sorted(witness.decisions),
        "right": False,
    }
    results.append(found)
    rig.say(f"{cell.name}: {found['end']} by {found['by']} in {found['seconds']} s")
    assert row.state.value in cell.ends
    assert target == (GREEN if row.state is State.PROMOTED else BLUE)
    assert found["moves"] == MOVES[row.state.value] or (found["moves"], row.state) == (0, State.ROLLED_BACK)
    assert found["wrong"] == []
    assert len(witness.decisions) <= 1, "a decided run never changes its decision"
    assert (effects["duplicated"], effects["lost"]) == (0, 0)
    assert {writer["resumed_on"] for writer in rig.ledger.journal.writers(row.id)} <= {target}
    if back_s is not None:
        assert back_s <= BLUE_AGAIN_S
    found["right"] = True


def blue_again(world: World, began: float) -> float:
    """Seconds until the pointer is on Blue again, with the whole of Airflow dead."""
    until(lambda: world.version()[0] == BLUE, timeout=60, what="the watchdog's way back to Blue")
    return round(time.monotonic() - began, 1)


def recovered_by(world: World, id: str) -> str:
    """Who wrote the end into the audit trail."""
    words = ("promoted:", "rolled back:", "aborted:")
    actors = [event["actor"] for event in world.rig.ledger.journal.events(id) if event["text"].startswith(words)]
    return str(actors[-1]) if actors else "nobody"
