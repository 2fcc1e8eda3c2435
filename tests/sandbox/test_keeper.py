"""Nothing that the keeper started outlives its driver, its keeper or its end; nobody else is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sandbox.errors import KeeperGone, SandboxError, ServiceFailed
from sandbox.processes import leftovers
from sandbox.processes.keeper_client import KeeperClient, Spec

PATIENCE_S = 20.0
SLEEP = ("sleep", "600")
# What a rude service does: it ignores SIGTERM, and leaves a daemon behind in a session of its own.
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
DAEMON = ("sh", "-c", "setsid sh -c 'sleep 600 & sleep 600' &")
SERVICES = {"sleep": SLEEP, "stubborn": STUBBORN, "daemon": DAEMON}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "state"
    yield state
    if state.exists():
        leftovers.end_keeper(state)
        leftovers.end_orphans(state)


def spec(name: str, argv: tuple[str, ...]) -> Spec:
    return Spec(name=name, argv=argv, env={"PATH": os.environ["PATH"]})


def until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def started(state: Path, count: int) -> list[psutil.Process]:
    """Our processes, once there are that many."""
    until(lambda: len(leftovers.ours(state)) >= count)
    return leftovers.ours(state)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(leftovers.alive(process) for process in processes)


@contextlib.contextmanager
def driver(state: Path, more: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that drives a keeper with three services and waits for its end."""
    code = f"""
        import os, sys, time
        from pathlib import Path
        from sandbox.processes.keeper_client import KeeperClient, Spec
        client = KeeperClient(state=Path({str(state)!r}), grace_s=1)
        for name, argv in {SERVICES!r}.items():
            client.start(Spec(name=name, argv=argv, env=dict(os.environ)))
        {more}
        print(client.pid, flush=True)
        time.sleep(600)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:  # not until its end: a child of the driver may hold the other end
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_all_that_a_killed_driver_started_ends(state: Path) -> None:
    with driver(state) as process:
        assert process.stdout is not None
        keeper = psutil.Process(int(process.stdout.readline()))
        ours = started(state, 6)
        process.kill()
        process.wait()
        until(lambda: gone([keeper, *ours]))
    assert leftovers.ours(state) == []


def test_a_child_that_inherited_the_drivers_pipe_keeps_nothing_alive(state: Path) -> None:
    with driver(state, more="os.fork() or time.sleep(600)") as process:
        assert process.stdout is not None
        keeper = psutil.Process(int(process.stdout.readline()))
        heirs = [child for child in psutil.Process(process.pid).children() if child != keeper]
        try:
            ours = started(state, 6)
            process.kill()
            process.wait()
            until(lambda: gone([keeper, *ours]))
            assert heirs and not gone(heirs)
        finally:
            for heir in heirs:
                heir.kill()


def test_leaving_the_block_ends_the_stubborn_and_the_daemons(state: Path) -> None:
    with KeeperClient(state=state, grace_s=0.5) as client:
        for name, argv in SERVICES.items():
            client.start(spec(name, argv))
        ours = started(state, 6)
        pids = client.pids()
        assert {process.pid for process in ours} >= {pids["sleep"], pids["stubborn"]}
        assert client.exit_codes()["daemon"] == 0  # its children are orphans by now
    assert gone(ours)
    assert not psutil.pid_exists(client.pid)
    assert not (state / leftovers.KEEPER_FILE).exists()


def test_stopping_one_service_spares_the_others(state: Path) -> None:
    with KeeperClient(state=state, grace_s=0.5) as client:
        client.start(spec("one", STUBBORN))
        client.start(spec("two", SLEEP))
        client.stop("one")
        assert client.exit_codes() == {"one": -signal.SIGKILL, "two": None}
        client.start(spec("one", SLEEP))
        assert client.exit_codes() == {"one": None, "two": None}
        with pytest.raises(SandboxError, match="two is running already"):
            client.start(spec("two", SLEEP))


def test_a_service_whose_first_thread_ends_first_is_stopped_when_all_have_ended(state: Path) -> None:
    # As a Java virtual machine may: the system shows it as ended while it still runs.
    code = """
        import ctypes, os, signal, threading, time
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        def last():
            signal.sigwait({signal.SIGTERM})
            time.sleep(0.5)
            os._exit(7)
        threading.Thread(target=last).start()
        ctypes.CDLL(None).pthread_exit(None)
    """
    slow = spec("slow", (sys.executable, "-c", textwrap.dedent(code)))
    with KeeperClient(state=state) as client:
        for _ in range(2):
            pid = client.start(slow)
            until(lambda pid=pid: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
            assert client.exit_codes() == {"slow": None}
            client.stop("slow")
            assert client.exit_codes() == {"slow": 7}


def test_a_start_after_a_killed_keeper_ends_its_leftovers(state: Path) -> None:
    first = KeeperClient(state=state)
    first.start(spec("sleep", SLEEP))
    first.start(spec("stubborn", STUBBORN))
    ours = started(state, 3)
    os.kill(first.pid, signal.SIGKILL)
    first.close()
    with pytest.raises(KeeperGone):
        first.exit_codes()
    assert not gone(ours), "this test needs a leftover"
    with KeeperClient(state=state) as second:
        assert gone(ours)
        second.start(spec("sleep", SLEEP))
    assert leftovers.ours(state) == []


def test_a_second_start_takes_over_from_a_living_one(state: Path) -> None:
    first = KeeperClient(state=state)
    first.start(spec("sleep", SLEEP))
    ours = started(state, 1)
    with KeeperClient(state=state) as second:
        assert gone(ours)
        with pytest.raises(KeeperGone, match="another start in that directory"):
            first.exit_codes()
        assert second.exit_codes() == {}
    first.close()


def test_only_processes_of_this_directory_are_ended(state: Path, tmp_path: Path) -> None:
    strangers = [
        subprocess.Popen(SLEEP, env={**os.environ, leftovers.MARK: str(tmp_path / "another")}),
        subprocess.Popen(SLEEP, cwd=tmp_path),
    ]
    try:
        # A record whose pid is somebody else's by now.
        state.mkdir()
        (state / leftovers.KEEPER_FILE).write_text(f'{{"pid": {strangers[1].pid}, "created": 1.0}}')
        with KeeperClient(state=state) as client:
            client.start(spec("sleep", SLEEP))
        assert [process.poll() for process in strangers] == [None, None]
    finally:
        for process in strangers:
            process.kill()
            process.wait()


def test_a_detached_stack_stays_until_it_is_ended(state: Path) -> None:
    client = KeeperClient(state=state)
    client.start(spec("sleep", SLEEP))
    client.detach()
    client.close()
    ours = started(state, 1)
    time.sleep(1.2)  # two looks of the keeper
    assert psutil.pid_exists(client.pid) and not gone(ours)
    end = [sys.executable, "-m", "sandbox.processes.keeper", "--state", str(state), "--end"]
    assert "stopped" in subprocess.run(end, check=True, capture_output=True, text=True).stdout
    assert gone(ours)
    assert "nothing is running" in subprocess.run(end, check=True, capture_output=True, text=True).stdout


def test_deleting_the_directory_ends_a_detached_stack(state: Path) -> None:
    client = KeeperClient(state=state)
    client.start(spec("sleep", SLEEP))
    client.detach()
    client.close()
    ours = [psutil.Process(client.pid), *started(state, 1)]
    shutil.rmtree(state)
    until(lambda: gone(ours))


def test_a_service_that_dies_at_its_start_shows_its_log(state: Path) -> None:
    with KeeperClient(state=state) as client:
        client.start(spec("broken", ("sh", "-c", "seq 100; echo no such table; exit 3")))
        with pytest.raises(ServiceFailed) as failed:
            client.wait_ready("broken", lambda: False, timeout=PATIENCE_S)
        first, *log = str(failed.value).splitlines()
        assert first.startswith("broken ended with exit code 3 while it was started")
        assert [line.strip() for line in log] == [*(str(n) for n in range(87, 101)), "no such table"]
        with pytest.raises(SandboxError, match="No such file or directory: '/no/such/program'"):
            client.start(spec("absent", ("/no/such/program",)))


def test_a_start_that_takes_too_long_is_named(state: Path) -> None:
    with KeeperClient(state=state) as client:
        client.start(spec("slow", SLEEP))
        with pytest.raises(ServiceFailed, match="slow was not ready after 0 s"):
            client.wait_ready("slow", lambda: False, timeout=0.2)
        with pytest.raises(ServiceFailed, match="long did not end after 0 s"):
            client.run(spec("long", SLEEP), timeout=0.2)
