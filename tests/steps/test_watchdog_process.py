"""The watchdog as a process: what it answers over HTTP, how it ends, and which arguments it refuses."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from switchover.cli.entry import main
from switchover.protocol import State
from switchover.steps.flip import flip
from tests.world import World, free_port


@contextlib.contextmanager
def process(world: World, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "switchover.cli", "watchdog", "--interval", "0.2", *arguments]
    child = subprocess.Popen(command, env=world.environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def test_the_process_rolls_back_answers_and_ends_in_good_order(world: World) -> None:
    port = free_port()
    with process(world, "--listen", f"127.0.0.1:{port}", "--json") as child:
        until(lambda: world.ledger.watchdogs.living() is not None)
        with process(world, "--listen", f"127.0.0.1:{port}") as second:
            assert second.wait(30) == 2
            assert "allowed: a free HOST:PORT, or `off`" in second.stderr.read()  # type: ignore[union-attr]
        switch = world.warmed("docs:1")
        flip(switch)
        world.sql("UPDATE switchover_lease SET expires_at = now()")
        until(lambda: switch.read().state is State.ROLLED_BACK)
        until(lambda: not world.frozen)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").json()["ok"]
        settled = 'switchover_watchdog_attended_total{result="settled"} 1.0'
        until(lambda: settled in httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=30)
        assert child.returncode == 0, err
        assert json.loads(out)["ended"]
        lines = [json.loads(line)["text"] for line in err.splitlines()]
        assert any(line.startswith(f"{switch.id}: rolled_back: watchdog:") for line in lines)
        assert world.ledger.watchdogs.all() == []


@pytest.mark.parametrize(
    "arguments", [["--interval", "0"], ["--listen", "8790"], ["--listen", "x:99999"], ["--ledger", "nobody"]]
)
def test_bad_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watchdog", *arguments]) == 2
    assert "allowed" in (err := capsys.readouterr().err) or "AIRFLOW_CONN_NOBODY" in err
