"""Before anything is frozen every figure of live traffic is asked once, for both arms."""

from __future__ import annotations

from switchover.errors import InvariantBroken
from switchover.judge.traffic import AskedFigure
from switchover.steps.switch import Switch


def survey(switch: Switch, *, blue: str, green: str) -> str:
    """What came, in one line. ``InvariantBroken`` for a figure that neither arm has: it would be missed after the flip.

    One that only Green lacks is no fault: Green serves nobody yet.
    """
    asked = switch.signals.survey(arms=[blue, green])
    found: dict[str, list[AskedFigure]] = {}
    for each in asked:
        found.setdefault(each.figure, []).append(each)
    none = [answers[0].line for answers in found.values() if all(each.value is None for each in answers)]
    if none:
        raise InvariantBroken(f"no figure on either arm: {'; '.join(none)}")
    return "; ".join(f"{figure}: {', '.join(map(_told, answers))}" for figure, answers in found.items())


def _told(asked: AskedFigure) -> str:
    value = "none" if asked.value is None else f"{asked.value:g}"
    return f"{asked.arm} {value}{f' ({asked.why})' if asked.why else ''}"
