"""What a rule is: one class in one file, and everything that is known of the rule stands in it.

A subclass has the rule's keys in a plan as fields (`accept` or `margin`, `stop`, `minimum`), the facts below, and up
to four functions: its figure at the acceptance gates, its evidence of harm during a hold, and what ``switchover
power`` says of either. Adding a rule is its file and its line in ``rules/__init__.py``.

A plan imports this: so nothing here, and nothing in a rule's file, loads numpy when it is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, PrivateAttr, model_validator

from switchover.judge.outcome import Harm, Measured, Outcome, Verdict, unmeasured
from switchover.judge.power import Setup, Sufficiency
from switchover.judge.settings import Comparison, RuleSpec, Statistics
from switchover.lazy import lazy
from switchover.part import Part

if TYPE_CHECKING:
    from typing_extensions import Self

    from switchover.judge import accept, stop
    from switchover.judge.accept import Acceptance
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Figures
    from switchover.judge.holdings import Holdings
    from switchover.judge.stop import HoldSoFar
else:
    accept = lazy("switchover.judge.accept")
    stop = lazy("switchover.judge.stop")

FACTS = ("name", "short", "measures", "minimum_of", "first_steps")


class Rule(Part):
    """Base of every rule."""

    name: ClassVar[str]  # as in a plan, a ledger, a report
    short: ClassVar[str]  # one line of the plan's reference
    measures: ClassVar[str]  # what the figure is
    comparison: ClassVar[Comparison] = "<="  # how the figure stands to the bound when all is well
    minimum_of: ClassVar[str]  # what ``minimum`` and a verdict's n count
    compares_with_blue: ClassVar[bool] = False
    paraphrases: ClassVar[int] = 0  # of each question that it needs
    from_probes: ClassVar[bool] = True  # false: from something else, so that asking the arms does not answer it
    from_traffic: ClassVar[bool] = False  # live traffic feeds it too: dead signals are an ERROR
    fed_by: ClassVar[str] = ""  # what answers must say for it: `ds`, `coverage` or `tool_loop` of an evidence row
    false_stop_share: ClassVar[float | None] = None  # of the tolerated false stops; 0: its stop needs no statistics
    not_in_power: ClassVar[str] = ""  # why ``power`` says nothing of it
    first_steps: ClassVar[tuple[str, ...]]  # what people look at first when it has fired

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a rule of which something is not known."""
        super().__pydantic_init_subclass__(**kwargs)
        stops = "stop" in cls.model_fields or cls._has("harm", "judge_hold")
        missing = [fact for fact in FACTS if not getattr(cls, fact, None)]
        if not cls._has("measured", "judge_acceptance"):
            missing.append("measured")
        if stops and not cls._has("harm", "judge_hold"):
            missing.append("harm")
        if not cls.not_in_power and not cls._has("power_to_accept", "power_to_stop"):
            missing.append("power_to_accept, power_to_stop or not_in_power")
        if missing:
            raise TypeError(f"rule {cls.__name__}: says nothing about {', '.join(missing)}")
        if stops and cls.false_stop_share is None:
            raise TypeError(
                f"rule {cls.name}: can stop a hold and has no share of its false stops; "
                "allowed: false_stop_share from 0 to 1 (0: the stop needs no statistics)"
            )

    @classmethod
    def _has(cls, *functions: str) -> bool:
        """Whether the rule brings one of these functions of its own."""
        return any(getattr(cls, function) is not getattr(Rule, function) for function in functions)

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """The bound of one side; ``None``: the rule does not speak there."""
        bound: float | None = getattr(self, side, None)
        return bound

    def spec(self, side: Literal["accept", "stop"]) -> RuleSpec:
        """The rule's row of the rules table; only of a side on which it has a bound."""
        bound = self.bound(side)
        if bound is None:
            raise ValueError(f"rule {self.name}: has no bound to {side}")
        return RuleSpec(
            name=self.name,
            measure=self.measures,
            comparison=self.comparison,
            bound=float(bound),
            side=side,
            minimum=getattr(self, "minimum", 1),
            minimum_of=self.minimum_of,
        )

    def false_stops(self, statistics: Statistics) -> float:
        """The share of holds of an acceptable Green that this rule may stop; all rules together keep the plan's."""
        return statistics.false_stops * (self.false_stop_share or 0.0)

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Whether the rule is asked at this gate."""
        return True

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """May Green go live, may it stay?"""
        spec, evidence, blue = self.spec("accept"), seen.both_ways, self.compares_with_blue
        why = accept.lacking(seen, blue=blue) if self.from_probes else ""
        if why:
            return unmeasured(spec, why)
        return accept.verdict_of(
            spec,
            self.measured(seen),
            gap=evidence.gap(blue=blue) if self.from_probes else "",
            missing=evidence.doubts(blue=blue) if self.from_probes else "",
            dead=seen.traffic.dead if self.from_traffic and seen.traffic else "",
        )

    def measured(self, seen: Acceptance) -> Measured:
        """The figure that is held against the bound of acceptance."""
        raise NotImplementedError(f"rule {self.name}: says neither measured nor judge_acceptance")

    def at_best(self, plain: Figures) -> float | None:
        """The figure of acceptance if Green were perfect from now on; ``None``: it is no mean, so nothing is said."""
        return None

    def by_question(self, plain: Figures) -> tuple[Floats, Floats] | None:
        """The figures (n_questions,) of Green and Blue whose mean difference is judged; ``None``: it is none."""
        return None

    def judge_hold(self, hold: HoldSoFar) -> Verdict:
        """Is Green doing harm now? FAIL means stop now."""
        spec = self.spec("stop")
        why = "" if self.from_traffic else stop.lacking(hold, blue=self.compares_with_blue)
        if why:
            return unmeasured(spec, why)
        return stop.verdict_of(
            spec,
            self.harm(hold),
            false_stops=self.false_stops(hold.statistics),
            missing=hold.recent.doubts(blue=True),
            dead=hold.traffic.dead if self.from_traffic else "",
        )

    def harm(self, hold: HoldSoFar) -> Harm:
        """The recent figure that is held against the stop bound, and the evidence of harm."""
        raise NotImplementedError(f"rule {self.name}: says neither harm nor judge_hold")

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """What the acceptance gates can tell with this setup."""
        return None

    def power_to_stop(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """What a hold can tell with this setup; asked only when the rule has a stop bound."""
        return None


class HoldingsRule(Rule):
    """Base of the rules of what the indexes hold. Counted before the freeze, judged at the warm gate."""

    name = short = measures = minimum_of = not_in_power = "a base"
    first_steps: ClassVar[tuple[str, ...]] = ("",)
    from_probes = False

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Only where the indexes were counted."""
        return getattr(seen, "holdings", None) is not None

    def held(self, seen: Acceptance) -> Holdings:
        """What was counted; the rule is asked only then."""
        assert seen.holdings is not None
        return seen.holdings

    def beside_the_point(self, held: Holdings) -> str:
        """Why there is nothing to judge; empty when there is something."""
        raise NotImplementedError(f"rule {self.name}: says not when it has nothing to judge")

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """See ``Rule``; OFF where there is nothing to judge, ERROR where a store does not say."""
        held = self.held(seen)
        if held.error:
            return unmeasured(self.spec("accept"), held.error)
        if why := self.beside_the_point(held):
            return not_applicable(self, why)
        return super().judge_acceptance(seen)

    def measured(self, seen: Acceptance) -> Measured:
        """See ``Rule``."""
        raise NotImplementedError(f"rule {self.name}: says no figure")


