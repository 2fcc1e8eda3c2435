"""The plan's part: the gold set, and the corpus that its answers stand in."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from switchover.gold.corpus import AnyCorpus, Blue
from switchover.gold.formats import DEFAULT, AnyFormat
from switchover.gold.item import Grade
from switchover.part import Part, at_most

#: What ids of answers name: documents, which a hit has as its ``doc``, or chunks, which it has as its ``id``.
Judged = Literal["documents", "chunks"]


def _or_a_word(schema: dict[str, Any]) -> None:
    """Editors and checkers take the short form, too."""
    schema.setdefault("anyOf" if "anyOf" in schema else "oneOf", []).append({"type": "string"})


def _old_keys(schema: dict[str, Any]) -> None:
    schema["properties"]["table"] = {"type": "string", "description": "Short for `corpus.table`."}


class Gold(Part):
    """The gold set and the corpus that its answers stand in; see docs/gold.md."""

    model_config = ConfigDict(json_schema_extra=_old_keys)

    path: str = Field(description="The file with the questions, relative to the plan.")
    format: AnyFormat = Field(
        default_factory=DEFAULT,
        json_schema_extra=_or_a_word,
        description="How the file is read: a word such as `ragas`, or its keys; see below.",
    )
    paraphrases: str | None = Field(
        None, description='JSON lines `{"_id", "paraphrases", "origin"}` beside it, relative to the plan.'
    )
    corpus: AnyCorpus | None = Field(
        None,
        json_schema_extra=_or_a_word,
        description="The source texts; a connection alone means its table `documents`. Not needed for ids.",
    )
    grade: Grade | None = Field(
        None, description="How coverage is measured; null: the best that all answers allow (span, text, id)."
    )
    judged: Judged = Field("documents", description="What ids of answers name; chunks only where both arms cut alike.")
    minimum: int = Field(
        20, ge=1, json_schema_extra=at_most(100_000), description="Fewer valid questions than this fail the run."
    )

    def check(self, blue: Blue) -> None:
        """Raise ``ValueError`` when Blue's index is to be the corpus and cannot be."""
        if self.corpus is not None:
            self.corpus.check(blue)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """``corpus: connection`` with ``table`` beside it, and ``format: word``."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        table = data.pop("table", None)
        if isinstance(data.get("corpus"), str):
            data["corpus"] = {"kind": "table", "connection": data["corpus"], **({"table": table} if table else {})}
        elif table is not None:
            data["table"] = table  # an unknown key there
        if isinstance(data.get("format"), str):
            data["format"] = {"kind": data["format"]}
        return data
