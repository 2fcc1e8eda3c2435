"""Can the judge encoder read this gold set, and which bound on ΔS belongs to it? (SPEC section 3)

0.45 was set for the bundled English encoder; nine of ten right answers of the reference gold set lie within it. Another
encoder has another scale. So each is held against the gold set first: the ΔS of a question to its own answer (right)
beside those to other questions' answers and to its decoys (wrong). AUC is the chance that a right one is smaller than a
wrong one. Below ``LEAST_AUC`` the encoder is blind here, and its ΔS says nothing. Else its bound is where ``SHARE`` of
the right ones pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from switchover.judge.outcome import figure
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]
else:
    np = lazy("numpy")

LEAST_AUC = 0.95
SHARE = 0.9  # of the right answers that pass
FEWEST = 10  # questions with an answer below which nothing is told
FEWEST_OF_TAG = 15  # the same of a tag's value: its wrong answers are those of the same value, and are fewer
STEP = 100  # a bound has two digits, rounded up


@dataclass(frozen=True, kw_only=True)
class TagFigures:
    """The questions that carry one value of a tag. ``auc`` is ``None`` below ``FEWEST_OF_TAG`` of them."""

    questions: int
    auc: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a judge encoder is worth on one gold set.

    ``judge``: its name, revision, dimension, and ``pin`` by which it is known again. ``gold``: the gold set's digest.
    ``auc`` and ``bound`` are ``None`` where too few ``questions`` have an answer. ``wrong``: the share of wrong answers
    that pass the bound. ``decoys``: how many of the wrong answers are decoys.
    """

    judge: Mapping[str, Any]
    gold: str
    questions: int
    auc: float | None
    bound: float | None
    wrong: float | None = None
    decoys: int = 0
    tags: Mapping[str, TagFigures] = field(default_factory=dict)

    @property
    def blind(self) -> str:
        """Why nothing that this judge measures may pass; empty when it can read the gold set."""
        if self.auc is None:
            return ""
        weak = [("", self.auc), *((f" where {tag}", each.auc) for tag, each in self.tags.items())]
        told = [f"AUC {auc:.3f}{where}" for where, auc in weak if auc is not None and auc < LEAST_AUC]
        if not told:
            return ""
        return (
            f"judge encoder {self.judge['name']!r} cannot tell right answers from wrong ones: {', '.join(told)},"
            f" at least {LEAST_AUC} is needed; another judge_encoder is needed (docs/encoders.md)"
        )

    @property
    def unknown(self) -> str:
        """Why there is no bound; empty when there is one."""
        if self.bound is not None:
            return ""
        return (
            f"judge encoder {self.judge['name']!r} has no bound here: {self.questions} questions have an answer,"
            f" {FEWEST} are needed to calibrate it; or say rules.ds_question.accept"
        )

    def line(self, accept: float | None = None) -> str:
        """For people and for each verdict: judge, digest, AUC, bound. ``accept``: the bound by the plan's word."""
        pin = str(self.judge.get("pin") or "not pinned")[:24]
        decoys = f" with {self.decoys} decoys" if self.decoys else ""
        auc = "not calibrated" if self.auc is None else f"AUC {self.auc:.3f} on {self.questions} questions{decoys}"
        own = "" if self.bound is None else f", its bound {figure(self.bound)}"
        word = "" if accept is None else f", {figure(accept)} by the plan's word"
        return f"judge {self.judge['name']} {self.judge['revision']} ({pin}), {auc}{own}{word}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what ``to_json`` wrote."""
        tags = {tag: TagFigures(**figures) for tag, figures in data["tags"].items()}
        return cls(**{**data, "tags": tags})


def calibrate(
    ds: npt.ArrayLike,
    same: npt.ArrayLike,
    tags: Sequence[Mapping[str, str]],
    *,
    judge: Mapping[str, Any],
    gold: str,
    decoys: npt.ArrayLike | None = None,
) -> Calibration:
    """Calibrate on ``ds`` (wordings, n, n): ΔS of each wording of question i to the answer of question j.

    ``same`` (n, n): pairs whose answers share a text, which are no wrong ones. ``tags``: those of each question.
    ``decoys`` (wordings, n, most): ΔS to each question's own decoys, NaN where it has fewer than most.
    """
    distances, shared = np.asarray(ds, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    n = len(tags)
    near = np.empty((len(distances), n, 0)) if decoys is None else np.asarray(decoys, dtype=np.float64)
    shapes = (distances.shape, shared.shape, near.shape)
    if distances.ndim != 3 or shapes[0][1:] != (n, n) or shapes[1] != (n, n) or shapes[2][:2] != shapes[0][:2]:
        raise ValueError(f"calibrate: shapes {', '.join(map(str, shapes))} and {n} tags do not belong together")
    right, wrong = _parts(distances, shared, near, np.arange(n))
    told = n >= FEWEST and len(wrong) > 0
    bound = float(np.sort(right)[math.ceil(SHARE * len(right) - 1e-9) - 1]) if told else None
    bound = None if bound is None else min(1.0, math.ceil(bound * STEP - 1e-9) / STEP)
    return Calibration(
        judge=dict(judge),
        gold=gold,
        questions=n,
        auc=auc(right, wrong) if told else None,
        bound=bound,
        wrong=None if bound is None else float((wrong <= bound).mean()),
        decoys=int(np.count_nonzero(~np.isnan(near[:1]))),
        tags=_by_tag(distances, shared, near, tags) if told else {},
    )


def _by_tag(distances: Floats, shared: Bools, near: Floats, tags: Sequence[Mapping[str, str]]) -> dict[str, TagFigures]:
    """Each value of a tag against its own kind alone: a language that is not read differs from all others anyway."""
    found: dict[str, TagFigures] = {}
    for name, value in sorted({pair for each in tags for pair in each.items()}):
        mine = np.array([row for row, each in enumerate(tags) if each.get(name) == value])
        right, wrong = _parts(distances, shared, near, mine)
        told = len(mine) >= FEWEST_OF_TAG and len(wrong) > 0
        found[f"{name}={value}"] = TagFigures(questions=len(mine), auc=auc(right, wrong) if told else None)
    return found


def _parts(distances: Floats, shared: Bools, near: Floats, rows: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """ΔS of the right and of the wrong pairs among some questions, with their decoys."""
    block = distances[:, rows[:, None], rows[None, :]]
    own = np.eye(len(rows), dtype=np.bool_)
    others, decoys = block[:, ~own & ~shared[rows[:, None], rows[None, :]]].ravel(), near[:, rows].ravel()
    return block[:, own].ravel(), np.concatenate([others, decoys[~np.isnan(decoys)]])


def auc(right: Floats, wrong: Floats) -> float:
    """The chance that a right one is smaller than a wrong one; equal ones count half."""
    ordered = np.sort(wrong)
    above = len(ordered) - np.searchsorted(ordered, right, side="right")
    equal = np.searchsorted(ordered, right, side="right") - np.searchsorted(ordered, right, side="left")
    return float((above + equal / 2).sum() / (len(right) * len(ordered)))
