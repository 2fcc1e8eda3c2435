"""Tests of promptfoo: the list ``tests`` of a configuration, a file of tests, or CSV with ``__expected`` columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from switchover.gold.formats.mapped import Mapped

#: Assertions whose value is a text that an answer, or what was retrieved for it, is held against.
TEXTUAL = (
    "equals",
    "contains",
    "icontains",
    "contains-all",
    "icontains-all",
    "similar",
    "factuality",
    "answer-relevance",
)
RETRIEVED = ("context-recall",)  # its value is what the retrieved context must support: better than an answer
VARS = "vars.question || vars.query || vars.input || vars.prompt || vars.text"


class PromptfooFormat(Mapped):
    """promptfoo: the ground truth of `context-recall`, else the values of assertions that compare texts."""

    kind: Literal["promptfoo"] = "promptfoo"
    paths: ClassVar[Mapping[str, str]] = {
        "records": "tests",
        "id": "metadata.id",
        "question": f"{VARS} || question || query || input || prompt",
    }

    def texts_of(self, record: Mapping[str, Any]) -> list[str]:
        """The values of its assertions; a CSV cell may begin with the kind and a colon."""
        asserted = record.get("assert")
        found = list[tuple[str, Any]]()
        for each in asserted if isinstance(asserted, list) else []:
            if isinstance(each, dict) and isinstance(each.get("type"), str):
                found.append((each["type"], each.get("value")))
        for name, value in record.items():
            if name.startswith("__expected") and isinstance(value, str):
                kind, colon, rest = value.partition(":")
                known = bool(colon) and kind.strip() in (*TEXTUAL, *RETRIEVED)
                found.append((kind.strip(), rest) if known else ("equals", value))
        best = [pair for pair in found if pair[0] in RETRIEVED] or [pair for pair in found if pair[0] in TEXTUAL]
        values = [each for _, value in best for each in (value if isinstance(value, list) else [value])]
        return list(dict.fromkeys(text.strip() for text in values if isinstance(text, str) and text.strip()))
