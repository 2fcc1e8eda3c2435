"""Finds and ends what an earlier run of the stack left behind, and nothing else.

A process is ours when its environment carries ``SWITCHOVER_SANDBOX=<state directory>`` (every process
that the keeper starts inherits it), when it descends from such a process, or when it is a PostgreSQL
server process at work in our data directory (those overwrite their environment with their title).
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

MARK = "SWITCHOVER_SANDBOX"
KEEPER_FILE = "keeper.json"
PG_DATA = "pg"


def marker(state: Path) -> str:
    """The value of ``MARK`` for a state directory."""
    return str(state.resolve())


def recorded_keeper(state: Path) -> psutil.Process | None:
    """The keeper that the state directory names, if that very process is still alive."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
        record = json.loads((state / KEEPER_FILE).read_text())
        keeper = psutil.Process(record["pid"])
        if abs(keeper.create_time() - record["created"]) < 0.01 and keeper.status() != psutil.STATUS_ZOMBIE:
            return keeper
    return None


def ours(state: Path) -> list[psutil.Process]:
    """Every live process of this state directory, without the caller and its ancestors."""
    mark, data = marker(state), str(state.resolve() / PG_DATA)
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # ended meanwhile, or another user's
            if process.environ().get(MARK) == mark or is_server(process, data):
                found.update({each.pid: each for each in (process, *process.children(recursive=True))})
    return [process for pid, process in found.items() if pid not in spared and alive(process)]


def is_server(process: psutil.Process, data: str) -> bool:
    """True for PostgreSQL's processes at work in this data directory."""
    return process.name() == "postgres" and process.cwd() == data


def alive(process: psutil.Process) -> bool:
    """True while the process runs: neither gone nor a zombie that waits for its parent."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_keeper(state: Path, *, patience: float = 40.0) -> bool:
    """Ask the recorded keeper to end its stack, and end it by force when it does not; True if there was one."""
    keeper = recorded_keeper(state)
    if keeper is None:
        return False
    send(keeper, signal.SIGTERM)
    if not wait_gone([keeper], patience):
        send(keeper, signal.SIGKILL)
        wait_gone([keeper], 5.0)
    return True


def end_orphans(state: Path, *, patience: float = 5.0) -> int:
    """End every process of this state directory whose keeper is dead; return how many there were."""
    first = ours(state)
    for process in first:
        send(process, signal.SIGINT if is_postgres(process) else signal.SIGTERM)  # SIGINT: fast shutdown
    wait_gone(first, patience)
    for _ in range(50):  # a process may have forked between the look and the kill
        rest = ours(state)
        if not rest:
            break
        for process in rest:
            send(process, signal.SIGKILL)
        wait_gone(rest, 1.0)
    return len(first)


def is_postgres(process: psutil.Process) -> bool:
    """True for any PostgreSQL server process; only asked of processes that are ours."""
    with contextlib.suppress(psutil.Error):
        return process.name() == "postgres"
    return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Signal one process; psutil refuses when the pid is another process by now."""
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def wait_gone(processes: Iterable[psutil.Process], patience: float, reap: Callable[[], None] = lambda: None) -> bool:
    """Wait until none of the processes is alive; False when the patience (seconds) ran out."""
    deadline = time.monotonic() + patience
    left = list(processes)
    while True:
        reap()
        left = [process for process in left if alive(process)]
        if not left or time.monotonic() > deadline:
            return not left
        time.sleep(0.05)
