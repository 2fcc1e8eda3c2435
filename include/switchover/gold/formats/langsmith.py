"""Examples of LangSmith data sets, exported as JSON lines, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from switchover.gold.formats.mapped import Mapped


class LangSmithFormat(Mapped):
    """LangSmith: contexts among the outputs or in the metadata, else the expected answer."""

    kind: Literal["langsmith"] = "langsmith"
    paths: ClassVar[Mapping[str, str]] = {
        "records": "examples || data",
        "id": "id",
        "question": (
            "inputs.question || inputs.query || inputs.input || inputs.text || inputs.messages[-1].content || inputs"
            " || input_question || input_query || input_input || question || input"
        ),
        "texts": (
            "outputs.contexts || outputs.documents[].page_content || metadata.contexts"
            " || outputs.answer || outputs.output || outputs.text || outputs.messages[-1].content || outputs"
            " || output_answer || output_output || answer || output"
        ),
        "ids": "outputs.document_ids || metadata.document_ids",
    }
