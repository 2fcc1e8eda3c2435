"""Blue against Green as text for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from switchover.compare.arms import ArmsCompared, Measure, Mover
from switchover.compare.segments import Segment
from switchover.judge.evidence import ARMS
from switchover.judge.outcome import figure
from switchover.judge.paired import Comparison
from switchover.text import one_line, table

WORSE, BETTER = 5, 2  # movers with their hits; JSON has more
PAIRED = ("effect", "interval", "n", "wins", "ties", "losses")
WIDEST = 60  # characters of a hit, so that two stand side by side


def compared_text(compared: ArmsCompared) -> str:
    """Measures, segments if there are tags, and the questions that moved most with both arms' hits."""
    parts = ["Green against Blue, paired by question (effect: Green - Blue)", _measures(compared.measures)]
    if compared.segments:
        parts += ["\nCoverage by tag (intervals hold for all rows together)", _segments(compared.segments)]
    if compared.note:
        parts.append(compared.note)
    worse = [mover for mover in compared.movers if mover.change > 0]
    better = [mover for mover in compared.movers if mover.change < 0]
    parts += [f"\n{_mover(mover)}" for mover in (*worse[:WORSE], *better[:BETTER])]
    more = len(worse[WORSE:]) + len(better[BETTER:])
    if more:
        parts.append(f"\n{more} more that moved: --json")
    return "\n".join(parts)


def _measures(measures: Sequence[Measure]) -> str:
    rows = [[measure.name, *_paired(measure.against_blue)] for measure in measures]
    return table([["measure", *PAIRED], *rows])


def _segments(segments: Sequence[Segment]) -> str:
    rows = [[f"{s.tag} = {s.value}", s.outcome.value, _known(s.coverage), *_paired(s.against_blue)] for s in segments]
    return table([["tag", "outcome", "coverage", *PAIRED], *rows])


def _paired(found: Comparison) -> list[str]:
    low, high = found.interval
    counts = (found.n, found.wins, found.ties, found.losses)
    return [_known(found.effect), f"{figure(low)} to {figure(high)}", *map(str, counts)]


def _mover(mover: Mover) -> str:
    which = "worse" if mover.change > 0 else "better"
    figures = ", ".join(f"{name} {_known(blue)} -> {_known(green)}" for name, (blue, green) in mover.figures.items())
    lines = [f"{mover.question}: {which} by {figure(abs(mover.change))} ({figures})"]
    if mover.probe is not None:
        _, tick, paraphrase, seed = mover.probe
        asked = one_line(mover.asked or "?", None)
        lines.append(f"  asked (tick {tick}, paraphrase {paraphrase}, seed {seed}): {asked}")
    for arm in ARMS:
        cited = ", ".join(f"{section} ×{count}" for section, count in mover.cited[arm].items())
        lines.append(f"  {arm} cites: {one_line(cited, None) or 'nothing'}")
    hits = [mover.hits.get(arm, ()) for arm in ARMS]
    rows = [[str(rank + 1), *(_hit(of_arm, rank) for of_arm in hits)] for rank in range(max(map(len, hits)))]
    if rows:
        lines += [f"  {line}" for line in table([["rank", *ARMS], *rows]).splitlines()]
    return "\n".join(lines)


def _hit(hits: Sequence[Mapping[str, Any]], rank: int) -> str:
    """``document start-end (section)``."""
    if rank >= len(hits):
        return "-"
    hit = hits[rank]
    text = one_line(f"{hit.get('doc')} {hit.get('start')}-{hit.get('end')} ({hit.get('section_id')})")
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _known(value: float) -> str:
    return "-" if math.isnan(value) else figure(value)
