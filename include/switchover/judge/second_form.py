"""The second form of an absolute bar: not below Blue by more than a margin, where Blue itself does not reach the bar.

A bar such as 0.70 belongs to one gold set, one corpus, one judge encoder. Where what is live does not reach it, it
says nothing of the candidate; that the candidate is no worse does. The comparison is paired by question, and fails
only when its whole interval lies beyond the margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from switchover.judge.accept import Acceptance
from switchover.judge.measure import Floats
from switchover.judge.outcome import Measured, figure, within
from switchover.judge.paired import compare
from switchover.judge.settings import RuleSpec


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """One figure of each question (n_questions,) on both arms."""

    green: Floats
    blue: Floats


def second_form(
    own: Measured, *, seen: Acceptance, spec: RuleSpec, blue: float, margin: float, pairs: Pairs
) -> Measured:
    """The measurement with a bound from Blue's figure ``blue``, at its best, which is beyond the rule's own bound.

    Where Green reaches the rule's own bound in spite of that, nothing changes. Doubt is held against Green twice:
    its strict figure stays the rule's own, and Blue's is taken at its best.
    """
    if within(own.value, spec.comparison, spec.bound) and within(own.strict, spec.comparison, spec.bound):
        return own
    higher = spec.comparison == ">="
    sign = 1 if higher else -1
    result = compare(
        pairs.green,
        pairs.blue,
        questions=seen.both_ways.plain.questions,
        higher_is_better=higher,
        confidence=seen.confidence,
    )
    low, high = (sign * end for end in result.interval)
    told = f"Blue itself has {figure(blue)}, not {spec.comparison} {figure(spec.bound)}: held against Blue"
    return replace(
        own,
        interval=None,
        beyond=max(low, high) < -margin,
        open_needs=result.decided_by(-sign * margin),
        note="; ".join(filter(None, (told, own.note, result.summary))),
        instead=blue - sign * margin,
    )
