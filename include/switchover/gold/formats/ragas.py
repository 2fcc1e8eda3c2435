"""Test sets of ragas: ``EvaluationDataset`` and ``Testset``, as files of any kind, and those before version 0.2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from switchover.gold.formats.mapped import Mapped

HOP = re.compile(r"^<\d+-hop>\s*")  # stands before each context of a question over several


class RagasFormat(Mapped):
    """ragas: the contexts that the question was made from, else its reference answer."""

    kind: Literal["ragas"] = "ragas"
    paths: ClassVar[Mapping[str, str]] = {
        "question": "user_input || question",
        "texts": "reference_contexts || contexts || reference || ground_truth || ground_truths",
        "ids": "reference_context_ids",
    }

    def texts_of(self, record: Mapping[str, Any]) -> list[str]:
        """Without the mark of a hop, which no document holds."""
        return [HOP.sub("", text) for text in super().texts_of(record)]
