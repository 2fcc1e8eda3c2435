"""The judge encoder is held against the gold set before it judges anything; see ``judge.calibration``."""

from __future__ import annotations

import numpy as np

from switchover.encoders import Encoder
from switchover.gold.goldset import GoldSet
from switchover.judge import measure
from switchover.judge.calibration import Calibration, calibrate


def calibration_of(encoder: Encoder, gold: GoldSet, *, pin: str) -> Calibration:
    """What an encoder is worth as the judge on a gold set. ``pin``: by what it is known again.

    Questions without an answer, or whose answer has no text, are left out.
    """
    rows = [row for row, item in enumerate(gold.items) if item.answerable and gold.anchors[row].strip()]
    items, anchors = [gold.items[row] for row in rows], [gold.anchors[row] for row in rows]
    asked = [list(item.paraphrases) or [item.question] for item in items]
    wordings = min(map(len, asked), default=0)
    decoys = [gold.decoys[row] if gold.decoys else () for row in rows]
    answers = encoder.encode(anchors)
    ds = np.zeros((wordings, len(rows), len(rows)))
    near = np.full((wordings, len(rows), max(map(len, decoys), default=0)), np.nan)
    at = [(row, column) for row, texts in enumerate(decoys) for column in range(len(texts))]
    alike = encoder.encode([decoys[row][column] for row, column in at])
    for wording in range(wordings):
        questions = encoder.encode([texts[wording] for texts in asked], query=True)
        for column, answer in enumerate(answers):
            ds[wording, :, column] = measure.delta_s(questions, answer)
        if at:
            to = [row for row, _ in at]
            near[wording, to, [column for _, column in at]] = measure.delta_s(questions[to], alike)
    same = np.array([[_overlap(gold, one, other) for other in rows] for one in rows]).reshape(len(rows), len(rows))
    judge = {"name": encoder.name, "revision": encoder.revision, "dimension": encoder.dimension, "pin": pin}
    return calibrate(ds, same, [item.tags for item in items], judge=judge, gold=gold.digest, decoys=near)


def _overlap(gold: GoldSet, one: int, other: int) -> bool:
    """Whether two questions are answered by the same text, or by places that overlap."""
    if gold.anchors[one].strip() == gold.anchors[other].strip():
        return True
    return any(
        a.doc == b.doc and a.start < b.end and b.start < a.end for a in gold.spans[one] for b in gold.spans[other]
    )