def not_applicable(rule: Rule, why: str) -> Verdict:
    """OFF: the rule has nothing to judge here, and the verdict says why."""
    told = f"not applicable: {why}"
    return Verdict(
        rule=rule.name, outcome=Outcome.OFF, value=None, bound=None, n_of=rule.minimum_of, needs=told, note=told
    )


R = TypeVar("R", bound=Rule)
ALWAYS = ("rollback_path",)  # what no service feeds, and no plan turns off


def listed(rule: type[R]) -> Any:
    """A rule's line in the list: its defaults, and what the plan's reference says of it."""
    return Field(default_factory=rule, description=rule.short)


class RuleList(Part):
    """Rules by name, in their order; ``Rules`` is the list of the product."""

    off: dict[str, Annotated[str, Field(min_length=1, max_length=300)]] = Field(
        default_factory=dict,
        description="Rules that this service cannot feed, each with the reason, which stands in every verdict.",
    )
    _own: tuple[Rule, ...] = PrivateAttr(())

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a list whose rules would together stop more acceptable Greens than a plan tolerates."""
        super().__pydantic_init_subclass__(**kwargs)
        wrong = [f"{kind.__name__} as {name}" for name, kind in cls.kinds().items() if kind.name != name]
        if wrong:
            raise TypeError(f"rules: listed under another name than their own: {', '.join(wrong)}")
        shares = sum(kind.false_stop_share or 0.0 for kind in cls.kinds().values())
        if shares > 1 + 1e-9:
            raise TypeError(f"rules: the shares of false stops add up to {shares:g}; allowed: up to 1 in all")

    @classmethod
    def kinds(cls) -> dict[str, type[Rule]]:
        """Each rule's class, by name."""
        found = ((name, field.annotation) for name, field in cls.model_fields.items())
        return {name: kind for name, kind in found if inspect.isclass(kind) and issubclass(kind, Rule)}

    def beside(self, rules: Sequence[Rule]) -> Self:
        """The same list, followed by rules that are the plan's own: bounds on ``extra`` figures of its signals."""
        found = self.model_copy()
        found._own = tuple(rules)
        return found

    @property
    def each(self) -> list[Rule]:
        """Each rule as this plan sets it, then the plan's own."""
        return [*(getattr(self, name) for name in self.kinds()), *self._own]

    def having(self, side: Literal["accept", "stop"]) -> list[Rule]:
        """The rules that have a bound on one side, and are not off."""
        return [rule for rule in self.each if rule.bound(side) is not None and rule.name not in self.off]

    def turned_off(self, side: Literal["accept", "stop"]) -> list[Verdict]:
        """A verdict that is none, with the plan's reason, for each rule of one side that is off."""
        return [
            Verdict(rule=rule.name, outcome=Outcome.OFF, value=None, bound=None, n_of=rule.minimum_of, needs=reason)
            for rule in self.each
            if rule.bound(side) is not None and (reason := self.off.get(rule.name)) is not None
        ]

    def table(self) -> tuple[RuleSpec, ...]:
        """The rules as rows of data: first what acceptance asks, then what stops a hold."""
        return tuple(rule.spec(side) for side in ("accept", "stop") for rule in self.having(side))

    @model_validator(mode="after")
    def _off_are_rules(self) -> RuleList:
        allowed = [name for name in self.kinds() if name not in ALWAYS]
        for name in self.off:
            if name not in allowed:
                raise ValueError(f"off: {name!r} cannot be turned off; allowed: {', '.join(allowed)}")
        return self

    @model_validator(mode="after")
    def _stop_is_looser(self) -> RuleList:
        for rule in self.having("stop"):
            later, first = rule.bound("stop"), rule.bound("accept")
            if later is None or first is None:
                continue
            if rule.comparison == "<=" and later < first:
                raise ValueError(f"{rule.name}: stop {later:g} is below accept {first:g}; allowed: at least accept")
            if rule.comparison == ">=" and later > first:
                raise ValueError(f"{rule.name}: stop {later:g} is above accept {first:g}; allowed: at most accept")
        return self
