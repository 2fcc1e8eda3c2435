"""The process that owns the local stack: ``python -m sandbox.processes.keeper --state DIR --driver PID``.

Every service is a child of the keeper, so that whoever drives the stack may die in any way: when the
driver's pipe closes or the driver's process is gone, the keeper ends all its descendants and then itself.

- It is a *subreaper*: a process whose parent dies becomes the keeper's child instead of init's, so
  "all my descendants" is everything that was ever started here, daemons included.
- Each service has its own session, its output in ``DIR/logs/<name>.log``, and the environment marker that
  ``leftovers`` looks for. Should the keeper itself be killed, the kernel sends each service its stop
  signal, and the next start ends what is left.
- The driver speaks JSON lines over the keeper's standard input and output (``keeper_client``):
  ``start``, ``stop``, ``status``, ``detach``. End of input means: shut down, unless ``detach`` was said.

``python -m sandbox.processes.keeper --state DIR --end`` ends a detached or forgotten stack.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from sandbox.errors import SandboxError
from sandbox.processes import leftovers

GRACE_S = 10.0  # between the stop signal and SIGKILL
_TICK_S = 0.5
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_prctl: Callable[..., int] = ctypes.CDLL(None).prctl if sys.platform == "linux" else lambda *_: 0


@dataclass(kw_only=True)
class Service:
    """One started process. ``stop_order``: a higher one is stopped later, because lower ones need it."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    stop_order: int
    stop_group: bool
    remove: list[Path] = field(default_factory=list)


