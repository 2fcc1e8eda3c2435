"""A model of everything outside the ledger: the pointer, the writer, the indexes. The ledger is real."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from switchover.arms.spec import Reader
from switchover.edge.edge import Edge
from switchover.errors import LeaseLost, Unreachable
from switchover.indexes.base import Health
from switchover.indexes.pgvector import PgvectorIndexSpec
from switchover.ledger import Lease, Ledger, RunRow
from switchover.ledger.leases import Leases
from switchover.plan import Plan
from switchover.pointers.base import Capabilities, Change, EpochCheck, Pointer, Reading
from switchover.pointers.pgvector import PgvectorSpec
from switchover.steps.leadership import Leadership
from switchover.steps.switch import Switch
from switchover.writers.base import Drain, Writer
from switchover.writers.write_gate import WriteGateSpec
from tests.schedules.actors import Actors
from tests.schedules.arms import FOLLOWS, GONE, HASH, SEARCH, V1
from tests.schedules.hours import Beat, Hours


@dataclass(frozen=True, kw_only=True)
class Move:
    """One write to the pointer, who made it, and whether its run had ended then."""

    actor: str
    run: str
    before: str
    after: str
    epoch: int
    of_an_ended_run: bool


@dataclass
class Store:
    """What the world holds."""

    fenced: bool
    target: str = V1
    epoch: int = 0
    revision: int = 0
    version: int = 0  # moves, by whomever: a fence is none
    frozen: bool = False
    writer_epoch: int = 0
    away: bool = False
    reader: str = FOLLOWS  # or GONE, or the arm on which it stands still
    reader_changes: int = 0
    moved_by_others: int = 0
    moves: list[Move] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)


class ModelEdge(Edge):
    """Gives out the model."""

    def __init__(self, *, engine: sa.Engine, world: World) -> None:
        super().__init__(connections=lambda conn_id: None)  # type: ignore[arg-type, return-value]
        self._engine = engine
        self.world = world

    def sql(self, conn_id: str) -> sa.Engine:
        """The one real database."""
        return self._engine


class ModelPointer(Pointer):
    """One record, with an epoch beside the target or without, compared and set in one step."""

    def __init__(self, *, world: World) -> None:
        self._world = world
        self.key = world.key

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        fencing = EpochCheck.WITH_THE_WRITE if self._world.store.fenced else EpochCheck.NONE
        return Capabilities(atomic=True, compare_and_set=True, fencing=fencing, propagation="at once")

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        store = self._world.store
        if store.away:
            raise Unreachable("the store is away")
        return Reading(
            target=store.target,
            version=store.version if store.fenced else None,  # a store without epochs counts nothing
            epoch=store.epoch if store.fenced else None,
            token=store.revision,
        )

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. Both arms can always serve."""

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        store = self._world.store
        with self._world.actors.effect(ledger=False):
            if store.away:
                raise Unreachable("the store is away")
            if store.revision != now.token:
                return False
            self._world.note_move(change)
            store.target, store.revision, store.version = change.after, store.revision + 1, store.version + 1
            store.epoch = max(store.epoch, change.epoch) if not store.fenced else change.epoch
        return True

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        store = self._world.store
        with self._world.actors.effect(ledger=False):
            if store.away:
                raise Unreachable("the store is away")
            if store.fenced and store.epoch < epoch:
                store.epoch, store.revision = epoch, store.revision + 1

    def shadow(self, target: str) -> AbstractContextManager[Pointer]:
        """See :class:`Pointer`. The model rehearses nothing."""
        raise NotImplementedError


