"""Break-glass at the command line: whoever drives the run, Blue comes back, and the drivers notice."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from switchover.cli.entry import main
from switchover.errors import LeaseLost, StateConflict
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.breakglass import break_glass
from switchover.steps.flip import flip
from switchover.steps.freeze import freeze
from switchover.steps.hold import End, watch
from switchover.steps.switch import Switch
from tests.steps.conftest import ROOT, World

PLAN = str(ROOT / "include" / "plans" / "docs.yaml")


@pytest.fixture
def call(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    for name, value in world.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)

    def run(*arguments: str, by: tuple[str, str] = ("--plan", PLAN)) -> tuple[int, Any, str]:
        code = main([*arguments, *by, "--json"])
        caught = capsys.readouterr()
        return code, json.loads(caught.out) if caught.out else None, caught.err

    return run


def flipped(world: World) -> Switch:
    switch = world.warmed()
    flip(switch)
    return switch


def break_it(world: World, **options: Any) -> Any:
    return break_glass(plan=world.plan, edge=world.edge, actor="test", person="ada", **options)


def test_a_run_in_its_hold_is_brought_back_and_says_who_asked(world: World) -> None:
    driver = flipped(world)
    back = break_it(world)
    assert (back.row.state, back.row.reason) == (State.ROLLED_BACK, "break-glass by ada")
    assert back.writers == ["ingest process"]
    assert (world.live, world.frozen) == ("docs_v1", False)
    audited = [(record.kind, record.actor) for record in world.ledger.audit.records(run=driver.id)]
    assert audited == [("break_glass", "ada"), ("end", "person:ada")]
    told = [row["text"] for row in world.ledger.journal.events(driver.id)]
    assert any("seized from 'docs:1'" in text for text in told)

    async def look() -> Any:
        return await anext(watch(driver))

    tick = asyncio.run(look())
    assert tick.end in (End.LEASE_LOST, End.MOVED)
    assert finish.promote_or_roll_back(world.again(driver)) is Decision.ROLL_BACK
    assert finish.rollback(world.again(driver)) == [], "the driver's own rollback finds nothing left to do"
    assert finish.restore(world.again(driver)).startswith("rolled_back")


def test_the_driver_that_was_interrupted_cannot_write_any_more(world: World) -> None:
    driver = world.warmed()
    driver.leadership.take()
    break_it(world)
    with pytest.raises(LeaseLost):
        driver.leadership.renew()
    assert world.ledger.runs.get(driver.id).state is State.ABORTED


def test_before_the_flip_it_aborts(world: World) -> None:
    switch = world.open()
    freeze(switch)
    assert world.frozen
    back = break_it(world)
    assert (back.row.state, world.live, world.frozen) == (State.ABORTED, "docs_v1", False)


def test_what_another_has_decided_first_stands(world: World) -> None:
    switch = flipped(world)
    switch.leadership.take()
    switch.decide(Decision.ROLL_BACK, reason="stop rule: coverage FAIL")
    assert break_it(world).row.reason == "stop rule: coverage FAIL"
    assert world.live == "docs_v1"


@pytest.mark.parametrize("unfrozen", [True, False], ids=["promoted", "only decided"])
def test_a_promoted_run_is_refused_with_the_way_to_go_back(world: World, unfrozen: bool) -> None:
    switch = flipped(world)
    switch.leadership.take()
    switch.decide(Decision.PROMOTE, reason="every rule passes")
    if unfrozen:
        finish.unfreeze(switch)
        finish.restore(switch)
    with pytest.raises(StateConflict, match="was promoted, .* `switchover back --service docs`") as caught:
        break_it(world)
    assert ("When it has ended" in str(caught.value)) is not unfrozen
    assert world.live == "docs_v2"
    if not unfrozen:
        assert finish.unfreeze(switch) == ["ingest process"], "its lease was not touched"


def test_nothing_open_is_refused(world: World) -> None:
    with pytest.raises(StateConflict, match="has had no switchover"):
        break_it(world)
    switch = world.open()
    finish.abort(switch)
    with pytest.raises(StateConflict, match="nothing is open, nothing was changed"):
        break_it(world)


@pytest.mark.parametrize("by", [("--plan", PLAN), ("--service", "docs")], ids=["plan", "service"])
def test_the_command_does_it_with_airflow_down(world: World, call: Any, by: tuple[str, str]) -> None:
    flipped(world)
    code, found, told = call("rollback", "--yes", by=by)
    assert (code, found["state"], world.live, world.frozen) == (0, "rolled_back", "docs_v1", False)
    assert found["ttr_s"]["total"] < 30
    assert "rolled back: every reader serves Blue 'docs_v1'" in told, "progress while it works"
    code, _, told = call("rollback", "--yes", by=by)
    assert code == 1, "a refusal is not an outage"
    assert "nothing is open" in told


def test_without_a_terminal_nobody_can_be_asked(world: World, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped(world)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, _, told = call("rollback")
    assert code == 2
    assert "add --yes" in told
    assert world.live == "docs_v2"


@pytest.mark.parametrize(("typed", "live"), [("yes", "docs_v1"), ("no", "docs_v2")])
def test_a_person_at_a_terminal_is_asked(world: World, typed: str, live: str) -> None:
    flipped(world)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "switchover.cli", "rollback", "--plan", PLAN],
        env=world.environ,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{typed}\n".encode())
    out, told = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "Bring 'docs' back to Blue 'docs_v1' now? Type 'yes'" in told
    assert world.live == live
    assert process.returncode == (0 if live == "docs_v1" else 2)
    assert ("time to restore (seconds): " in out) is (live == "docs_v1")


def test_rehearse_and_retire_at_the_command_line(world: World, call: Any) -> None:
    code, found, _ = call("rehearse")
    assert (code, found["ok"]) == (0, True)
    code, _, told = call("retire", "--index", "docs_v1", "--yes")
    assert code == 1
    assert "only Blue of a promoted switchover can be retired; none was" in told
