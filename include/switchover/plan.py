"""The plan: everything that is particular to one service's switchover.

A plan is one YAML file. It names connections, never hosts or credentials. Unknown keys are refused,
and every error names file, line, key, what was found and what is allowed (see ``plan_errors``).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from switchover.approval import Gate
from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Asking, Probes, Reader
from switchover.edge.edge import Edge
from switchover.encoders import DEFAULT, AnyEncoder
from switchover.errors import BadInput
from switchover.gold.corpus import Blue, Documents
from switchover.gold.spec import Gold
from switchover.indexes import KINDS as INDEX_KINDS
from switchover.indexes import AnyIndex, Index, IndexSpec
from switchover.indexes.of_arms import build_indexes, check_indexes, sharing
from switchover.indexing.spec import Build
from switchover.judge.rules import Rules
from switchover.notify.parts import Channel
from switchover.part import (
    LEDGER,
    ConnectionId,
    Identifier,
    Key,
    Part,
    at_most,
    at_most_characters,
    connections_in,
    moved_keys,
)
from switchover.pins import canonical_json, check_pin_names, digest
from switchover.pointers import AnyPointer
from switchover.signals import PlanSignals, check_sources, extras_of
from switchover.writers import AnyWriter

#: Keys of a plan that had another name, old and new. Ledgers keep plans for good, so the old names are always read.
RENAMED: tuple[tuple[Key, Key], ...] = (
    (("judge", "context"), ("probes", "context")),
    (("judge",), ("judge_encoder",)),
)


class Warm(Part):
    """The smoke over the gold set before the flip."""

    min_rounds: int = Field(
        3, ge=1, json_schema_extra=at_most(100), description="Rounds over the whole gold set, at least."
    )
    max_rounds: int = Field(
        6, ge=1, json_schema_extra=at_most(100), description="Rounds after which the warm phase ends anyway."
    )
    steady: float = Field(
        0.10, gt=0, json_schema_extra=at_most(1), description="Steady when p95 moved by less than this share."
    )


class Cache(Part):
    """The arms cache answers: warm fills Green's namespace, and canaries prove that no arm serves the other's."""

    popular: str | None = Field(
        None, description="Text file with a popular question a line, relative to the plan; primed after the gold set."
    )


class Hold(Part):
    """The watch after the flip."""

    minutes: float = Field(
        20, gt=0, json_schema_extra=at_most(1440), description="Length; 15 to 30 unless the plan is a sandbox plan."
    )
    max_minutes: float = Field(30, gt=0, json_schema_extra=at_most(1440), description="Length with every extension.")
    tick_s: float = Field(15, gt=0, json_schema_extra=at_most(300), description="Seconds between two looks.")
    on_unaccepted: Literal["rollback", "extend", "ask"] = Field(
        "rollback",
        description="What follows when the end is neither accepted nor a stop: `rollback`, `extend` (a quarter of the"
        " hold more, up to max_minutes) or `ask` (a person decides, no answer is a rollback).",
    )
    on_hopeless: Literal["rollback", "wait"] = Field(
        "rollback",
        description="What follows when Green cannot be accepted any more in what is left of the hold: `rollback` at"
        " once, or `wait` for the end. Where a person decides at the end, the hold always waits.",
    )


class Rollback(Part):
    """What the way back must prove."""

    ttr_s: float = Field(120, gt=0, json_schema_extra=at_most(3600), description="Budget for the time to restore.")


class Rehearsal(Part):
    """When the way back is walked on a shadow pointer, besides in each run's verify."""

    schedule: str | None = Field(None, description="Cron expression of the DAG rehearse__<service>.")
    max_age_h: float = Field(
        168, gt=0, json_schema_extra=at_most(2160), description="A flip is refused when the newest rehearsal is older."
    )


class Retire(Part):
    """How long Blue is kept after Green was promoted."""

    after_h: float = Field(
        72,
        ge=0,
        json_schema_extra=at_most(26_280),
        description="retire__<service> refuses to remove Blue's index before.",
    )


