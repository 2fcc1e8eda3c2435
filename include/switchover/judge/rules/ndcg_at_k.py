"""Rule ``ndcg_at_k``: does Green rank the relevant documents as well as Blue, question by question?"""

from __future__ import annotations

from switchover.judge.rules.beside_blue import IdRule


class NdcgAtKRule(IdRule):
    """Does Green rank the relevant documents as well as Blue, by their grades?

    Asked of gold sets that are judged by ids.
    """

    name = "ndcg_at_k"
    short = "nDCG@k by id, paired with Blue."
    measures = "mean of nDCG@k(Green) - nDCG@k(Blue) per question"
    column = "ndcg"
    first_steps = (
        "The losses in the verdict's line, with both arms' hits side by side in the report.",
        "Is `recall_at_k` as before? Then the same documents come in another order: reranker, score, ties.",
        "If recall fell too, see `recall_at_k`.",
    )
