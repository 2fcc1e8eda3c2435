"""The doctor on a real run: what it says is so, and that the command it advises brings the run to a right end."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from switchover.cli.entry import main
from switchover.protocol import State
from switchover.steps.flip import flip
from switchover.steps.switch import Switch
from tests.world import ROOT, World

PLAN = str(ROOT / "include" / "plans" / "docs.yaml")


@pytest.fixture
def doctor(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    for name, value in world.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)

    def run() -> tuple[int, str]:
        code = main(["doctor", "--plan", PLAN])
        return code, capsys.readouterr().out

    return run


def frozen(world: World) -> Switch:
    return world.warmed()


def holding(world: World) -> Switch:
    switch = world.warmed()
    flip(switch)
    return switch


def half_flipped(world: World) -> Switch:
    switch = world.warmed()
    world.flipping(switch)
    return switch


def follow(out: str) -> int:
    """Do what the doctor says, word for word."""
    line = next(line for line in out.splitlines() if "switchover restore" in line)
    words = shlex.split(line[line.index("switchover restore") :])
    return main(words[1:])


@pytest.mark.parametrize("brought", [frozen, holding, half_flipped])
def test_its_advice_for_a_run_that_nobody_drives_ends_it_on_blue(world: World, doctor: Any, brought: Any) -> None:
    switch = brought(world)
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    code, out = doctor()
    assert code == 1, out
    assert "nobody drives it" in out
    assert follow(out) == 0
    assert switch.read().state.ended
    assert (world.live, world.frozen) == ("docs_v1", False)
    code, out = doctor()
    assert code == 0 and "nothing to do: it has ended" in out


def test_a_driven_hold_is_well_and_the_way_back_is_at_hand(world: World, doctor: Any) -> None:
    holding(world)
    code, out = doctor()
    assert code == 0
    assert "on 'docs_v2', Green; read just now" in out
    assert "to go back now: switchover rollback --service docs" in out


def test_a_foreign_move_is_shown_with_both_values_and_changes_nothing(world: World, doctor: Any) -> None:
    switch = holding(world)
    world.sql("UPDATE switchover_alias SET target = 'docs_v0' WHERE alias = 'docs'")
    code, out = doctor()
    assert code == 1
    assert "'docs_v0'" in out and "put it on 'docs_v1'" in out
    assert (switch.read().state, world.live) == (State.HOLDING, "docs_v0")


def test_writers_that_an_ended_run_left_frozen_are_found_and_resumed(world: World, doctor: Any) -> None:
    switch = holding(world)
    switch.leadership.take()
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    switch.move(State.ROLLED_BACK)
    switch.leadership.release()
    code, out = doctor()
    assert code == 1 and "writers are still frozen" in out
    assert follow(out) == 0
    assert not world.frozen


def test_writers_left_frozen_have_a_way_on_when_somebody_moved_the_pointer_since(world: World, doctor: Any) -> None:
    switch = holding(world)
    switch.leadership.take()
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    switch.move(State.ROLLED_BACK)
    switch.leadership.release()
    world.sql("UPDATE switchover_alias SET target = 'docs_v2' WHERE alias = 'docs'")
    code, out = doctor()
    assert code == 1 and "moved the pointer to 'docs_v2'" in out and "put it on 'docs_v1'" in out
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    assert follow(out) == 0
    assert not world.frozen


def test_status_is_watched_until_ctrl_c(world: World) -> None:
    argv = [sys.executable, "-u", "-m", "switchover.cli", "status", "--watch"]
    process = subprocess.Popen(
        argv,
        env=world.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )
    assert process.stdout is not None
    assert "no switchovers yet" in process.stdout.readline()
    holding(world)
    deadline = time.monotonic() + 30
    for line in process.stdout:
        assert time.monotonic() < deadline
        if "Green 'docs_v2' live for" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, "")
