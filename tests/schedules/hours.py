"""Hours that pass when a schedule says so, and the heartbeats that beat in them, without a thread."""

from __future__ import annotations

from typing import Any, ClassVar

from switchover.errors import LeaseLost
from switchover.ledger.heartbeat import Heartbeat

TICK_S = 1200.0  # a third of the model's lease


class Hours:
    """Seconds since the schedule began, and who renews a lease meanwhile: also for an actor that is asleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set_back = 0.0  # by how much the ledger's clock was set back meanwhile
        self.beats: list[Beat] = []

    def tick(self) -> None:
        """Every heartbeat that goes on beats once."""
        self.now += TICK_S
        for beat in list(self.beats):
            beat.once()


class Beat(Heartbeat):
    """A heartbeat that decides as the real one does whether it goes on, by the schedule's hours."""

    hours: ClassVar[Hours]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.stamp()

    def start(self) -> None:
        """See :class:`Heartbeat`."""
        self.hours.beats.append(self)

    def stop(self) -> None:
        """See :class:`Heartbeat`."""
        if self in self.hours.beats:
            self.hours.beats.remove(self)

    def stamp(self) -> None:
        """See :class:`Heartbeat`."""
        self._progress = self.hours.now

    @property
    def idle_s(self) -> float:
        """See :class:`Heartbeat`."""
        return self.hours.now - self._progress

    def once(self) -> None:
        """One beat."""
        if not self._going_on():
            return
        try:
            self._renew()
        except LeaseLost as error:
            self.lost = str(error)
            self.stop()
