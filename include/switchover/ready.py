"""Strict readiness for a team's own service: ready means that secrets, index and one gold question are there.

    from switchover.ready import Readiness

Standard library only; see docs/readiness.md. A probe that answers 200 whenever the process lives lets a switchover move
all traffic to an arm that cannot answer one question.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from switchover.errors import BadInput
from switchover.text import first_line

Check = Callable[[], object]
"""Raises, or gives something false, when what it looks for is not there."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What one look found. ``reasons``: one line for each check that failed; none when the arm is ready."""

    arm: str
    reasons: tuple[str, ...]

    @property
    def status(self) -> int:
        """HTTP status of a probe's answer."""
        return 503 if self.reasons else 200

    @property
    def body(self) -> dict[str, Any]:
        """A probe's answer: ``ready``, ``arm`` and ``reasons``."""
        return {"ready": not self.reasons, "arm": self.arm, "reasons": list(self.reasons)}


class Readiness:
    """The checks of one arm's process; safe to ask from many threads at once."""

    def __init__(
        self,
        *,
        arm: str,
        secrets: Iterable[str],
        index: Check,
        gold: Check,
        more: Mapping[str, Check] | None = None,
        timeout_s: float = 5.0,
        keep_s: float = 5.0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """``arm``: the name by which the plan's ``arms`` call this process.

        ``secrets``: environment variables that must be set and not empty. ``index``: gives the number of documents.
        ``gold``: asks one gold question the way users do, and gives what shows that the answer is right, say whether
        the expected document is among the hits. ``more``: further checks by name. A check that takes longer than
        ``timeout_s`` has failed. One result serves every probe for ``keep_s``, so that probes are no load.
        """
        if not arm:
            raise BadInput("readiness: arm: found ''; allowed: the arm's name in the plan")
        self._arm = arm
        self._secrets = tuple(secrets)
        self._checks = {"index": index, "gold question": gold, **(more or {})}
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._environ = environ
        self._running: dict[str, Future[object]] = {}
        self._lock = threading.Lock()
        self._kept: tuple[float, Ready] | None = None

    def look(self, arm: str | None = None) -> Ready:
        """Whether this arm is ready. ``arm``: who the caller believes to ask; another name is never ready.

        A load balancer or a Service that reaches the wrong arm is found that way.
        """
        if arm is not None and arm != self._arm:
            return Ready(arm=self._arm, reasons=(f"asked for arm {arm[:80]!r}, this is {self._arm!r}",))
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._keep_s:
                found = Ready(arm=self._arm, reasons=(*self._without_secret(), *self._failed()))
                self._kept = (time.monotonic(), found)
            return self._kept[1]

    def wsgi(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Sequence[bytes]:
        """A WSGI application for the probe's path. ``?arm=NAME`` asks for an arm by name."""
        asked = parse_qs(str(environ.get("QUERY_STRING", ""))).get("arm", [None])[0]
        found = self.look(asked)
        phrase = "OK" if found.status == 200 else "Service Unavailable"
        start_response(
            f"{found.status} {phrase}", [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        )
        return [json.dumps(found.body).encode()]

    def _without_secret(self) -> list[str]:
        return [f"secret {name} is not set" for name in self._secrets if not self._environ.get(name)]

    def _failed(self) -> list[str]:
        """One line for each check that failed. A check that still hangs from an earlier look is not begun again."""
        for name, check in self._checks.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = _begun(name, check)
        wait(self._running.values(), timeout=self._timeout_s)
        return [line for name, future in self._running.items() if (line := self._line(name, future))]

    def _line(self, name: str, future: Future[object]) -> str | None:
        if not future.done():
            return f"{name}: no answer within {self._timeout_s:g} s"
        error = future.exception()
        if error is not None:
            return f"{name}: {type(error).__name__}: {first_line(error)}"
        return None if future.result() else f"{name}: found {future.result()!r}"[:200]


def _begun(name: str, check: Check) -> Future[object]:
    """Run a check in a thread that keeps no process from its end: a service that is told to stop must stop."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(check())
        except Exception as error:  # noqa: BLE001  (whatever is wrong with it is a reason not to be ready)
            future.set_exception(error)

    threading.Thread(target=run, name=f"readiness: {name}", daemon=True).start()
    return future