class Keeper:
    """Starts, stops and reaps; see the module's description. One thread only."""

    def __init__(self, *, state: Path, grace_s: float = GRACE_S) -> None:
        self._state = state.resolve()
        self._grace_s = grace_s
        self._logs = self._state / "logs"
        self._services: dict[str, Service] = {}
        self._asked_to_end = False
        self.detached = False

    def run(self, *, driver: int) -> None:
        """Serve the driver until it goes away, then end everything."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end_soon)
        record = _take(self._state)
        self._say({"ready": os.getpid()})
        try:
            self._serve(driver, record)
        finally:
            self._shut_down()
            with contextlib.suppress(OSError):  # the state directory may have been deleted
                if _is_record(self._state, record):
                    (self._state / leftovers.KEEPER_FILE).unlink()

    def _end_soon(self, *_: object) -> None:
        self._asked_to_end = True

    def _serve(self, driver: int, record: IO[str]) -> None:
        listening, buffer = True, b""
        while not self._asked_to_end and _is_record(self._state, record):
            if not self.detached and os.getppid() != driver:
                return  # a child of the driver may still hold the pipe open
            if not listening:
                time.sleep(_TICK_S)
            elif select.select([0], [], [], _TICK_S)[0]:
                chunk = os.read(0, 65536)
                if not chunk and not self.detached:
                    return
                listening = bool(chunk)
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    self._say(self._answer(json.loads(line)))
            self._reap()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        verbs: dict[str, Callable[..., Any]]
        verbs = {"start": self._start, "stop": self._stop, "status": self._status, "detach": self._detach}
        number = request.pop("id")
        try:
            return {"id": number, "ok": verbs[request.pop("do")](**request)}
        except (OSError, SandboxError, KeyError, TypeError, ValueError, subprocess.SubprocessError) as error:
            return {"id": number, "error": str(error) or type(error).__name__}

    @staticmethod
    def _say(message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the driver is gone; the main loop sees it
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def _start(
        self,
        *,
        name: str,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        user: str | None,
        stop_signal: str,
        stop_order: int,
        stop_group: bool,
        remove: list[str],
    ) -> int:
        known = self._services.get(name)
        if known is not None and known.process.poll() is None:
            raise SandboxError(f"{name} is running already (pid {known.process.pid})")
        number, keeper = signal.Signals[stop_signal], os.getpid()

        def in_child() -> None:  # after the change of user, which would clear the death signal
            _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
            if os.getppid() != keeper:
                os._exit(1)

        account = pwd.getpwnam(user) if user else None
        self._logs.mkdir(mode=0o700, exist_ok=True)
        with (self._logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                argv,
                # SPT_NOENV: setproctitle would otherwise write its titles over the environment and the marker
                env={**env, leftovers.MARK: str(self._state), "SPT_NOENV": "1"},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=in_child,
            )
        self._services[name] = Service(
            name=name,
            process=process,
            stop_signal=number,
            stop_order=stop_order,
            stop_group=stop_group,
            remove=[Path(each) for each in remove],
        )
        return process.pid

    def _stop(self, *, name: str) -> None:
        self._end([self._services[name]])

    def _status(self) -> dict[str, dict[str, int | None]]:
        self._reap()
        return {
            name: {"pid": each.process.pid, "code": each.process.returncode} for name, each in self._services.items()
        }

    def _detach(self) -> None:
        self.detached = True

    def _reap(self) -> None:
        """Collect ended services, and ended orphans that the kernel gave to the keeper."""
        ours = {each.process.pid: each.process for each in self._services.values()}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid in ours:
                ours[ended.si_pid].poll()
            else:
                os.waitpid(ended.si_pid, os.WNOHANG)

    def _end(self, services: list[Service], orphans: bool = False) -> None:
        """End services with all that descends from them; ``orphans``: and every stray descendant."""
        spared = {each.process.pid for each in self._services.values() if each not in services}
        tree = self._tree(services, spared, orphans=orphans)
        for each in services:
            with contextlib.suppress(ProcessLookupError):
                if each.process.poll() is None:
                    (os.killpg if each.stop_group else os.kill)(each.process.pid, each.stop_signal)
        groups = {each.process.pid for each in services}
        for process in tree:  # descendants that left the group, for example a daemon's children
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(process.pid) not in groups:
                    leftovers.send(process, signal.SIGTERM)
        leftovers.wait_gone(tree, self._grace_s, self._reap)
        for _ in range(50):  # a process may have forked between the look and the kill
            left = self._tree(services, spared, orphans=orphans) + [p for p in tree if leftovers.alive(p)]
            if not left:
                break
            for process in left:
                leftovers.send(process, signal.SIGKILL)
            leftovers.wait_gone(left, 1.0, self._reap)
        for each in services:
            # Its first thread may be gone, which looks like its end, while others still hold its files and ports.
            try:
                each.process.wait(self._grace_s)
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()

    def _tree(self, services: list[Service], spared: set[int], *, orphans: bool) -> list[psutil.Process]:
        """Live descendants of these services; with ``orphans`` of the keeper, without the spared services."""
        roots = {each.process.pid for each in services}
        found: list[psutil.Process] = []
        for child in psutil.Process().children():
            if child.pid in roots or (orphans and child.pid not in spared):
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += [child, *child.children(recursive=True)]
        return [process for process in found if leftovers.alive(process)]

    def _shut_down(self) -> None:
        """End everything in its order, strays with the first; then whatever is left."""
        for order in sorted({each.stop_order for each in self._services.values()}):
            self._end([each for each in self._services.values() if each.stop_order == order], orphans=True)
        self._end([], orphans=True)
        for path in (path for each in self._services.values() for path in each.remove):
            shutil.rmtree(path, ignore_errors=True)


def _take(state: Path) -> IO[str]:
    """Become the state directory's keeper: end the earlier one and its leftovers, write the record.

    The record file is locked for as long as its keeper lives, so two keepers never serve one directory.
    """
    deadline = time.monotonic() + 60
    while True:
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        record = (state / leftovers.KEEPER_FILE).open("a+")
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record.close()
            if not leftovers.end_keeper(state):
                time.sleep(0.1)  # it has the lock and has not written its record yet
            if time.monotonic() > deadline:
                raise SandboxError(f"{state}: another start holds it; try again") from None
            continue
        if not _is_record(state, record):  # removed by a keeper that ended just now
            record.close()
            continue
        break
    leftovers.end_orphans(state)
    record.truncate(0)
    json.dump({"pid": os.getpid(), "created": psutil.Process().create_time()}, record)
    record.flush()
    return record


def _is_record(state: Path, record: IO[str]) -> bool:
    """True while the open record file is the one in the state directory."""
    try:
        return os.path.samestat(os.fstat(record.fileno()), (state / leftovers.KEEPER_FILE).stat())
    except FileNotFoundError:
        return False


def main() -> None:
    """Run the keeper, or end a stack."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.processes.keeper", description="Owns the local stack.")
    parser.add_argument("--state", type=Path, required=True, help="directory with the stack's data and logs")
    parser.add_argument("--driver", type=int, default=os.getppid(), help="pid of the process that drives it")
    parser.add_argument("--grace", type=float, default=GRACE_S, help="seconds that a service has to stop")
    parser.add_argument("--end", action="store_true", help="end the stack of this directory and exit")
    args = parser.parse_args()
    if not args.end:
        try:
            Keeper(state=args.state, grace_s=args.grace).run(driver=args.driver)
        except (SandboxError, OSError) as error:
            print(json.dumps({"error": str(error)}), flush=True)
            sys.exit(2)
        return
    ended = leftovers.end_keeper(args.state) if args.state.is_dir() else False
    ended |= bool(leftovers.end_orphans(args.state))
    print(f"{args.state}: " + ("stopped" if ended else "nothing is running"))


if __name__ == "__main__":
    main()
