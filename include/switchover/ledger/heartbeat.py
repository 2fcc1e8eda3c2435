"""Keeps a lease alive while its process works, however slow the work is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

from switchover.errors import LeaseLost, SwitchoverError

AGAIN_S = 1.0
log = logging.getLogger("switchover")


class Heartbeat:
    """Renews a lease every third of its life, from a thread, as long as ``going_on`` says so.

    ``renew`` prolongs the lease or raises ``LeaseLost``. A ledger that does not answer is asked again every second.
    ``again``, if given, is called when the lease turns out to have ended right after such an outage, in which
    nobody could have renewed it: it takes the lease anew if nobody else has. ``lost`` says why the beats ended.
    """

    def __init__(
        self,
        renew: Callable[[], object],
        *,
        lease_s: float,
        going_on: Callable[[], bool] = lambda: True,
        again: Callable[[], object] | None = None,
    ) -> None:
        self._renew = renew
        self._every_s = lease_s / 3
        self._going_on = going_on
        self._again = again
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._progress = time.monotonic()
        self.lost = ""

    def __enter__(self) -> Heartbeat:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Beat from now on; the first beat is a third of a life away."""
        self._thread.start()

    def stamp(self) -> None:
        """The work that the lease is for has come on."""
        self._progress = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the work came on."""
        return time.monotonic() - self._progress

    def stop(self) -> None:
        """No beat begins after this; one that is under way is waited for."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        pause, answered = self._every_s, True
        while not self._over.wait(pause):
            if not self._going_on():
                continue
            try:
                self._renew_or(again=None if answered else self._again)
            except LeaseLost as error:
                self.lost = str(error)
                return
            except SwitchoverError as error:
                log.warning("lease not renewed, trying again in %g s: %s", AGAIN_S, error)
                pause, answered = min(AGAIN_S, self._every_s), False
            else:
                pause, answered = self._every_s, True

    def _renew_or(self, *, again: Callable[[], object] | None) -> None:
        try:
            self._renew()
        except LeaseLost:
            if again is None:
                raise
            again()


class Turning:
    """Whether an event loop still turns: ``stamp`` is called from it, ``lately`` from another thread."""

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._at = time.monotonic()

    def stamp(self) -> None:
        """The loop has come round."""
        self._at = time.monotonic()

    def lately(self) -> bool:
        """Whether it came round within the patience."""
        return time.monotonic() - self._at <= self._patience_s
