"""Everything a step needs, opened from the ledger by the switchover's id."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from pathlib import Path

import httpx

from switchover.arms import ArmClient
from switchover.corpus import sql_corpus
from switchover.edge import Edge
from switchover.encoder import WordLlamaEncoder
from switchover.gold import GoldSet, load_gold
from switchover.indexes import Index
from switchover.ledger import Lease, Ledger, RunRow
from switchover.plan import Plan
from switchover.pointers import Pointer
from switchover.signals import Signals, build_signals
from switchover.writers import Writer

log = logging.getLogger("switchover")


class Switch:
    """One open switchover and its world. Clients are built when first used and closed with it."""

    def __init__(self, *, edge: Edge, ledger: Ledger, id: str, actor: str, plan: Plan | None = None) -> None:
        self.edge = edge
        self.ledger = ledger
        self.id = id
        self.actor = actor
        self._plan = plan

    @classmethod
    def open(cls, *, edge: Edge, ledger: str, id: str, actor: str) -> Switch:
        """Open by id; the plan is the one that the run started with."""
        return cls(edge=edge, ledger=Ledger(engine=edge.sql(ledger)), id=id, actor=actor)

    @property
    def row(self) -> RunRow:
        """The run as the ledger holds it now; read again at each use."""
        return self.ledger.runs.get(self.id)

    @cached_property
    def plan(self) -> Plan:
        """The plan of this run."""
        return self._plan or self.row.read_plan()

    @cached_property
    def pointer(self) -> Pointer:
        """The knob."""
        return self.plan.pointer.build(self.edge)

    @cached_property
    def index(self) -> Index:
        """The store of both indexes."""
        return self.plan.index.build(self.edge)

    @cached_property
    def writers(self) -> list[Writer]:
        """What is frozen while the pointer moves."""
        return [spec.build(self.edge) for spec in self.plan.writers]

    @cached_property
    def signals(self) -> Signals:
        """Figures of live traffic."""
        return build_signals(self.plan, self.edge)

    @cached_property
    def encoder(self) -> WordLlamaEncoder:
        """The judge encoder."""
        return WordLlamaEncoder(dimension=self.plan.judge.dimension, revision=self.plan.judge.revision)

    @cached_property
    def gold(self) -> GoldSet:
        """The gold set, resolved against the corpus."""
        spec = self.plan.gold
        corpus = sql_corpus(self.edge.sql(spec.corpus), spec.table)
        return load_gold(Path(spec.path), corpus=corpus, encoder=self.encoder, minimum=spec.minimum)

    def arm_client(self, target: str, client: httpx.AsyncClient) -> ArmClient:
        """The client of one arm on an open httpx client of its connection."""
        spec = self.plan.arms[target]
        return ArmClient(client=client, name=target, spec=spec, timeout_s=self.plan.probes.timeout_s)

    @contextlib.asynccontextmanager
    async def asking(self, row: RunRow) -> AsyncIterator[dict[str, ArmClient]]:
        """Clients of both arms by role, open for the block."""
        async with contextlib.AsyncExitStack() as stack:
            arms: dict[str, ArmClient] = {}
            for role, target in (("blue", row.blue), ("green", row.green)):
                options = self.edge.http_options(self.plan.arms[target].connection)
                arms[role] = self.arm_client(target, await stack.enter_async_context(httpx.AsyncClient(**options)))
            yield arms

    def say(self, text: str) -> None:
        """One line for the task log and the audit trail."""
        log.info("%s: %s", self.id, text)
        self.ledger.journal.say(self.id, text, actor=self.actor)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Record a step's beginning and end; an error's first line becomes its note."""
        self.ledger.journal.step_started(self.id, name, actor=self.actor)
        note = Note()
        try:
            yield note
        except BaseException as error:
            first = f"{type(error).__name__}: {error}".splitlines()[0]
            self.ledger.journal.step_ended(self.id, name, ok=False, note=first)
            raise
        self.ledger.journal.step_ended(self.id, name, ok=True, note=note.text)

    def keep_lease(self) -> Lease:
        """Renew the lease, or take the next epoch when it ran out and nobody has it."""
        return self.ledger.leases.take(self.pointer.key, holder=self.id, seconds=self.plan.lease_s)

    def renew_lease(self) -> Lease:
        """Renew a lease that must still be alive; ``LeaseLost`` otherwise."""
        return self.ledger.leases.renew(self.pointer.key, holder=self.id, seconds=self.plan.lease_s)

    def lease_alive(self) -> bool:
        """Whether this run's lease on the pointer still runs."""
        lease = self.ledger.leases.get(self.pointer.key)
        return lease is not None and lease.alive and lease.holder == self.id


class Note:
    """The one line a step leaves behind."""

    text = ""
