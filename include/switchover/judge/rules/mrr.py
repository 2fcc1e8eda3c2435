"""Rule ``mrr``: does the first relevant document stand as high on Green as on Blue, question by question?"""

from __future__ import annotations

from switchover.judge.rules.beside_blue import IdRule


class MrrRule(IdRule):
    """Does the first relevant document stand as high as on Blue? Asked of gold sets that are judged by ids."""

    name = "mrr"
    short = "Rank of the first relevant id, paired with Blue."
    measures = "mean of 1 / rank of the first relevant(Green) - the same(Blue) per question"
    column = "reciprocal_rank"
    first_steps = (
        "The losses in the verdict's line: which document stands first on Green instead?",
        "The same one for many questions? A long or repeated document wins them all.",
        "Else the reranker, or the score by which hits are ordered.",
    )
