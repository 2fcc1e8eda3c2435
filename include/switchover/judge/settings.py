"""The rules of SPEC section 4 as data: what is measured, against which bound, from how much evidence.

A plan may set any of it under the key ``rules:``; what it leaves out has the default that is written here.
One page a rule, with its formula and an example by hand, is in ``docs/rules/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Questions = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """Base of every rule: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DsQuestionRule(Part):
    """Does what Green retrieves lie near the question? Median ΔS on each paraphrase set."""

    accept: Share = Field(default=0.45, description="Highest accepted median ΔS_question, on each paraphrase set.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")


class DsP95DriftRule(Part):
    """Did the bad tail get worse? q(Green) - q(Blue) of ΔS_question."""

    accept: Share = Field(default=0.10, description="Highest accepted drift of the quantile.")
    stop: Share | None = Field(default=0.15, description="Drift above which the hold stops; null: never.")
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = Field(default=0.95, description="The quantile that is compared.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")


class CoverageRule(Part):
    """How much of the gold spans does Green retrieve?"""

    accept: Share = Field(default=0.70, description="Lowest accepted suite coverage.")
    stop: Share | None = Field(default=0.60, description="Coverage below which the hold stops; null: never.")
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")


class CoverageVsBlueRule(Part):
    """Does Green retrieve as much of the gold spans as Blue, question by question?"""

    margin: Share = Field(default=0.02, description="How much less coverage than Blue's is still accepted.")
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")


class FlipRateRule(Part):
    """Does Green cite the same section however a question is put? Share of questions that are not →."""

    accept: Share = Field(default=0.20, description="Highest accepted flip rate; with it, no question may be ×.")
    stop: Share | None = Field(default=0.20, description="Flip rate above which the hold stops; null: never.")
    seeds: Annotated[int, Field(ge=1)] = Field(default=2, description="Seeds that the warm gate must have seen.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")


class FlipsVsBlueRule(Part):
    """Do not more questions flip on Green than on Blue, question by question?"""

    margin: Share = Field(default=0.0, description="How many more flips, as a share of the questions, are accepted.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")


class LatencyP95Rule(Part):
    """Is Green as fast as Blue, asked in the same minutes?"""

    accept: Amount = Field(default=0.15, description="Accepted rise of the p95 over Blue's, as a share: 0.15 is +15 %.")
    stop: Amount | None = Field(default=None, description="Rise above which the hold stops; null: reported only.")
    stage: Literal["retrieve", "rerank", "reason", "total"] = Field(
        default="total", description="The stage that is judged; the others are reported."
    )
    minimum: Questions = Field(default=200, description="Requests per arm below which the verdict is INCONCLUSIVE.")


class ErrorRateRule(Part):
    """Do requests to Green succeed?"""

    accept: Share = Field(default=0.005, description="Highest accepted share of requests without success.")


class Http5xxRule(Part):
    """Does Green's server fail?"""

    accept: Share = Field(default=0.005, description="Highest accepted share of 5xx at the end of the hold.")
    stop: Share | None = Field(default=0.01, description="Share of 5xx above which the hold stops; null: never.")


class ToolLoopsRule(Part):
    """Does Green call the same tool with the same arguments again and again?"""

    accept: Annotated[int, Field(ge=0)] = Field(default=0, description="Tool loops that are accepted.")
    stop: Annotated[int, Field(ge=0)] | None = Field(
        default=0, description="Tool loops above which the hold stops; null: never."
    )


class RollbackPathRule(Part):
    """Was the way back tried, and was it quick enough?"""

    accept: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=120, description="Highest accepted time to restore, in seconds, as the rehearsal measured it."
    )


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


