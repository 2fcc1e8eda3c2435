"""The watchdog: a small process outside Airflow that brings a run to its end when nobody drives it any more.

It looks at the ledger every second. A run that has begun to flip, or has writers frozen, is not at its end and whose
lease nobody has renewed is taken over under the next epoch and settled as :func:`switchover.protocol.decide` says:
undecided is a rollback, before the flip an abort. Several may run: one gets the lease. It changes nothing when it
cannot read the ledger or the pointer.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from switchover.edge.edge import Edge
from switchover.errors import SwitchoverError
from switchover.ledger import Ledger, RunRow
from switchover.ledger.run_row import Undriven
from switchover.steps.switch import Switch
from switchover.steps.take_over import UNSETTLED, TakeOver, take_over
from switchover.text import first_line
from switchover.watchdog.metrics import Metrics

AT_ONCE = 8
BLIND_PAUSE_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0  # doubled with each attempt that does not settle a run
SAY_AGAIN_S = 60.0
LONGEST_GRACE_S = 120.0
log = logging.getLogger("switchover.watchdog")


@dataclass(kw_only=True)
class Look:
    """One look at the ledger. ``problem`` is set when it could not be read and written.

    ``broken``: runs whose record cannot be read, id -> why; each is an alarm of its own and hinders no other.
    """

    open: int = 0
    undriven: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    take_overs: list[TakeOver] = field(default_factory=list)
    problem: str = ""

    @property
    def sees(self) -> str:
        """For people, a few words."""
        broken = f", {len(self.broken)} whose record cannot be read" if self.broken else ""
        return f"{self.open} open, {len(self.undriven)} that nobody drives{broken}"


class Watchdog:
    """One watchdog on one ledger. ``edges`` builds an edge; each run that is taken over gets its own."""

    def __init__(self, *, edges: Callable[[], Edge], ledger: str, interval_s: float) -> None:
        self.name = f"watchdog:{socket.gethostname()}:{os.getpid()}"
        self.interval_s = interval_s
        self.metrics = Metrics(interval_s=interval_s)
        self._edges = edges
        self._edge = edges()
        self._ledger = Ledger(engine=self._edge.sql(ledger))
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="take-over")
        self._busy: dict[str, Future[TakeOver]] = {}
        self._not_before: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._said: dict[str, tuple[str, float]] = {}
        self._answers_since: float | None = float("-inf")

    def run(self, over: threading.Event) -> None:
        """Look every ``interval_s`` until ``over`` is set; what is under way then is finished."""
        log.info("%s looks every %g s", self.name, self.interval_s)
        while not over.is_set():
            self.look()
            over.wait(self.interval_s)
        self.close()

    def once(self) -> Look:
        """One look, and whatever it starts is waited for."""
        look = self.look()
        wait(self._busy.values())
        look.take_overs += self._collect()
        return look

    def close(self) -> None:
        """Finish what is under way and take the watchdog out of the ledger."""
        self._pool.shutdown(wait=True)
        self._collect()
        try:
            self._ledger.watchdogs.gone(self.name)
        except SwitchoverError as error:
            log.warning("%s", error)
        self._edge.close()

    def look(self) -> Look:
        """Read every run that nobody drives, and start to take over each."""
        look = Look(take_overs=self._collect())
        try:
            found, look.broken = self._ledger.runs.undriven()
            look.open, look.undriven = self._ledger.runs.count_open(), [each.row.id for each in found]
            self._ledger.watchdogs.looked(
                self.name, host=socket.gethostname(), pid=os.getpid(), interval_s=self.interval_s, sees=look.sees
            )
        except Exception as error:  # noqa: BLE001  (whatever one look meets, the next one is made)
            look.problem = _line(error)
            self._answers_since = None
            self._tell("ledger", f"cannot work with the ledger, nothing is changed: {look.problem}", bad=True)
        else:
            self._tell("ledger", "the ledger answers")
            if self._answers_since is None:
                self._answers_since = time.monotonic()
            for id, why in look.broken.items():
                self._tell(id, f"{id}: nobody drives it and {why}; a person must look", bad=True)
            for each in found:
                self._start(each)
        self.metrics.looked(
            open=look.open,
            undriven=len(look.undriven) + len(look.broken),
            broken=len(look.broken),
            problem=look.problem,
            sees=look.sees,
        )
        return look

    def _start(self, found: Undriven) -> None:
        now, id = time.monotonic(), found.row.id
        # Nobody could renew while the ledger was away: whoever lives gets one life of the lease to do so.
        grace_over = (self._answers_since or now) + _lease_s(found.row)
        if id in self._busy or now < max(grace_over, self._not_before.get(id, 0.0)):
            return
        self._busy[id] = self._pool.submit(self._take_over, found)

    def _take_over(self, found: Undriven) -> TakeOver:
        edge = self._edges()
        try:
            switch = Switch(edge=edge, ledger=self._ledger, id=found.row.id, actor=self.name, holder=self.name)
            return take_over(switch, since=found.since, last_holder=found.last_holder)
        finally:
            edge.close()

    def _collect(self) -> list[TakeOver]:
        """The take-overs that ended since the last look; one that broke is tried again like a failed one."""
        take_overs = []
        for id, future in [(id, future) for id, future in self._busy.items() if future.done()]:
            del self._busy[id]
            error = future.exception()
            done = future.result() if error is None else TakeOver(run=id, result="failed", line=_broke(error))
            self._not_before[id] = time.monotonic() + self._pause_s(done)
            self._tell(id, f"{id}: {done.line}", bad=done.result in UNSETTLED)
            self.metrics.taken_over(id, done.result)
            take_overs.append(done)
        return take_overs

    def _pause_s(self, done: TakeOver) -> float:
        """How long to leave the run alone."""
        if done.result in ("stuck", "failed"):
            self._failures[done.run] += 1
            return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures[done.run] - 1)))
        self._failures.pop(done.run, None)
        return BLIND_PAUSE_S if done.result == "blind" else 0.0

    def _tell(self, about: str, line: str, *, bad: bool = False) -> None:
        """Log a line when it is news, and a bad one again every minute."""
        said, at = self._said.get(about, ("", 0.0))
        if line == said and (not bad or time.monotonic() - at < SAY_AGAIN_S):
            return
        self._said[about] = (line, time.monotonic())
        log.log(logging.WARNING if bad else logging.INFO, "%s", line)


def _lease_s(row: RunRow) -> float:
    """What the run's plan says, within reason: a record that cannot be read keeps nobody waiting for long."""
    found = row.plan.get("lease_s") if isinstance(row.plan, Mapping) else None
    return min(float(found), LONGEST_GRACE_S) if isinstance(found, (int, float)) and found >= 0 else 0.0


def _broke(error: BaseException) -> str:
    return f"not settled yet, trying again: {_line(error)}"


def _line(error: BaseException) -> str:
    known = isinstance(error, SwitchoverError)
    return first_line(error if known else f"{type(error).__name__}: {error}")
