"""The heartbeat: beats while it may, survives a ledger that is away, ends when the lease is another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from switchover.errors import LeaseLost, LedgerUnreachable
from switchover.ledger.heartbeat import Heartbeat, Turning

LEASE_S = 0.09


class Ledger:
    """Answers the beats as it is told: ``None`` is well, an error is raised; the last answer stays."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.taken = 0
        self.done = threading.Event()

    def renew(self) -> None:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not self.answers[1:]:
            self.done.set()
        if answer is not None:
            raise answer

    def again(self) -> None:
        self.taken += 1


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_beats_as_long_as_the_block_lasts() -> None:
    ledger = Ledger(None)
    with Heartbeat(ledger.renew, lease_s=LEASE_S) as beat:
        until(lambda: ledger.asked >= 3)
    asked = ledger.asked
    time.sleep(3 * LEASE_S)
    assert (ledger.asked, beat.lost) == (asked, "")


def test_a_ledger_that_is_away_is_asked_again() -> None:
    ledger = Ledger(LedgerUnreachable("away"), LedgerUnreachable("away"), None)
    with Heartbeat(ledger.renew, lease_s=LEASE_S, again=ledger.again) as beat:
        until(lambda: ledger.asked >= 4)
    assert (ledger.taken, beat.lost) == (0, "")


def test_a_lease_that_ended_during_an_outage_is_taken_again() -> None:
    ledger = Ledger(LedgerUnreachable("away"), LeaseLost("ran out"), None)
    with Heartbeat(ledger.renew, lease_s=LEASE_S, again=ledger.again) as beat:
        until(lambda: ledger.asked >= 3)
    assert (ledger.taken, beat.lost) == (1, "")


def test_a_lease_that_ended_while_the_ledger_answered_is_lost() -> None:
    """The process slept, or somebody took it: it must not come back by itself."""
    ledger = Ledger(None, LeaseLost("held by 'watchdog'"))
    with Heartbeat(ledger.renew, lease_s=LEASE_S, again=ledger.again) as beat:
        until(lambda: beat.lost != "")
        asked = ledger.asked
        time.sleep(2 * LEASE_S)
    assert (beat.lost, ledger.taken, ledger.asked) == ("held by 'watchdog'", 0, asked)


def test_it_does_not_beat_while_nothing_goes_on() -> None:
    ledger = Ledger(None)
    turning = Turning(patience_s=0.2)
    with Heartbeat(ledger.renew, lease_s=LEASE_S, going_on=turning.lately):
        until(lambda: ledger.asked >= 2)
        until(lambda: not turning.lately())
        time.sleep(LEASE_S)
        asked = ledger.asked
        time.sleep(3 * LEASE_S)
        assert ledger.asked == asked
        turning.stamp()
        until(lambda: ledger.asked > asked)