class Rules(Part):
    """Every rule of one plan."""

    ds_question: DsQuestionRule = Field(default_factory=DsQuestionRule, description="ΔS to the question.")
    ds_p95_drift: DsP95DriftRule = Field(default_factory=DsP95DriftRule, description="Drift of the ΔS tail.")
    coverage: CoverageRule = Field(default_factory=CoverageRule, description="Coverage of the gold spans.")
    coverage_vs_blue: CoverageVsBlueRule = Field(
        default_factory=CoverageVsBlueRule, description="Coverage, paired with Blue."
    )
    flip_rate: FlipRateRule = Field(default_factory=FlipRateRule, description="Questions whose citation flips.")
    flips_vs_blue: FlipsVsBlueRule = Field(default_factory=FlipsVsBlueRule, description="Flips, paired with Blue.")
    latency_p95: LatencyP95Rule = Field(default_factory=LatencyP95Rule, description="p95 latency against Blue's.")
    error_rate: ErrorRateRule = Field(default_factory=ErrorRateRule, description="Requests without success.")
    http_5xx: Http5xxRule = Field(default_factory=Http5xxRule, description="5xx of live traffic and probes.")
    tool_loops: ToolLoopsRule = Field(default_factory=ToolLoopsRule, description="Requests with a tool loop.")
    rollback_path: RollbackPathRule = Field(default_factory=RollbackPathRule, description="The rehearsed way back.")
    statistics: Statistics = Field(default_factory=Statistics, description="How sure the judge wants to be.")

    @model_validator(mode="after")
    def _stop_is_looser(self) -> Rules:
        for name in ("ds_p95_drift", "flip_rate", "latency_p95", "http_5xx", "tool_loops"):
            rule = getattr(self, name)
            if rule.stop is not None and rule.stop < rule.accept:
                raise ValueError(
                    f"{name}: stop {rule.stop:g} is below accept {rule.accept:g}; allowed: at least accept"
                )
        if self.coverage.stop is not None and self.coverage.stop > self.coverage.accept:
            raise ValueError(
                f"coverage: stop {self.coverage.stop:g} is above accept {self.coverage.accept:g}; "
                "allowed: at most accept"
            )
        return self

    def table(self) -> tuple[RuleSpec, ...]:
        """The rules as rows of data: first what acceptance asks, then what stops a hold."""
        rows: list[RuleSpec] = []
        for side, entries in (("accept", _ACCEPT), ("stop", _STOP)):
            for name, (measure, comparison, minimum_of) in entries.items():
                rule = getattr(self, name)
                bound = getattr(rule, side) if hasattr(rule, "accept") else rule.margin
                if bound is None:
                    continue
                sign = -1.0 if name == "coverage_vs_blue" else 1.0
                minimum = getattr(rule, "minimum", 1)
                rows.append(
                    RuleSpec(
                        name=name,
                        measure=measure,
                        comparison=comparison,
                        bound=sign * float(bound),
                        side="accept" if side == "accept" else "stop",
                        minimum=minimum,
                        minimum_of=minimum_of,
                    )
                )
        return tuple(rows)


_Entry = tuple[str, Comparison, str]
_DRIFT: _Entry = ("q95(Green) - q95(Blue) of ΔS_question", "<=", "questions")
_LATENCY: _Entry = ("p95(Green) / p95(Blue) - 1", "<=", "requests per arm")
_ACCEPT: dict[str, _Entry] = {
    "ds_question": ("highest median ΔS_question of a paraphrase set", "<=", "questions"),
    "ds_p95_drift": _DRIFT,
    "coverage": ("mean coverage of the answerable questions", ">=", "answerable questions"),
    "coverage_vs_blue": ("mean of coverage(Green) - coverage(Blue) per question", ">=", "answerable questions"),
    "flip_rate": ("share of questions that are not →", "<=", "questions"),
    "flips_vs_blue": ("share of questions that flip on Green only - on Blue only", "<=", "questions"),
    "latency_p95": _LATENCY,
    "error_rate": ("requests without success / requests", "<=", "requests"),
    "http_5xx": ("5xx / requests", "<=", "requests"),
    "tool_loops": ("requests with a tool loop", "<=", "requests"),
    "rollback_path": ("seconds to restore in the rehearsal", "<=", "rehearsals"),
}
_STOP: dict[str, _Entry] = {
    name: _ACCEPT[name] for name in ("ds_p95_drift", "coverage", "flip_rate", "latency_p95", "http_5xx", "tool_loops")
}
RULE_NAMES: tuple[str, ...] = tuple(_ACCEPT)