class ModelWriter(Writer):
    """One write gate that compares epochs, as the product's does."""

    def __init__(self, *, world: World, spec: WriteGateSpec) -> None:
        super().__init__(spec=spec)
        self._world = world

    def find(self) -> Mapping[str, Any]:
        """See :class:`Writer`."""
        return {"frozen": self._world.store.frozen}

    def frozen(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """See :class:`Writer`."""
        return {"frozen": True}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set(True, epoch)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        return Drain(done=self._world.store.frozen, proof="the model says so")

    def restore(self, found: Mapping[str, Any], *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set(bool(found["frozen"]), epoch)

    def _set(self, frozen: bool, epoch: int) -> None:
        store = self._world.store
        with self._world.actors.effect(ledger=False):
            if epoch < store.writer_epoch:
                raise LeaseLost(f"writer: epoch {store.writer_epoch} has written")
            if not frozen:
                self._world.note_resume()
            store.frozen, store.writer_epoch = frozen, epoch


class ModelIndex:
    """Both indexes are there, with their hashes."""

    def health(self, target: str) -> Health:
        """See :class:`Index`."""
        return Health(exists=True, empty=False, stored_hash=HASH.get(target))


class PointerPart(PgvectorSpec):
    """Builds the model instead."""

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        return ModelPointer(world=edge.world)  # type: ignore[attr-defined]


class WriterPart(WriteGateSpec):
    """Builds the model instead."""

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return ModelWriter(world=edge.world, spec=self)  # type: ignore[attr-defined]


class IndexPart(PgvectorIndexSpec):
    """Builds the model instead."""

    def build(self, edge: Edge) -> Any:
        """See :class:`IndexSpec`."""
        return ModelIndex()


class ModelSwitch(Switch):
    """Nobody waits: who waits for another's lease does so by trying again later, which is a rule of its own.

    Its plan is the model's, with the readers that the ledger has for the run.
    """

    @cached_property
    def plan(self) -> Plan:
        """See :class:`Switch`."""
        model: World = self.edge.world  # type: ignore[attr-defined]
        readers = [Reader.model_validate(each) for each in model.plain.runs.get(self.id).plan["readers"]]
        return model.plan.model_copy(update={"readers": readers})

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.leadership = ModelLeadership(self, ledger=self.ledger, holder=self.holder)


class ModelLeadership(Leadership):
    """Takes the lease now or never."""

    def take(self, *, wait: bool = False, seize: bool = False) -> Lease:
        """See :class:`Leadership`."""
        return super().take(seize=seize)


class World:
    """One schedule's world on the session's ledger; its pointer and its runs have names of their own."""

    def __init__(self, *, engine: sa.Engine, plan: Plan, key: str, fenced: bool) -> None:
        self.key = key
        self.store = Store(fenced=fenced)
        # A store without epochs can promise nothing to a process that sleeps between its last look and its write.
        self.actors = Actors(naps_between_look_and_write=fenced)
        self.plan = plan
        self.edge = ModelEdge(engine=engine, world=self)
        self.ledger = Ledger(engine=engine)
        Beat.hours = self.hours = Hours()
        self.plain = Ledger(engine=engine)  # for the test's own looks, which are no side effects
        self._watch_the_ledger()

    def switch(self, run: str, *, holder: str | None = None) -> Switch:
        """One process's view of a run."""
        return ModelSwitch(edge=self.edge, ledger=self.ledger, id=run, actor=holder or "task", holder=holder)

    def note_move(self, change: Change) -> None:
        """Before the pointer is written."""
        actor = self.actors.current()
        assert actor is not None
        ended = self.plain.runs.get(actor.run).state.ended
        move = Move(
            actor=actor.name, run=actor.run, before=change.before, after=change.after, epoch=change.epoch,
            of_an_ended_run=ended,
        )  # fmt: skip
        self.store.moves.append(move)
        if ended:
            self.store.wrongs.append(f"a run that has ended moved the pointer: {move}")
        lease = self.plain.leases.get(self.key)
        if lease is None or (lease.epoch > change.epoch and not self.store.fenced):
            self.store.wrongs.append(f"moved without the lease: {move}, the lease is {lease}")

    def note_resume(self) -> None:
        """Before the writer is let go."""
        actor = self.actors.current()
        assert actor is not None
        row = self.plain.runs.get(actor.run)
        live = row.green if row.state.value == "promoted" else row.blue
        if not row.state.ended:
            self.store.wrongs.append(f"{actor} resumed a writer while its run was {row.state.value}")
        elif self.store.target != live and actor.moved_by_others == self.store.moved_by_others:
            self.store.wrongs.append(f"{actor} resumed a writer on {live} while {self.store.target} was live")
        elif not self._proven(row, live) and actor.reader_changes == self.store.reader_changes:
            self.store.wrongs.append(f"{actor} resumed a writer on {live}, but the reader is {self.store.reader}")

    def _proven(self, row: RunRow, live: str) -> bool:
        """Whether the reader serves what is live, or a person has answered for it."""
        gone = self.store.reader == GONE and SEARCH in (row.left_out or {})
        return self.store.reader in (FOLLOWS, live) or gone or not row.plan["readers"]

    def _watch_the_ledger(self) -> None:
        """Every transaction of the ledger is a side effect; a renewal is a look at the lease."""
        database, actors = self.ledger.database, self.actors
        real = database.transaction

        @contextlib.contextmanager
        def transaction(**options: Any) -> Iterator[sa.Connection]:
            with actors.effect(ledger=True), real(**options) as connection:
                yield connection

        database.transaction = transaction  # type: ignore[method-assign]
        leases: Leases = self.ledger.leases
        renew = leases.renew

        def checked(lease: Lease, *, seconds: float) -> Lease:
            actor = actors.current()
            if actor is None:
                return renew(lease, seconds=seconds)
            actor.renewing = True
            try:
                return renew(lease, seconds=seconds)
            finally:
                actor.renewing = False

        leases.renew = checked  # type: ignore[method-assign]
