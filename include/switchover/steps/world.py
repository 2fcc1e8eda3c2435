"""The world of one run: its row, its plan and the clients of what the plan names, each built when first used."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Protocol

from switchover.arms.client import ArmClient, open_arm
from switchover.arms.complete import Completer
from switchover.edge.edge import Edge
from switchover.encoders import Encoder
from switchover.encoders.once import Once
from switchover.errors import GoldError
from switchover.gold.goldset import GoldSet
from switchover.indexes import Index
from switchover.judge.calibration import Calibration
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan
from switchover.pointers import Pointer
from switchover.signals import Signals, signals_of
from switchover.steps.calibrate import calibration_of
from switchover.steps.questions import gold_of
from switchover.writers import Writer

log = logging.getLogger("switchover")


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
    """One run and its world: what the plan names is built when first used. It writes nothing but lines for people."""

    def __init__(self, *, edge: Edge, ledger: Ledger, id: str, actor: str, plan: Plan | None = None) -> None:
        self.edge = edge
        self.ledger = ledger
        self.id = id
        self.actor = actor
        self._plan = plan
        self._completers: dict[tuple[str, str], Completer] = {}

    def read(self) -> RunRow:
        """Read the run from the ledger, as it is now."""
        return self.ledger.runs.get(self.id)

    def say(self, text: str) -> None:
        """One line for the task log and the audit trail."""
        log.info("%s: %s", self.id, text)
        self.ledger.journal.say(self.id, text, actor=self.actor)

    @cached_property
    def plan(self) -> Plan:
        """The plan of this run."""
        return self._plan or self.read().read_plan()

    @cached_property
    def pointer(self) -> Pointer:
        """The knob."""
        return self.plan.pointer.build(self.edge)

    @cached_property
    def index(self) -> Index:
        """The arms' indexes."""
        return self.plan.indexes(self.edge)

    @cached_property
    def writers(self) -> list[Writer]:
        """What is frozen while the pointer moves."""
        return [spec.build(self.edge) for spec in self.plan.writers]

    @cached_property
    def signals(self) -> Signals:
        """Figures of live traffic."""
        return signals_of(self.plan.signals, self.edge, arms=self.plan.arms)

    @cached_property
    def encoder(self) -> Encoder:
        """The judge encoder; each text is encoded once a run."""
        return Once(self.plan.judge_encoder.build(self.edge))

    @cached_property
    def gold(self) -> GoldSet:
        """The gold set, resolved against the corpus: one a run.

        ``GoldError`` when the file, or where its answers stand, is not any more what verify has found.
        """
        found = gold_of(self.plan, self.edge, self.encoder)
        row = self.ledger.runs.find(self.id)
        if row is not None and row.gold_digest is not None:
            self._require_same(found, row.gold_digest)
        return found

    @cached_property
    def calibration(self) -> Calibration:
        """What the judge encoder is worth on the gold set, as verify has found it."""
        row = self.ledger.runs.find(self.id)
        if row is not None and row.judge is not None:
            return Calibration.from_json(row.judge)
        return calibration_of(self.encoder, self.gold, pin=self.encoder.read_back())

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
    async def asking(self, targets: Arms) -> AsyncIterator[dict[str, ArmClient]]:
        """Clients of both arms by role, open for the block."""
        async with contextlib.AsyncExitStack() as stack:
            arms: dict[str, ArmClient] = {}
            for role, target in (("blue", targets.blue), ("green", targets.green)):
                arms[role] = await stack.enter_async_context(self.open_arm(target))
            yield arms
