"""The driver's side of the keeper: start services, watch them, and let go of all of them at once."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.errors import KeeperGone, SandboxError, ServiceFailed
from sandbox.processes import keeper

LOG_LINES = 15
_CLOSE_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How to start one service.

    ``user``: run it as another account (only root can). ``stop_order``: a higher one is stopped later.
    ``stop_group``: the stop signal goes to its whole process group. ``remove``: directories to delete when
    the keeper ends; a service that is stopped and started again finds its data.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: str = "/"
    user: str | None = None
    stop_signal: str = "SIGTERM"
    stop_order: int = 0
    stop_group: bool = True
    remove: Sequence[str] = ()


class KeeperClient:
    """A running keeper. Threads may share it. Leaving the ``with`` block ends every service."""

    def __init__(self, *, state: Path, grace_s: float = keeper.GRACE_S) -> None:
        self.state = state.resolve()
        self.logs = self.state / "logs"
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._closing = False
        self._detached = False
        self.state.mkdir(mode=0o711, parents=True, exist_ok=True)
        with (self.state / "keeper.log").open("ab") as log:
            options = {"--state": self.state, "--driver": os.getpid(), "--grace": grace_s}
            self._process = subprocess.Popen(
                [sys.executable, "-m", keeper.__name__, *(str(part) for pair in options.items() for part in pair)],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is for the driver
            )
        try:
            answer = self._read()  # ready: what an earlier run left has been ended
            if "error" in answer:
                raise SandboxError(answer["error"])
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The keeper's process."""
        return self._process.pid

    def start(self, spec: Spec) -> int:
        """Start a service and return its pid; an ended service of the same name may be started again."""
        return int(self._ask("start", **asdict(spec)))

    def stop(self, name: str) -> None:
        """End one service with all that descends from it."""
        self._ask("stop", name=name)

    def exit_codes(self) -> dict[str, int | None]:
        """Each started service's exit code; None while it runs."""
        return {name: each["code"] for name, each in self._ask("status").items()}

    def pids(self) -> dict[str, int]:
        """Each started service's pid."""
        return {name: each["pid"] for name, each in self._ask("status").items()}

    def detach(self) -> None:
        """Leave the services running when this process ends; ``python -m sandbox.processes.keeper --end`` ends them."""
        self._ask("detach")
        self._detached = True

    def run(self, spec: Spec, *, timeout: float) -> None:
        """Start a one-shot process and wait for its success (seconds)."""
        self.start(spec)
        self._until(spec.name, lambda: self.exit_codes()[spec.name] == 0, timeout, "did not end")

    def wait_ready(self, name: str, check: Callable[[], bool], *, timeout: float) -> None:
        """Wait until the check of a started service is true (seconds)."""
        self._until(name, check, timeout, "was not ready")

    def _until(self, name: str, check: Callable[[], bool], timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not check():
            code = self.exit_codes()[name]
            if code is not None and not check():
                raise ServiceFailed(f"{name} ended with {_exit(code)} while it was started; {self.tail(name)}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{name} {what} after {timeout:.0f} s; {self.tail(name)}")
            time.sleep(_POLL_S)

    def tail(self, name: str) -> str:
        """The end of a service's log, for an error message."""
        path = self.logs / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return f"the end of {path}:\n" + "\n".join(f"    {line}" for line in lines[-LOG_LINES:])

    def close(self) -> None:
        """Let go of the keeper: it ends every service and itself, unless it is detached."""
        self._closing = True
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # the keeper is gone, and a request was not sent
                if pipe is not None:
                    pipe.close()
        if not self._detached:
            self._process.wait(_CLOSE_S)

    def __enter__(self) -> KeeperClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, verb: str, **details: Any) -> Any:
        with self._lock:
            number = next(self._ids)
            line = json.dumps({"id": number, "do": verb, **details}) + "\n"
            try:
                if self._process.stdin is not None:
                    self._process.stdin.write(line.encode())
                    self._process.stdin.flush()
            except (OSError, ValueError):  # ValueError: closed by another thread
                raise self._gone() from None
            answer = self._read()
            while answer.get("id") != number:  # the answer to a request that Ctrl-C interrupted
                answer = self._read()
        if "error" in answer:
            raise SandboxError(f"keeper: {verb} {details.get('name', '')}: {answer['error']}")
        return answer["ok"]

    def _read(self) -> dict[str, Any]:
        try:
            line = self._process.stdout.readline() if self._process.stdout is not None else b""
        except (OSError, ValueError):
            line = b""
        if not line:
            raise self._gone()
        return dict(json.loads(line))

    def _gone(self) -> KeeperGone:
        if self._closing:
            return KeeperGone("the stack is being stopped")
        return KeeperGone(
            f"the keeper of {self.state} ended; another start in that directory takes it over "
            f"(see {self.state / 'keeper.log'})"
        )


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
