"""What the settings of all rules share: how sure the judge wants to be, and one row of the rules table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from switchover.part import Part

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Questions = Annotated[int, Field(ge=1)]


class Statistics(Part):
    """How sure the judge wants to be. These are not thresholds of a rule."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        default=0.95, description="Confidence of every printed interval and of the error rate's bound."
    )
    false_stops: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.01, description="Highest share of holds of an acceptable Green that may be stopped, over all looks."
    )
    window: Annotated[int, Field(ge=1, le=20)] = Field(
        default=3, description="Ticks of the hold that make the figure which is held against a stop bound."
    )
    horizon: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=120, description="Ticks over which the hold watches for a change that begins later (30 min at 15 s)."
    )


Comparison = Literal["<=", ">="]


@dataclass(frozen=True, kw_only=True)
class RuleSpec:
    """One row of the rules table: ``measure comparison bound``; equality passes.

    ``side`` is ``accept`` (warm gate, end of hold) or ``stop`` (during the hold); ``minimum`` counts
    ``minimum_of``.
    """

    name: str
    measure: str
    comparison: Comparison
    bound: float
    side: Literal["accept", "stop"]
    minimum: int
    minimum_of: str
