"""Everything a step needs, opened from the ledger by the switchover's id."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from switchover.approval import Gate
from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.edge.edge import Edge
from switchover.errors import BadInput, LeaseLost, Unstorable
from switchover.judge.evidence import Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.ledger import Lease, Ledger, RunRow
from switchover.ledger.heartbeat import Heartbeat
from switchover.notify import Event
from switchover.protocol import Decision, State
from switchover.report.tell import tell
from switchover.steps.doctor import advice
from switchover.steps.world import World
from switchover.text import first_line

LEASE_PAUSE_S = 0.2
STALLED_S = 3600.0  # a proof of a large index reads for minutes and says nothing meanwhile
MOVING = ("flip", "rollback", "abort")  # steps that move the pointer and then only wait for readers
READER_S = 5.0  # that one reader may take to answer
log = logging.getLogger("switchover")

#: Reaching one of these is told to people.
TOLD = {
    State.ROLLED_BACK: Event.ROLLBACK,
    State.PROMOTED: Event.PROMOTION,
    State.ABORTED: Event.ABORT,
    State.STUCK: Event.STUCK,
}


class Switch(World):
    """One open switchover, its world, and the lease that it leads under."""

    @classmethod
    def open(cls, *, edge: Edge, ledger: str, id: str, actor: str, holder: str | None = None) -> Switch:
        """Open by id; the plan is the one that the run started with."""
        return cls(edge=edge, ledger=Ledger(engine=edge.sql(ledger)), id=id, actor=actor, holder=holder)

    def record(self, round: Round, asked: Sequence[Asked]) -> list[EvidenceRow]:
        """Measure a round and write it down: its evidence rows, which it returns, and each retrieved text once."""
        plan = self.plan
        if not asked:
            return []
        completer = self.completer(self.row)
        rows = evidence_rows(
            asked,
            round,
            gold=self.gold,
            encoder=self.encoder,
            probes=plan.probes,
            completer=completer,
        )
        kept = self.ledger.evidence.keep(self.id, rows)
        try:
            replies = completer.complete([(probe.arm, probe.reply) for probe in asked])
            texts = [(p.arm, hit) for p, reply in zip(asked, replies, strict=True) for hit in reply.hits]
            self.ledger.subjects.retrieved(self.id, texts)
        except Unstorable as error:
            self.say(f"retrieved texts are not kept: {error}")
        return kept

    def evidence(self, phase: str) -> Evidence:
        """All evidence of a phase as the judge reads it; every question of the gold set is expected.

        ``BadInput`` when there are rows of any other question: the gold set is not the one that was asked.
        """
        found = self.ledger.evidence.load(self.id, phase=phase, questions=self.gold.ids)
        if found.left_out:
            raise BadInput(
                f"switchover {self.id!r}: {found.left_out} {phase} evidence rows are of no question of the gold set"
                f" ({len(self.gold.ids)} questions); put back the one that the run began with"
            )
        return found.evidence

    def say(self, text: str) -> None:
        """One line for the task log and the audit trail."""
        self._came_on()
        log.info("%s: %s", self.id, text)
        self.ledger.journal.say(self.id, text, actor=self.actor)

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
            with self.leading(wait=wait, idle_s=self._moving_s if name in MOVING else STALLED_S):
                yield note
        except BaseException as error:
            first = first_line(f"{type(error).__name__}: {error}")
            self.ledger.journal.step_ended(self.id, name, ok=False, note=first)
            raise
        self.ledger.journal.step_ended(self.id, name, ok=True, note=note.text)

    @contextlib.contextmanager
    def leading(self, *, wait: bool = False, seize: bool = False, idle_s: float = STALLED_S) -> Iterator[Lease]:
        """Lead for the block, however slow it is; when it ends well the lease lasts until the next step takes it.

        A block that neither reads its run nor says a thing for ``idle_s`` has stalled, and its lease runs out. A run
        that has ended needs no next step.
        """
        lease = self.lead(wait=wait, seize=seize)
        beat = Heartbeat(self.renew_lease, lease_s=self.plan.lease_s, going_on=lambda: beat.idle_s <= idle_s)
        self._beat = beat
        with beat:
            yield lease
        if self.row.state.ended:
            self.release_lease()
        elif self.leads:
            self.hand_over()

    @property
    def _moving_s(self) -> float:
        """Seconds in which a step that moves the pointer must come on: two waits for convergence, and the rest."""
        plan = self.plan
        return 2 * (plan.converge_s + READER_S * len(plan.readers)) + plan.handover_s

    def lead(self, *, wait: bool = False, seize: bool = False) -> Lease:
        """Take the pointer's lease under the next epoch: no older process of the holder may write from now on.

        ``LeaseLost`` while somebody else has it, with ``wait`` only after two hand-overs. ``seize`` takes it
        from whoever has it and says from whom: for a person who asks for it.
        """
        take = self.ledger.leases.seize if seize else self.ledger.leases.take
        deadline = time.monotonic() + (2 * self.plan.handover_s if wait else 0.0)
        while True:
            try:
                lease = take(self.pointer.key, holder=self.holder, seconds=self.plan.lease_s)
                break
            except LeaseLost:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(LEASE_PAUSE_S)
        if lease.seized_from:
            self.say(f"lease of {lease.pointer} seized from {lease.seized_from!r}, epoch {lease.epoch}")
        return self._held(lease)

    def join(self) -> Lease:
        """Keep the run's own living lease alive without taking it: for a process that moves nothing."""
        return self._held(self.ledger.leases.join(self.pointer.key, holder=self.id))

    @property
    def leads(self) -> bool:
        """Whether this process has taken or joined the lease; it may have lost it since."""
        return self._lease is not None

    @property
    def lease(self) -> Lease:
        """The lease that this process leads under, as it was last renewed."""
        if self._lease is None:
            raise LeaseLost(f"switchover {self.id!r}: this process has not taken the lease of {self.row.pointer}")
        return self._lease

    def questions(self, gate: Gate | None = None) -> list[Mapping[str, Any]]:
        """What people were asked; nothing is read where the plan asks nobody."""
        if not any(self.plan.asks(each) for each in Gate):
            return []
        return self.ledger.approvals.of(self.id, gate=gate)

    def renew_lease(self) -> Lease:
        """Renew the lease that this process leads under; ``LeaseLost`` when it ran out or another epoch began."""
        return self._held(self.ledger.leases.renew(self.lease, seconds=self.plan.lease_s))

    def hand_over(self) -> Lease:
        """Renew the lease for as long as the next step may take to start."""
        return self._held(self.ledger.leases.renew(self.lease, seconds=self.plan.handover_s))

    def release_lease(self) -> None:
        """Let the lease go, if this process leads."""
        if self._lease is not None:
            self.ledger.leases.release(self._lease)
            self._lease = None

    def refuse_older(self) -> None:
        """Have the store refuse every older epoch from now on, where it can."""
        if self._fenced != self.lease.epoch:
            self.pointer.refuse_older(self.lease.epoch)
            self._fenced = self.lease.epoch

    def read_plan_again(self) -> None:
        """The plan in the ledger has changed."""
        self._plan = None
        self.__dict__.pop("plan", None)

    def move(self, to: State, **changes: Any) -> RunRow:
        """Move the run to a state, under the lease that this process leads under; an end is told once."""
        before = self.row.state
        row = self.ledger.runs.move(self.id, to, lease=self.lease, **changes)
        if to in TOLD and before is not to:
            self.tell(TOLD[to], leading=False)  # it led when it wrote that; an end lets the lease go
        return row

    def decide(self, decision: Decision, *, reason: str) -> RunRow:
        """Write the decision down, under the lease that this process leads under; the first one stands."""
        return self.ledger.runs.decide(self.id, decision, lease=self.lease, reason=reason)

    def _held(self, lease: Lease) -> Lease:
        self._lease = lease
        return lease


class Note:
    """The one line a step leaves behind."""

    text = ""
