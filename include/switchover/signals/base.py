"""What a metrics store must answer, and what a plan must say of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field, field_validator, model_validator

from switchover.judge.extra import ExtraRule
from switchover.part import ConnectionId, Identifier, Part, at_most

if TYPE_CHECKING:
    from switchover.edge.edge import Edge
    from switchover.judge.traffic import AskedFigure, Dead, SignalSample
    from switchover.signals.source import Source

Stage = Literal["retrieve", "rerank", "reason", "total"]
#: The counts that a plan must have, all from one source: without them there is no share of failures.
REQUIRED = ("requests", "errors_5xx", "failures")
#: Counts that are shown at each look; a plan may leave out any of them.
SHOWN = ("tool_calls", "tool_successes", "side_effects", "dedupe_hits", "cost")
COUNTS = (*REQUIRED, "tool_loops", *SHOWN)
P95 = "p95_ms"
CountName = Literal[
    "requests",
    "errors_5xx",
    "failures",
    "tool_loops",
    "tool_calls",
    "tool_successes",
    "side_effects",
    "dedupe_hits",
    "cost",
]


class Signals(Protocol):
    """Figures of live traffic from a metrics store."""

    def query(self, *, arm: str, since: datetime, until: datetime) -> SignalSample | Dead:
        """What arm ``arm`` served in [since, until), as the live one: what failed without an arm counts against it.

        ``Dead`` when the store holds no fresh figures to trust. Probes of the switchover are not traffic.
        """
        ...

    def is_online(self, *, arm: str | None = None) -> str | None:
        """``None`` when there is fresh live traffic (of ``arm``, if given); otherwise what is wrong, in one line."""
        ...

    def first_error(self, *, arm: str, since: datetime) -> datetime | None:
        """When arm ``arm`` first answered with a 5xx since then; ``None`` also where the store cannot tell."""
        ...

    def survey(self, *, arms: Sequence[str]) -> list[AskedFigure]:
        """Every figure of the plan, asked once for each of ``arms``."""
        ...


class Extra(Part):
    """A figure of the plan's own, with its bounds: judged on Green like a rule, under the name `extra_<name>`."""

    name: Identifier = Field(description="Names the rule extra_<name>.")
    query: Any = Field(description="What brings the figure: one number, as it is now.")
    accept: float = Field(allow_inf_nan=False, description="Accepted at the end of the hold; equality passes.")
    stop: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Beyond it in every look of the newest window the hold stops; null: never.",
    )
    direction: Literal["<=", ">="] = Field("<=", description="How a good figure stands to its bounds.")

    @model_validator(mode="after")
    def _stop_is_looser(self) -> Extra:
        worse = self.stop is not None and (self.stop < self.accept) == (self.direction == "<=")
        if worse and self.stop != self.accept:
            raise ValueError(f"stop {self.stop:g} is on the good side of accept {self.accept:g}; allowed: beyond it")
        return self

    @property
    def rule(self) -> ExtraRule:
        """The rule that judges it."""
        return ExtraRule(figure=self.name, accept=self.accept, stop=self.stop, direction=self.direction)


class SignalsSpec(Part, ABC):
    """A metrics store's part of the plan. Each has a ``kind``."""

    if TYPE_CHECKING:
        kind: str  # each says which word
        extra: Sequence[Extra]

    connection: ConnectionId = Field(description="Connection to the metrics store.")
    only: list[CountName | Literal["p95_ms"]] | None = Field(
        None,
        description="Take these figures from here alone; null: all that there are. For plans with several sources.",
    )

    @property
    @abstractmethod
    def has(self) -> Collection[str]:
        """The figures that there are: names of ``COUNTS``, and ``p95_ms``."""

    @property
    def gives(self) -> list[str]:
        """The figures that the plan takes from here."""
        return [name for name in self.has if self.only is None or name in self.only]

    @property
    def step_s(self) -> float:
        """Seconds between two figures of the store; a look more often than that sees nothing new."""
        return 0.0

    @property
    def lag_s(self) -> float:
        """Seconds after which the store's figures of a moment are complete."""
        return 0.0

    @abstractmethod
    def build(self, edge: Edge, *, arms: Collection[str]) -> Source:
        """The store, with clients from the edge. ``arms`` are the plan's. No I/O."""


class StoreSpec(SignalsSpec):
    """What all stores share that are asked figure by figure."""

    arms: Mapping[str, str] = Field(
        default_factory=dict,
        description="What `{arm}` stands for in a query, by arm; without it the arm's own name.",
    )
    stale_s: float | None = Field(
        None,
        gt=0,
        json_schema_extra=at_most(3600),
        description="The store is dead when its newest figure is older than this; null: four steps and the lag.",
    )

    @property
    def stale(self) -> float:
        """Seconds; see ``stale_s``."""
        return self.stale_s if self.stale_s is not None else 4 * self.step_s + self.lag_s

    @field_validator("arms")
    @classmethod
    def _distinct(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if len(set(value.values())) < len(value):
            raise ValueError("two arms have the same word; allowed: another word for each arm")
        return value

    def word_of(self, arm: str) -> str:
        """What ``{arm}`` stands for."""
        return self.arms.get(arm, arm)
