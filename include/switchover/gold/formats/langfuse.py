"""Dataset items of Langfuse, as its API, its SDK and its export give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from switchover.gold.formats.mapped import Mapped

EXPECTED = "(expectedOutput || expected_output)"


class LangfuseFormat(Mapped):
    """Langfuse: contexts in the metadata, else the expected output. Archived items are left out."""

    kind: Literal["langfuse"] = "langfuse"
    paths: ClassVar[Mapping[str, str]] = {
        "records": "data || items",
        "keep": "status != 'ARCHIVED'",
        "id": "id",
        "question": (
            "input.question || input.query || input.input || input.text"
            " || input.messages[-1].content || input[-1].content || input"
        ),
        "texts": (
            "metadata.contexts || metadata.context || metadata.reference_contexts"
            f" || {EXPECTED}.contexts || {EXPECTED}.answer || {EXPECTED}.output || {EXPECTED}.text"
            f" || {EXPECTED}.content || {EXPECTED}"
        ),
        "ids": "metadata.document_ids || metadata.documents",
    }
