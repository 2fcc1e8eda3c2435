"""A verdict: what was measured, against what, how sure, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from switchover.judge.settings import Comparison, RuleSpec
from switchover.text import finite

if TYPE_CHECKING:
    from switchover.judge.intervals import Interval

T = TypeVar("T")
SLACK = 1e-9  # equality passes, also where a sum of thirds misses it by a rounding


class Outcome(str, Enum):
    """PASS, FAIL, INCONCLUSIVE (too little evidence to tell) or ERROR (could not measure).

    OFF is none of them: the plan has turned the rule off, and says why.
    """

    PASS = "PASS"  # noqa: S105  (a verdict, no password)
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    FAIL = "FAIL"
    OFF = "OFF"

    def __str__(self) -> str:
        return self.value


ORDER = tuple(outcome for outcome in Outcome if outcome is not Outcome.OFF)  # from best to worst
RANKS = {outcome.value: rank for rank, outcome in enumerate(ORDER)}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one rule says.

    ``margin`` is the room that is left to the bound: negative when the value is beyond it. ``interval`` is
    the range that the evidence allows, ``n`` counts ``n_of``. ``needs`` says what would decide an open
    verdict; ``detail`` is the whole in one line for people.
    """

    rule: str
    outcome: Outcome
    value: float | None
    bound: float | None
    comparison: Comparison = "<="
    interval: Interval | None = None
    n: int = 0
    n_of: str = "questions"
    needs: str = ""
    note: str = ""

    @property
    def margin(self) -> float | None:
        """Room between value and bound; ``None`` when there is no value."""
        if self.value is None or self.bound is None or math.isnan(self.value):
            return None
        return self.bound - self.value if self.comparison == "<=" else self.value - self.bound

    @property
    def detail(self) -> str:
        """One line: value, bound, interval, n, and why or what would decide it."""
        if self.outcome is Outcome.OFF:
            return self.note or f"off by the plan's word: {self.needs}"
        parts = []
        if self.value is not None and self.bound is not None:
            parts.append(f"{figure(self.value)} {self.comparison} {figure(self.bound)}")
            if not within(self.value, self.comparison, self.bound):
                parts[0] = f"{figure(self.value)}, not {self.comparison} {figure(self.bound)}"
        if self.interval is not None:
            parts.append(f"interval {figure(self.interval[0])} to {figure(self.interval[1])}")
        parts.append(f"n = {self.n} {self.n_of}")
        return "; ".join([", ".join(parts), *filter(None, (self.note, self.needs))])

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; what is not a finite number becomes null."""
        return {
            "rule": self.rule,
            "outcome": self.outcome.value,
            "value": finite(self.value),
            "bound": finite(self.bound),
            "comparison": self.comparison,
            "margin": finite(self.margin),
            "interval": [finite(end) for end in self.interval] if self.interval is not None else None,
            "n": self.n,
            "n_of": self.n_of,
            "needs": self.needs,
            "detail": self.detail,
        }

    @staticmethod
    def body_of(stored: object) -> dict[str, Any]:
        """What :meth:`to_json` wrote, read back: a key that is missing (an older version, half-written) is empty."""
        empty = Verdict(rule="", outcome=Outcome.ERROR, value=None, bound=None).to_json()
        return {**empty, "detail": "", **(stored if isinstance(stored, dict) else {})}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A rule's figure before its verdict. ``strict`` is the same figure with all doubt against Green.

    ``beyond``: whether it fails (``None``: when the value is not within the bound). ``blocked``: why it
    may not pass whatever the figure. ``open_needs`` and ``strict_needs``: what would decide it when the
    value, or only the strict one, is not within the bound. ``instead``: a bound in the place of the rule's own.
    """

    value: float
    strict: float
    n: int
    interval: Interval | None = None
    beyond: bool | None = None
    blocked: str = ""
    open_needs: str = ""
    strict_needs: str = ""
    note: str = ""
    also_fails: str = ""
    instead: float | None = None


@dataclass(frozen=True, kw_only=True)
class Harm:
    """What a stop rule sees: the recent figure both ways, and the evidence (log) that Green is not acceptable.

    ``instead``: a bound in the place of the rule's own.
    """

    value: float
    strict: float
    evidence: float
    n: int
    note: str = ""
    unseen: str = ""
    instead: float | None = None


def conclude(*, fails: bool, error: str = "", doubts: Iterable[str] = ()) -> tuple[Outcome, str]:
    """The one place where PASS and FAIL are said: the outcome, and what would decide it.

    FAIL when harm is shown, whatever else is missing. ERROR when there is no figure to trust: ``error`` says
    why. INCONCLUSIVE when a doubt is left (an empty one is none): the first is told. PASS otherwise.
    """
    if fails:
        return Outcome.FAIL, ""
    if error:
        return Outcome.ERROR, error
    doubt = next(filter(None, doubts), "")
    return (Outcome.INCONCLUSIVE, doubt) if doubt else (Outcome.PASS, "")


def unmeasured(spec: RuleSpec, why: str, outcome: Outcome = Outcome.ERROR) -> Verdict:
    """There is nothing to measure."""
    return Verdict(
        rule=spec.name,
        outcome=outcome,
        value=None,
        bound=spec.bound,
        comparison=spec.comparison,
        n_of=spec.minimum_of,
        needs=why,
    )


def worst(verdicts: Sequence[Verdict]) -> Outcome:
    """The worst outcome: FAIL, then ERROR, INCONCLUSIVE, PASS. No verdict at all is INCONCLUSIVE, never PASS.

    A rule that is off says nothing.
    """
    said = (verdict.outcome for verdict in verdicts if verdict.outcome is not Outcome.OFF)
    return max(said, key=ORDER.index, default=Outcome.INCONCLUSIVE)


def decisive(verdicts: Sequence[T], outcome_of: Callable[[T], str]) -> list[T]:
    """What a reason names: the rules that failed; only if none did, those that did not pass, worst first."""
    bad = [verdict for verdict in verdicts if outcome_of(verdict) not in (Outcome.PASS.value, Outcome.OFF.value)]
    bad.sort(key=lambda verdict: RANKS.get(outcome_of(verdict), RANKS["ERROR"]), reverse=True)
    return [verdict for verdict in bad if outcome_of(verdict) == Outcome.FAIL.value] or bad


def within(value: float, comparison: Comparison, bound: float) -> bool:
    """Whether ``value comparison bound`` holds; equality does, NaN does not."""
    return value <= bound + SLACK if comparison == "<=" else value >= bound - SLACK


def figure(value: float) -> str:
    """A number for people: four digits, no trailing noise."""
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A share for people: ``0.5 %``."""
    return f"{100 * share:.4g} %"
