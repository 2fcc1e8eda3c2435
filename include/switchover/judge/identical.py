"""What a gold set tells beside a service's own noise: Blue against itself, with other luck. Pure.

Both arms of the evidence are Blue. Which answer was called Green's is then chance, question by question: so the names
are drawn anew, many times, and each time it is judged what a Green gets that is Blue. Beside that noise a comparison
shows a loss from some size on; ``power`` works out the same for no noise at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from switchover.judge import measure, power
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.figures import Figures
from switchover.judge.outcome import Outcome, Verdict
from switchover.judge.rules import Rules
from switchover.text import finite

DRAWS = 40
OTHER = {"blue": "green", "green": "blue"}


@dataclass(frozen=True, kw_only=True)
class Identical:
    """What one rule says of a Green that is Blue.

    ``passes``: the share of draws in which it passes. ``worst``: the figure within which ``power.CAUGHT`` of them stay.
    Of a comparison by the mean of ``questions`` also ``spread``, how far Blue's own figure of a question moves (its
    standard deviation), and ``shows``: the loss, the same on every question, from which on it fails with that chance;
    ``None`` where no loss is shown. ``needs``: why it did not pass as it was asked.
    """

    rule: str
    passes: float
    worst: float | None
    bound: float | None
    questions: int | None
    spread: float | None
    shows: float | None
    needs: str

    @property
    def enough(self) -> bool:
        """Whether a Green that is Blue passes nearly always."""
        return self.passes >= power.CAUGHT

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {**vars(self), "enough": self.enough}


def identical(
    rows: Sequence[EvidenceRow], plain: Figures, *, rules: Rules, judged: Callable[[list[EvidenceRow]], list[Verdict]]
) -> list[Identical]:
    """What each rule says, from rows of which both arms are Blue, and their figures; ``judged`` judges rows."""
    asked = [verdict for verdict in judged(list(rows)) if verdict.outcome is not Outcome.OFF]
    draws = [{verdict.rule: verdict for verdict in judged(drawn(rows, seed))} for seed in range(DRAWS)]
    return [_of(verdict, [draw[verdict.rule] for draw in draws], plain, rules) for verdict in asked]


def drawn(rows: Sequence[EvidenceRow], seed: int) -> list[EvidenceRow]:
    """The rows with the arms' names exchanged, or not, as a coin says for each question."""
    names = sorted({row.question for row in rows})
    coins = dict(zip(names, np.random.default_rng(seed).random(len(names)) < 0.5, strict=True))
    return [replace(row, arm=OTHER[row.arm]) if coins[row.question] else row for row in rows]


def _of(asked: Verdict, draws: Sequence[Verdict], plain: Figures, rules: Rules) -> Identical:
    higher = asked.comparison == ">="
    values = np.array([draw.value for draw in draws if draw.value is not None and not math.isnan(draw.value)])
    worst = float(measure.quantile(values, 1 - power.CAUGHT if higher else power.CAUGHT)) if len(values) else None
    pair = getattr(rules, asked.rule).by_question(plain)
    loss = None if pair is None else (pair[1] - pair[0] if higher else pair[0] - pair[1])
    loss = None if loss is None else loss[~np.isnan(loss)]
    return Identical(
        rule=asked.rule,
        passes=float(np.mean([draw.outcome is Outcome.PASS for draw in draws])),
        worst=finite(worst),
        bound=asked.bound,
        questions=None if loss is None else len(loss),
        spread=float(loss.std()) if loss is not None and len(loss) else None,
        shows=None if loss is None else power.loss_shown(loss, abs(asked.bound or 0.0), rules.statistics.confidence),
        needs="" if asked.outcome is Outcome.PASS else asked.needs or asked.note,
    )
