"""Between the flip and the end of the hold: would Green be accepted now, and can it still be accepted at all?

Pure, from verdicts of the acceptance rules over the evidence so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from switchover.judge.outcome import Outcome, Verdict, figure, within

if TYPE_CHECKING:
    from switchover.judge.figures import Figures
    from switchover.judge.rules import Rules


def standing(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One line: ``would be accepted now: no, because coverage FAIL (0.65, not >= 0.7, ...)``.

    ``verdicts``: those of the acceptance rules as JSON. Empty without any.
    """
    bad = [each for each in verdicts if each.get("outcome") in (Outcome.FAIL.value, Outcome.ERROR.value)]
    open_ends = [str(each.get("rule")) for each in verdicts if each.get("outcome") == Outcome.INCONCLUSIVE.value]
    if not verdicts:
        return ""
    if not bad and not open_ends:
        return "would be accepted now: yes"
    because = [f"{each.get('rule')} {each.get('outcome')} ({_figures(each)})" for each in bad]
    because += [f"not shown yet: {', '.join(open_ends)}"] if open_ends else []
    return f"would be accepted now: no, because {'; '.join(because)}"


def beyond_hope(verdicts: Sequence[Verdict], *, rules: Rules, plain: Figures, made: int, left: float) -> list[str]:
    """Why Green cannot be accepted any more, whatever comes; empty while it can.

    A rule that fails now is held against the best that its figure can be at the end: ``made`` looks as they were and
    ``left`` looks with perfect answers of Green. Rules whose figure is no mean are never beyond hope here.
    """
    found = []
    of = {rule.name: rule for rule in rules.having("accept")}
    for verdict in verdicts:
        best = of[verdict.rule].at_best(plain) if verdict.rule in of else None
        if verdict.outcome is not Outcome.FAIL or best is None or verdict.value is None or verdict.bound is None:
            continue
        end = (verdict.value * made + best * left) / (made + left)
        if not within(end, verdict.comparison, verdict.bound):
            found.append(
                f"{verdict.rule} is {figure(verdict.value)} and will be {figure(end)} at best,"
                f" not {verdict.comparison} {figure(verdict.bound)}"
            )
    return found


def _figures(verdict: Mapping[str, Any]) -> str:
    return str(verdict.get("detail", "")).partition("; ")[0] or "no figure"
