"""Where a plan asks less than the contract (the defaults of rules and parts), and what no plan may ask so little of.

Pure: a plan in, words out. Departures are shown wherever verdicts are; below the floors it would be no switchover any
more, so only a sandbox plan may go there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from switchover.text import counted

if TYPE_CHECKING:
    from pydantic import BaseModel

    from switchover.judge.rules.base import Rule
    from switchover.plan import Plan

Problem = tuple[tuple[int | str, ...], str]
Side = Literal["accept", "stop"]
SIDES: tuple[Side, ...] = ("accept", "stop")
KEYS: Mapping[Side, Sequence[str]] = {"accept": ("accept", "margin"), "stop": ("stop", "silent_windows")}

LESS_IS_LOOSER = (
    "minimum",
    "seeds",
    "quantile",
    "confidence",
    "false_stops",
)  # fewer false stops ask for more proof of harm
MORE_IS_LOOSER = ("margin", "silent_windows", "window", "horizon", "max_minutes", "ttr_s", "max_age_h")
#: What is compared besides the rules: key of the plan, and which of its keys.
PARTS: Mapping[str, Sequence[str]] = {
    "hold": ("max_minutes",),
    "rollback": ("ttr_s",),
    "rehearsal": ("max_age_h",),
    "probes": ("seeds",),
    "gold": ("minimum",),
}
SHORTEST, LONGEST = 15, 30  # minutes of a hold
TTR_S = 120
FEWEST = 10  # questions: fewer say nothing of a service


def departures(plan: Plan) -> list[str]:
    """Each bound that is looser than the contract, and each proof that is weaker: its key, what the plan says and what
    the contract says."""
    found = [f"rules.{each}" for rule in _judged(plan) for each in _looser(rule, rule.name, rule.comparison)]
    found += [f"rules.{each}" for each in _looser(plan.rules.statistics, "statistics")]
    for name, keys in PARTS.items():
        found += _looser(getattr(plan, name), name, only=keys)
    if plan.hold.minutes < SHORTEST:
        found.append(f"hold.minutes {plan.hold.minutes:g} (contract: {SHORTEST} to {LONGEST})")
    return [*found, *_proofs(plan)]


def _proofs(plan: Plan) -> Iterator[str]:
    """What cannot be seen of this service, so that something weaker stands for it."""
    if not plan.readers:
        yield "readers: none, the pointer is read back alone (contract: every reader is asked)"
    for name in [reader.name for reader in plan.readers if reader.index_hash is None]:
        yield f"readers: {name!r} says its arm and no build (contract: INDEX_HASH)"
    shapes = {name: plan.shape(name) for name in plan.arms}
    for names, told in (
        (
            [n for n, s in shapes.items() if not s.says_arm],
            "told apart by address (contract: each answer says its arm)",
        ),
        ([n for n, s in shapes.items() if s.report_call() is None], "not asked what they are (contract: a report)"),
        ([n for n, s in shapes.items() if not s.cites], "cite nothing, the first hit is taken (contract: citations)"),
    ):
        if names:
            yield f"arms {', '.join(names)}: {told}"
    for name, arm in plan.arms.items():
        if arm.promised:
            yield f"arms {name}: promises {', '.join(arm.promised)} (contract: read from manifest or report)"


def departed(found: Sequence[str]) -> str:
    """The same in one line; empty when there is none."""
    if not found:
        return ""
    are = "is" if len(found) == 1 else "are"
    return f"{counted(len(found), 'point')} {are} looser than the contract: {'; '.join(found)}"


def floors(plan: Plan) -> Iterator[Problem]:
    """What only a sandbox plan may say, each with the place of its key."""
    for rule in _judged(plan):
        for side in SIDES:
            if _boundless(rule, side):
                key = next(each for each in KEYS[side] if each in type(rule).model_fields)
                found = _word(getattr(rule, key))
                yield ("rules", rule.name, key), _only(found, "a bound that a bad Green can be beyond")
    if plan.hold.max_minutes > LONGEST:
        yield ("hold", "max_minutes"), _only(f"{plan.hold.max_minutes:g}", f"up to {LONGEST}")
    if plan.gold.minimum < FEWEST:
        yield ("gold", "minimum"), _only(f"{plan.gold.minimum}", f"from {FEWEST}")
    if plan.rollback.ttr_s > TTR_S:
        yield ("rollback", "ttr_s"), _only(f"{plan.rollback.ttr_s:g}", f"up to {TTR_S}")
    if plan.rules.rollback_path.accept > TTR_S:
        yield ("rules", "rollback_path", "accept"), _only(f"{plan.rules.rollback_path.accept:g}", f"up to {TTR_S}")


def _judged(plan: Plan) -> list[Rule]:
    """The contract's rules that the plan has not turned off; those are listed in every verdict by themselves."""
    off, contract = getattr(plan.rules, "off", {}), plan.rules.kinds()
    return [rule for rule in plan.rules.each if rule.name in contract and rule.name not in off]


def _looser(part: BaseModel, name: str, comparison: str = "<=", *, only: Sequence[str] = ()) -> Iterator[str]:
    """The keys of a part that ask less than its defaults do."""
    for key, field in type(part).model_fields.items():
        usual = field.get_default(call_default_factory=True, validated_data={})
        value = getattr(part, key)
        if (not only or key in only) and value != usual and _is_looser(key, value, usual, comparison):
            yield f"{name}.{key} {_word(value)} (contract: {_word(usual)})"


def _is_looser(key: str, value: Any, usual: Any, comparison: str) -> bool:
    if usual is None:
        return False  # the contract asks nothing there
    if value is None or not isinstance(value, int | float) or isinstance(value, bool):
        return True  # no bound any more, or something else is judged
    if key in LESS_IS_LOOSER or (key not in MORE_IS_LOOSER and comparison == ">="):
        return bool(value < usual)
    return bool(value > usual)


def _boundless(rule: Rule, side: Side) -> bool:
    """Whether a rule whose default has a bound on this side has none, or a share that nothing is beyond."""
    usual, bound = type(rule)().bound(side), rule.bound(side)
    if usual is None or bound is None:
        return usual is not None
    if float(usual).is_integer() and "margin" not in type(rule).model_fields:
        return False  # a count, or seconds
    backwards = rule.comparison == ">=" and usual > 0
    return bound <= 0 if backwards else abs(bound) >= 1


def _word(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def _only(found: str, allowed: str) -> str:
    return f"found {found}; allowed: {allowed} (anything only with `sandbox: true`)"