class Plan(Part):
    """One service's switchover."""

    service: Identifier = Field(description="Names the DAG switchover__<service>.")
    description: str = Field("", description="One line for people; shown in Airflow.")
    owner: str = Field("switchover", json_schema_extra=at_most_characters(250), description="Owner shown in Airflow.")
    sandbox: bool = Field(
        False, description="Allows what no other plan may say (docs/rules/index.md). Never in production."
    )
    schedule: str | None = Field(None, description="Cron expression for scheduled runs.")
    asset: str | None = Field(None, description="Asset whose event starts a run, instead of a schedule.")
    start_within_minutes: float = Field(
        60, gt=0, le=1440, description="A run that begins later than this after it was due is skipped."
    )
    ledger: ConnectionId = Field(LEDGER, description="PostgreSQL connection of the ledger.")
    lease_s: float = Field(
        10,
        ge=2,
        json_schema_extra=at_most(60),
        description="Life of the pointer's lease while a step or the hold works; renewed every third of it.",
    )
    handover_s: float = Field(
        60,
        ge=2,
        json_schema_extra=at_most(300),
        description="Life of the lease between two steps: how long a start may take.",
    )
    watchdog: Literal["required", "optional"] = Field(
        "optional", description="`required`: nothing is flipped without a watchdog that has just looked at the ledger."
    )
    pointer: AnyPointer
    readers: list[Reader] = Field(
        default_factory=list,
        description="Every reader that must follow the pointer. None: the pointer's own read-back, the weaker proof.",
    )
    converge_s: float = Field(
        30, gt=0, json_schema_extra=at_most(3600), description="Seconds until every reader must have followed."
    )
    index: AnyIndex
    build: Build | None = Field(None, description="How an arm's index is built; see below and docs/build.md.")
    asking: Asking | None = Field(
        None, description="How every arm is asked and what its answers mean; see docs/your-own-service.md."
    )
    arms: dict[str, Arm] = Field(min_length=2, description="The arms by target name.")
    green: str = Field(description="The candidate; must be one of the arms.")
    changes: list[str] = Field(default_factory=list, description="Pins that may differ between the arms.")
    pins: list[str] = Field(
        default_factory=list, description="Pins that each arm must have, besides INDEX_HASH and EMBED_SCHEMA."
    )
    secrets: list[str] = Field(default_factory=list, description="Secrets that each arm must report present.")
    writers: list[AnyWriter] = Field(default_factory=list, description="What is frozen while the pointer moves.")
    signals: PlanSignals = Field(
        description="Figures of live traffic; a list where they come from several stores, each figure from one."
    )
    gold: Gold
    judge_encoder: AnyEncoder = Field(
        default_factory=DEFAULT,
        description="The one encoder that measures both arms; its keys are those of `build.encoder`.",
    )
    probes: Probes = Field(default_factory=Probes)
    warm: Warm = Field(default_factory=Warm)
    cache: Cache | None = Field(None, description="What the switchover does about cached answers; see docs/cache.md.")
    hold: Hold = Field(default_factory=Hold)
    rollback: Rollback = Field(default_factory=Rollback)
    rehearsal: Rehearsal = Field(default_factory=Rehearsal)
    retire: Retire = Field(default_factory=Retire)
    rules: Rules = Field(default_factory=Rules)
    approve: list[Gate] = Field(default_factory=list, description="Where people decide; see docs/approvals.md.")
    approvers: Literal[1, 2] = Field(1, description="How many different persons must approve.")
    approve_minutes: float = Field(30, gt=0, le=720, description="How long people have; no answer is the safe end.")
    notify: list[Channel] = Field(default_factory=list, description="Who is told of what; see docs/notifications.md.")
    evidence: str = Field(
        "evidence",
        description="Where evidence bundles go: folder (below AIRFLOW_HOME unless absolute) or object prefix.",
    )

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, data: Any) -> Any:
        return renamed(data)[0]

    @field_validator("changes", "pins")
    @classmethod
    def _known_pins(cls, value: list[str]) -> list[str]:
        check_pin_names(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        if self.green not in self.arms:
            raise ValueError(f"green: {self.green!r} is not an arm; allowed: {', '.join(self.arms)}")
        for name in self.arms:
            self.shape(name)
        self.pointer.check_arms(self.arms)
        self._check_indexes()
        self.gold.check(self._blue)
        if self.schedule and self.asset:
            raise ValueError("schedule and asset: only one of the two may start runs")
        names = [writer.name for writer in self.writers]
        if len(set(names)) < len(names):
            raise ValueError(f"writers: names must differ; found {', '.join(names)}")
        if self.warm.max_rounds < self.warm.min_rounds:
            raise ValueError("warm: max_rounds is below min_rounds")
        if Gate.ON_UNACCEPTED in self.approve and self.hold.on_unaccepted == "extend":
            raise ValueError("approve: on_unaccepted asks a person, hold.on_unaccepted extends; allowed: one of them")
        self.check_hold(self.hold.minutes)
        check_sources(self.signals)
        self.__dict__["rules"] = self.rules.beside([extra.rule for extra in extras_of(self.signals)])
        return self

    def _check_indexes(self) -> None:
        own = [name for name, arm in self.arms.items() if arm.index is not None]
        self.index.check_arms([name for name in self.arms if name not in own])
        check_indexes(self._indexes, own=own, may_share=bool(self.changes))
        if self.build is not None:
            if not any(spec.buildable for spec in self._indexes.values()):
                allowed = ", ".join(kind for kind, spec in INDEX_KINDS.items() if spec.buildable)
                raise ValueError(f"build: indexes of kind {self.index.kind!r} are not built here; allowed: {allowed}")
            self.build.check_arms(self.arms)

    @property
    def _indexes(self) -> dict[str, IndexSpec]:
        return {name: arm.index or self.index for name, arm in self.arms.items()}

    @property
    def _blue(self) -> Blue:
        return Blue.of(self._indexes, green=self.green)

    def corpus(self, edge: Edge) -> Documents | None:
        """The source texts that the gold set's answers stand in; ``None``: the plan names none. No I/O."""
        return None if self.gold.corpus is None else self.gold.corpus.build(edge, self._blue)

    def index_of(self, arm: str) -> IndexSpec:
        """Where the arm's index is."""
        return self._indexes[arm]

    def sharing(self, arm: str) -> list[str]:
        """The other arms whose index is this very one, by the names that the plan gives."""
        return sharing(self._indexes, arm)

    def indexes(self, edge: Edge) -> Index:
        """The indexes of all arms, with clients from the edge. No I/O."""
        return build_indexes(self._indexes, edge)

    def shape(self, arm: str) -> Shape:
        """How an arm is asked and what its answers mean; ``ValueError`` names the key that is wrong."""
        spec = self.arms[arm]
        try:
            return Shape.of(arm, spec, self.asking)
        except ValueError as error:
            own = spec.asking is not None or str(error).startswith("ready:")
            raise ValueError(f"arms.{arm}.{error}" if own else str(error)) from None

    def asks(self, gate: Gate) -> bool:
        """Whether a person decides there."""
        return gate in self.approve or (gate is Gate.ON_UNACCEPTED and self.hold.on_unaccepted == "ask")

    def require_arm(self, name: str, *, key: str = "arm") -> None:
        """``BadInput`` when there is no arm of this name, which was given as ``key``."""
        if name not in self.arms:
            raise BadInput(f"{key}: {name!r} is not an arm of plan {self.service!r}; allowed: {', '.join(self.arms)}")

    def check_hold(self, minutes: float) -> None:
        """Refuse a hold that only a sandbox may have."""
        if not self.sandbox and not 15 <= minutes <= 30:
            raise ValueError(
                f"hold.minutes: found {minutes:g}; allowed: 15 to 30 (any length only with `sandbox: true`)"
            )
        if minutes > self.hold.max_minutes:
            raise ValueError(f"hold.minutes: found {minutes:g}; allowed: up to max_minutes {self.hold.max_minutes:g}")

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's meaning; comments and order do not change it."""
        return digest(self.model_dump(mode="json"))

    def to_json(self) -> str:
        """The plan as the ledger keeps it."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def connections(self) -> list[str]:
        """Every connection id that a run needs, sorted."""
        return sorted(connections_in(self.model_copy(update={"notify": []})))

    @property
    def channels(self) -> list[str]:
        """Every connection id that only telling people needs, sorted; a run does not fail for want of one."""
        return sorted(set().union(*map(connections_in, self.notify)) - set(self.connections))


def renamed(data: Any) -> tuple[Any, list[tuple[Key, Key]]]:
    """A plan's data with the names of now, and what was renamed: old key, new key."""
    return moved_keys(data, RENAMED)


def plan_schema() -> dict[str, Any]:
    """JSON Schema of a plan file, for editors."""
    schema = Plan.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Switchover plan"
    return schema
