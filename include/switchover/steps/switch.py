"""Everything a step needs, opened from the ledger by the switchover's id."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from switchover.approval import Gate
from switchover.edge.edge import Edge
from switchover.ledger import Ledger, RunRow
from switchover.notify import Event
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.report.tell import tell
from switchover.steps.doctor import advice
from switchover.steps.leadership import STALLED_S, Leadership
from switchover.steps.rounds import Rounds
from switchover.steps.world import World, log
from switchover.text import first_line

MOVING = ("flip", "rollback", "abort")  # steps that move the pointer and then only wait for readers
READER_S = 5.0  # that one reader may take to answer

#: Reaching one of these is told to people.
TOLD = {
    State.ROLLED_BACK: Event.ROLLBACK,
    State.PROMOTED: Event.PROMOTION,
    State.ABORTED: Event.ABORT,
    State.STUCK: Event.STUCK,
}


class Switch(World):
    """One open switchover: its world, its lease (``leadership``), its rounds of probes (``rounds``) and its state.

    What goes on with a lease says so: each read and each line keeps it from running out; see :class:`Leadership`.
    """

    def __init__(
        self, *, edge: Edge, ledger: Ledger, id: str, actor: str, holder: str | None = None, plan: Plan | None = None
    ) -> None:
        bound = ledger.under(lambda: self.leadership.held)
        super().__init__(edge=edge, ledger=bound, id=id, actor=actor, plan=plan)
        self.leadership = Leadership(self, ledger=bound, holder=holder or id)
        self.rounds = Rounds(self)

    @classmethod
    def open(cls, *, edge: Edge, ledger: str, id: str, actor: str, holder: str | None = None) -> Switch:
        """Open by id; the plan is the one that the run started with."""
        return cls(edge=edge, ledger=Ledger(engine=edge.sql(ledger)), id=id, actor=actor, holder=holder)

    @property
    def holder(self) -> str:
        """The name under which this process takes the lease."""
        return self.leadership.holder

    def read(self) -> RunRow:
        """Read the run from the ledger, as it is now."""
        self.leadership.came_on()
        return super().read()

    def say(self, text: str) -> None:
        """One line for the task log and the audit trail."""
        self.leadership.came_on()
        super().say(text)

    def tell(self, event: Event, detail: str = "", *, leading: bool = True) -> None:
        """Tell the plan's channels, beside what runs here; see ``switchover.notify``. Never raises.

        ``leading``: only as long as the lease is this holder's. Whoever lost it tells nothing.
        """
        try:
            channels = self.plan.notify
            tell(
                edge=self.edge,
                ledger=self.ledger,
                id=self.id,
                channels=channels,
                event=event,
                detail=detail,
                by=self.holder,
                leading=leading,
                advice=advice,
            )
        except Exception as error:  # noqa: BLE001  (a message must not reach the run)
            log.warning("%s: nobody was told of %s: %s", self.id, event, type(error).__name__)

    @contextlib.contextmanager
    def step(self, name: str, *, wait: bool = False) -> Iterator[Note]:
        """Lead for the block, and record its beginning and end; an error's first line becomes the step's note."""
        self.ledger.journal.step_started(self.id, name, actor=self.actor)
        note = Note()
        try:
            with self.leadership.leading(wait=wait, idle_s=self._moving_s if name in MOVING else STALLED_S):
                yield note
        except BaseException as error:
            first = first_line(f"{type(error).__name__}: {error}")
            self.ledger.journal.step_ended(self.id, name, ok=False, note=first)
            raise
        self.ledger.journal.step_ended(self.id, name, ok=True, note=note.text)

    @property
    def _moving_s(self) -> float:
        """Seconds in which a step that moves the pointer must come on: two waits for convergence, and the rest."""
        plan = self.plan
        return 2 * (plan.converge_s + READER_S * len(plan.readers)) + plan.handover_s

    def questions(self, gate: Gate | None = None) -> list[Mapping[str, Any]]:
        """What people were asked; nothing is read where the plan asks nobody."""
        if not any(self.plan.asks(each) for each in Gate):
            return []
        return self.ledger.approvals.of(self.id, gate=gate)

    def read_plan_again(self) -> None:
        """The plan in the ledger has changed."""
        self._plan = None
        self.__dict__.pop("plan", None)

    def move(self, to: State, **changes: Any) -> RunRow:
        """Move the run to a state, under the lease that this process leads under; an end is told once."""
        before = self.read().state
        row = self.ledger.runs.move(self.id, to, lease=self.leadership.lease, **changes)
        if to in TOLD and before is not to:
            self.tell(TOLD[to], leading=False)  # it led when it wrote that; an end lets the lease go
        return row

    def decide(self, decision: Decision, *, reason: str, person: str | None = None) -> RunRow:
        """Write the decision down, under the lease that this process leads under; the first one stands."""
        return self.ledger.runs.decide(self.id, decision, lease=self.leadership.lease, reason=reason, person=person)


class Note:
    """The one line a step leaves behind."""

    text = ""
