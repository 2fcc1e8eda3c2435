"""The one mapped reader: records of any shape become items by paths. The formats of known tools are its presets."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from switchover.edge.body import BadAnswer
from switchover.edge.paths import Find, PathText, compile_path
from switchover.errors import GoldError
from switchover.gold.formats.base import GoldFormat, Raw
from switchover.gold.item import MOST_PARAPHRASES
from switchover.gold.jsonl import kind_of
from switchover.gold.records import one_object, read_records


class Mapped(GoldFormat):
    """Base of every format that reads records by paths (JMESPath). ``paths``: those that a plan need not give."""

    paths: ClassVar[Mapping[str, str]] = {}

    records: PathText | None = Field(None, description="Where the list of records is, in a JSON or YAML document.")
    keep: PathText | None = Field(None, description="A record for which this is false, null or empty is left out.")
    id: PathText | None = Field(None, description="Id of a question; without one it is made from the question's text.")
    question: PathText | None = Field(None, description="The question.")
    paraphrases: PathText | None = Field(None, description="A list of other wordings, three at most.")
    texts: PathText | None = Field(None, description="Reference text, or a list of them: what answers the question.")
    ids: PathText | None = Field(
        None,
        description="Relevant documents or chunks, where there is no text: an id, a list, or an object id: grade.",
    )
    answerable: PathText | None = Field(None, description="False marks a question that the corpus does not answer.")

    def read(self, path: Path) -> Iterator[Raw]:
        """An item a record. A path that finds nothing in any record is an error that names it."""
        seen, found = Counter[str](), Counter[str]()
        for where, record in self.records_of(path):
            try:
                body = one_object(where, record)
                found["record"] += 1
                if self._path("keep") is not None and not self._at("keep", body):
                    continue
                item = self._item(where, body, found)
            except GoldError as error:
                yield where, error
                continue
            except BadAnswer:
                yield where, GoldError(f"{where}: a path does not fit the record: a value has another type")
                continue
            if not item["id"]:  # made from the question: the same at each reading, wherever it stands in the file
                made = f"q-{hashlib.sha256(item['question'].encode('utf-8', 'replace')).hexdigest()[:10]}"
                seen[made] += 1
                item["id"] = made if seen[made] == 1 else f"{made}-{seen[made]}"
            yield where, item
        if found["record"] > 1 and not found["question"]:
            raise GoldError(f"{path}: no record has a question at `{self._path('question')}`")
        if found["record"] > 1 and found["question"] and not found["answer"]:
            told = " or ".join(f"`{each}`" for each in map(self._path, ("texts", "ids")) if each)
            raise GoldError(f"{path}: no record has an answer at {told or 'any path: give texts or ids'}")

    def records_of(self, path: Path) -> Iterator[tuple[str, Any]]:
        """The records of a file, after ``records`` was followed."""
        for where, record in read_records(path):
            if self._path("records") is None or isinstance(record, GoldError):
                yield where, record
                continue
            inner = self._at("records", record)
            if not isinstance(inner, list):
                yield where, record
                continue
            yield from ((f"{where}: record {number}", each) for number, each in enumerate(inner, start=1))

    def _path(self, key: str) -> str | None:
        found: str | None = getattr(self, key) or self.paths.get(key)
        return found

    def _at(self, key: str, record: Mapping[str, Any]) -> Any:
        """What stands at one of the paths; ``None`` where the format has none."""
        path = self._path(key)
        return None if path is None else _find(path)(record)

    def texts_of(self, record: Mapping[str, Any]) -> list[str]:
        """The reference texts of a record."""
        return _texts(self._at("texts", record))

    def _item(self, where: str, record: Mapping[str, Any], found: Counter[str]) -> dict[str, Any]:
        question = self._at("question", record)
        if not isinstance(question, str) or not question.strip():
            raise GoldError(
                f"{where}: question: found {kind_of(question)} at `{self._path('question')}`; allowed: a text"
            )
        found["question"] += 1
        question = question.strip()
        answers: list[dict[str, Any]] = [{"text": text} for text in self.texts_of(record)]
        if not answers and self._path("ids"):
            answers = _ids(where, self._at("ids", record))
        answerable = self._at("answerable", record)
        if answerable is not False and not answers:
            raise GoldError(f"{where}: no answer: nothing at the paths of texts and ids; allowed: a text or an id")
        found["answer"] += bool(answers)
        id = self._at("id", record)
        return {
            "id": "" if id is None else str(id).strip(),
            "question": question,
            "paraphrases": _texts(self._at("paraphrases", record))[:MOST_PARAPHRASES],
            "answers": answers,
            "answerable": answerable is not False,
        }


@functools.lru_cache(maxsize=64)
def _find(path: str) -> Find:
    return compile_path(path)


def _texts(value: Any) -> list[str]:
    """The texts of a value, each once; what is no text is left out."""
    listed = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(text.strip() for text in listed if isinstance(text, str) and text.strip()))


def _ids(where: str, value: Any) -> list[dict[str, Any]]:
    """Judged ids: those with a grade above 0."""
    if isinstance(value, dict):
        graded = list(value.items())
    else:
        graded = [(each, 1) for each in (value if isinstance(value, list) else [value]) if each not in (None, "")]
    answers = dict[str, int]()
    for id, grade in graded:
        if isinstance(grade, bool) or not isinstance(grade, int) or not isinstance(id, str | int):
            raise GoldError(f"{where}: ids: found {kind_of(grade)} as a grade; allowed: a whole number")
        if grade > 0:
            answers[str(id).strip()] = grade
    return [{"id": id, "grade": grade} for id, grade in answers.items()]


class MappedFormat(Mapped):
    """Records of any shape, by paths (JMESPath); `question`, and one of `texts` and `ids`, are required."""

    kind: Literal["mapped"] = "mapped"

    @model_validator(mode="after")
    def _enough(self) -> MappedFormat:
        if not self.question or not (self.texts or self.ids):
            raise ValueError("give the path of question, and of texts or ids")
        return self
