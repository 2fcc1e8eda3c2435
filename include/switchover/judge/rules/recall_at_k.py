"""Rule ``recall_at_k``: does Green retrieve as many of the relevant documents as Blue, question by question?"""

from __future__ import annotations

from switchover.judge.rules.beside_blue import IdRule


class RecallAtKRule(IdRule):
    """Does Green retrieve as many of the relevant documents or chunks as Blue?

    Asked of gold sets that are judged by ids.
    """

    name = "recall_at_k"
    short = "Recall@k by id, paired with Blue."
    measures = "mean of recall@k(Green) - recall@k(Blue) per question"
    column = "coverage"
    first_steps = (
        "The losses in the verdict's line: are their documents in Green at all?",
        "All of one topic or one day? A part of the corpus is missing.",
        "Documents are there, and not among the first k: encoder, filters, reranker, in this order.",
    )
