"""Blue against Green on every measure, and the questions that moved most with both arms' hits.

A view for people: it judges nothing. Figures are those of the acceptance rules, question by question: what is
missing on Green counts as failed, Blue's failed probes are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from switchover.compare.segments import Segment, judge_segments
from switchover.judge.analysis import Analysis
from switchover.judge.evidence import ARMS, PARAPHRASES, Evidence, Floats
from switchover.judge.evidence_row import EvidenceRow, Probe
from switchover.judge.figures import Side
from switchover.judge.paired import Comparison, Moved, compare
from switchover.judge.rules import Rules
from switchover.text import finite

HitsOf = Callable[[Sequence[Probe]], Iterable[EvidenceRow]]
RowsOf = Callable[[Sequence[str]], Iterable[EvidenceRow]]

QUALITY = ("flips", "ds_question", "coverage")
WORSE, BETTER = 10, 5  # movers that are kept


class Asked(Protocol):
    """What is known of a question: its paraphrases and its tags."""

    @property
    def paraphrases(self) -> Sequence[str]: ...

    @property
    def tags(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure of every question (n,) on both arms; NaN where there is no figure. ``against_blue`` compares."""

    name: str
    blue: Floats
    green: Floats
    against_blue: Comparison


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A question that moved, and the probe of it that moved most.

    ``change`` is Green - Blue of its trouble (flip + ΔS + 1 - coverage, each in 0..1): positive is worse.
    ``figures`` maps a measure to (Blue, Green); ``cited`` and ``hits`` map an arm to what it cited over all
    its probes, how often, and to what it retrieved for the one probe.
    """

    question: str
    change: float
    figures: Mapping[str, tuple[float, float]]
    probe: Probe | None
    asked: str | None
    cited: Mapping[str, Mapping[str, int]]
    hits: Mapping[str, Sequence[Mapping[str, Any]]]

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "question": self.question,
            "change": self.change,
            "figures": {name: [finite(value) for value in pair] for name, pair in self.figures.items()},
            "probe": dict(zip(("tick", "paraphrase", "seed"), self.probe[1:], strict=True)) if self.probe else None,
            "asked": self.asked,
            "cited": {arm: dict(sections) for arm, sections in self.cited.items()},
            "hits": {arm: list(hits) for arm, hits in self.hits.items()},
        }


@dataclass(frozen=True, kw_only=True)
class ArmsCompared:
    """Everything that sets Green apart from Blue."""

    measures: Sequence[Measure]
    segments: Sequence[Segment]
    movers: Sequence[Mover]
    note: str = ""  # what is missing, and why

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "measures": {measure.name: measure.against_blue.to_json() for measure in self.measures},
            "segments": [segment.to_json() for segment in self.segments],
            "moved": [mover.to_json() for mover in self.movers],
            "note": self.note,
        }


def compare_arms(
    rows: Sequence[EvidenceRow],
    questions: Sequence[str],
    *,
    rules: Rules,
    items: Mapping[str, Asked],
    hits_of: HitsOf,
    wordings: int = PARAPHRASES,
) -> ArmsCompared:
    """Compare both arms over evidence rows of ``questions``; see ``compare_evidence``."""
    return compare_evidence(
        Analysis(Evidence.from_rows(rows, questions, wordings=wordings)),
        rules=rules,
        items=items,
        rows_of=lambda wanted: [row for row in rows if row.question in wanted],
        hits_of=hits_of,
    )


def compare_evidence(
    analysis: Analysis, *, rules: Rules, items: Mapping[str, Asked], rows_of: RowsOf, hits_of: HitsOf
) -> ArmsCompared:
    """Compare both arms over all evidence of a phase.

    ``items`` are the known questions by id: their tags make the segments. ``rows_of`` fetches the rows of some
    questions, ``hits_of`` those with ``hits`` of some probes, for both arms; each is asked once.
    """
    questions, measures = analysis.evidence.questions, measure_arms(analysis, rules=rules)
    tags = [items[question].tags if question in items else {} for question in questions]
    return ArmsCompared(
        measures=measures,
        segments=judge_segments(analysis, tags, rules=rules) if any(tags) else [],
        movers=_movers(questions, measures, items, rows_of, hits_of),
    )


def measure_arms(analysis: Analysis, *, rules: Rules) -> list[Measure]:
    """λ flips, ΔS_question, coverage and latency of each question, paired.

    ``flips``: 1 where the question is not →. ``ds_question`` and ``coverage``: mean over its probes.
    ``ms_<stage>``: median over its probes in milliseconds, of the stage that the latency rule asks for. The
    effect is the mean of the differences, for latency their median.
    """
    figures, stage = analysis.plain, f"ms_{rules.latency_p95.stage}"
    flips_green, flips_blue = figures.flips()
    pairs = {
        "flips": (flips_blue, flips_green),
        "ds_question": (figures.blue.means("ds_question"), figures.green.means("ds_question")),
        "coverage": (figures.blue.coverage, figures.green.coverage),
        stage: (_medians(figures.blue, stage), _medians(figures.green, stage)),
    }
    return [
        Measure(
            name=name,
            blue=blue,
            green=green,
            against_blue=compare(
                green,
                np.where(np.isfinite(blue), blue, np.nan),
                questions=analysis.evidence.questions,
                higher_is_better=name == "coverage",
                confidence=rules.statistics.confidence,
                centre="median" if name == stage else "mean",
            ),
        )
        for name, (blue, green) in pairs.items()
    ]


def of_probes(rows: Iterable[EvidenceRow], probes: Sequence[Probe]) -> list[EvidenceRow]:
    """The rows of some probes, of whichever arm."""
    wanted = set(probes)
    return [row for row in rows if row.probe in wanted]


def trouble(measures: Sequence[Measure]) -> tuple[Floats, Floats]:
    """How bad each question (n,) is on Blue and on Green: flip + ΔS + 1 - coverage, 0 (all well) to 3.

    An unanswerable question has no coverage term; a question without any figure is NaN.
    """
    flips, ds, coverage = (next(m for m in measures if m.name == name) for name in QUALITY)
    blue = flips.blue + ds.blue + np.where(np.isnan(coverage.blue), 0.0, 1 - coverage.blue)
    green = flips.green + ds.green + np.where(np.isnan(coverage.green), 0.0, 1 - coverage.green)
    return blue, green


def _movers(
    questions: Sequence[str],
    measures: Sequence[Measure],
    items: Mapping[str, Asked],
    rows_of: RowsOf,
    hits_of: HitsOf,
) -> list[Mover]:
    blue, green = trouble(measures)
    ordered = compare(green, blue, questions=questions, higher_is_better=False, reach=3.0).moved
    moved = [*[m for m in ordered if m.change > 0][:WORSE], *[m for m in ordered if m.change < 0][:BETTER]]
    of_question: dict[str, list[EvidenceRow]] = {mover.question: [] for mover in moved}
    for row in rows_of(list(of_question)):
        of_question[row.question].append(row)
    probes = {mover.question: _probe(mover, of_question[mover.question]) for mover in moved}
    hits: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = {question: {} for question in of_question}
    for row in hits_of([probe for probe in probes.values() if probe is not None]):
        hits[row.question][row.arm] = row.hits
    where = {question: position for position, question in enumerate(questions)}
    found = []
    for mover in moved:
        probe, at = probes[mover.question], where[mover.question]
        item = items.get(mover.question)
        found.append(
            Mover(
                question=mover.question,
                change=mover.change,
                figures={m.name: (float(m.blue[at]), float(m.green[at])) for m in measures},
                probe=probe,
                asked=_wording(item, probe[2]) if item is not None and probe is not None else None,
                cited={arm: _cited(of_question[mover.question], arm) for arm in ARMS},
                hits=hits[mover.question],
            )
        )
    return found


def _probe(mover: Moved, rows: Sequence[EvidenceRow]) -> Probe | None:
    """The probe that both arms were asked and that moved most the way its question did; the newest of equals."""
    by_probe: dict[Probe, dict[str, EvidenceRow]] = {}
    for row in rows:
        by_probe.setdefault(row.probe, {})[row.arm] = row
    sign = 1 if mover.change > 0 else -1

    def moved(probe: Probe) -> tuple[float, int, int, int]:
        pair = by_probe[probe]
        change = _row_trouble(pair["green"]) - _row_trouble(pair["blue"])
        return sign * change, probe[1], -probe[2], -probe[3]

    return max((probe for probe, pair in by_probe.items() if len(pair) == len(ARMS)), key=moved, default=None)


def _row_trouble(row: EvidenceRow) -> float:
    return row.ds_question + (0.0 if row.coverage is None else 1 - row.coverage)


def _cited(rows: Sequence[EvidenceRow], arm: str) -> dict[str, int]:
    """Sections that an arm cited, most often first."""
    return dict(Counter(row.cited for row in rows if row.arm == arm and row.cited).most_common())


def _medians(side: Side, column: str) -> Floats:
    """Median of each question (n_questions,); NaN without a row, infinite when half of its probes failed."""
    question, values = side["question"], side[column]
    ranked = values[np.lexsort((values, question))]
    count = np.bincount(question, minlength=side.questions)
    first, there = np.cumsum(count) - count, count > 0
    out = np.full(side.questions, np.nan)
    low, high = first + (count - 1) // 2, first + count // 2
    out[there] = (ranked[low[there]] + ranked[high[there]]) / 2
    return out


def _wording(item: Asked, number: int) -> str | None:
    """The paraphrase that was asked; ``None``: the question itself."""
    return item.paraphrases[number] if number < len(item.paraphrases) else None
