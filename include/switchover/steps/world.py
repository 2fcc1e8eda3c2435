"""The world of one run: its row, its plan and the clients of what the plan names, each built when first used."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

from switchover.arms.client import ArmClient, open_arm
from switchover.arms.complete import Completer
from switchover.edge.edge import Edge
from switchover.encoders import Encoder
from switchover.encoders.once import Once
from switchover.errors import GoldError
from switchover.gold.corpus import sql_corpus
from switchover.gold.goldset import GoldSet, load_gold
from switchover.indexes import Index
from switchover.ledger import Lease, Ledger, RunRow
from switchover.ledger.heartbeat import Heartbeat
from switchover.plan import Plan
from switchover.pointers import Pointer
from switchover.signals import Signals
from switchover.writers import Writer


class Arms(Protocol):
    """The targets of both arms, as a run has them."""

    @property
    def blue(self) -> str:
        """The arm that is live when the run begins."""
        ...

    @property
    def green(self) -> str:
        """The candidate."""
        ...


@dataclass(frozen=True, kw_only=True)
class BothArms:
    """The targets of both arms, where there is no run yet."""

    blue: str
    green: str


def _texts(index: Index, targets: Mapping[str, str], role: str, ids: Sequence[str]) -> Mapping[str, str]:
    """Texts by id from the index of an arm."""
    return index.texts(targets[role], ids)


class World:
    """One open switchover and its world. Clients are built when first used and closed with it.

    ``holder`` is under which name it takes the pointer's lease: the run's id for the run's own processes; another
    name for whoever acts in their stead (``watchdog:...``, ``person:...``).
    """

    def __init__(
        self, *, edge: Edge, ledger: Ledger, id: str, actor: str, holder: str | None = None, plan: Plan | None = None
    ) -> None:
        self.edge = edge
        self.ledger = ledger.under(lambda: self._lease)
        self.id = id
        self.actor = actor
        self.holder = holder or id
        self._plan = plan
        self._lease: Lease | None = None
        self._fenced = 0
        self._beat: Heartbeat | None = None
        self._completers: dict[tuple[str, str], Completer] = {}

    @property
    def row(self) -> RunRow:
        """The run as the ledger holds it now; read again at each use."""
        self._came_on()
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
        return self.plan.signals.build(self.edge, arms=self.plan.arms)

    @cached_property
    def encoder(self) -> Encoder:
        """The judge encoder; each text is encoded once a run."""
        return Once(self.plan.judge_encoder.build(self.edge))

    @cached_property
    def gold(self) -> GoldSet:
        """The gold set, resolved against the corpus: one a run.

        ``GoldError`` when the file, or where its answers stand, is not any more what verify has found.
        """
        spec = self.plan.gold
        corpus = sql_corpus(self.edge.sql(spec.corpus), spec.table)
        found = load_gold(Path(spec.path), corpus=corpus, encoder=self.encoder, minimum=spec.minimum)
        row = self.ledger.runs.find(self.id)
        if row is not None and row.gold_digest is not None:
            self._require_same(found, row.gold_digest)
        return found

    def _require_same(self, found: GoldSet, digest: str) -> None:
        what = f"switchover {self.id!r}: gold set {self.plan.gold.path}"
        ask = "put back what the run began with, or start a new run"
        if found.digest != digest:
            raise GoldError(
                f"{what}: changed since verify (SHA-256 {digest[:12]} then, {found.digest[:12]} now); {ask}"
            )
        then = {row["id"]: row["spans"] for row in self.ledger.subjects.questions(self.id)}
        now = {item.id: [asdict(s) for s in spans] for item, spans in zip(found.items, found.spans, strict=True)}
        moved = sorted(id for id in then.keys() | now.keys() if then.get(id) != now.get(id))
        if then and moved:
            raise GoldError(
                f"{what}: the corpus changed since verify: the answers of {len(moved)} questions stand elsewhere,"
                f" {moved[0]!r} first; {ask}"
            )

    def run_lease_alive(self) -> bool:
        """Whether the run's own processes hold the lease, whoever asks."""
        lease = self.ledger.leases.get(self.pointer.key)
        return lease is not None and lease.alive and lease.holder == self.id

    def completer(self, arms: Arms) -> Completer:
        """Works out what the replies of these arms do not say; one a run, which remembers."""
        key = arms.blue, arms.green
        if key not in self._completers:
            texts = partial(_texts, self.index, {"blue": arms.blue, "green": arms.green})
            self._completers[key] = Completer(gold=self.gold, encoder=self.encoder, texts_of=texts)
        return self._completers[key]

    def open_arm(self, target: str) -> AbstractAsyncContextManager[ArmClient]:
        """The client of one arm, open for the block."""
        plan = self.plan
        return open_arm(self.edge, target, plan.arms[target], asking=plan.asking, timeout_s=plan.probes.timeout_s)

    @contextlib.asynccontextmanager
    async def asking(self, row: Arms) -> AsyncIterator[dict[str, ArmClient]]:
        """Clients of both arms by role, open for the block."""
        async with contextlib.AsyncExitStack() as stack:
            arms: dict[str, ArmClient] = {}
            for role, target in (("blue", row.blue), ("green", row.green)):
                arms[role] = await stack.enter_async_context(self.open_arm(target))
            yield arms

    def _came_on(self) -> None:
        if self._beat is not None:
            self._beat.stamp()
