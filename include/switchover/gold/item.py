"""One item of a gold set: a question, its paraphrases, and what answers it. Light: a plan's formats import it."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from switchover.errors import GoldError
from switchover.gold.jsonl import kind_of, plain, plain_id, storable

MOST_PARAPHRASES = 3  # a gold set may have fewer where the plan turns off what needs them
HIGHEST = 1_000  # of a graded judgement

#: Where paraphrases come from. Drafts of a model are no gold set before a person has read them.
Origin = Literal["people", "logs", "generated and reviewed", "mechanical"]
DRAFT, REVIEWED = "generated", "generated and reviewed"
Storable = Annotated[str, AfterValidator(storable)]
Text = Annotated[str, AfterValidator(plain)]
Id = Annotated[str, Field(max_length=1000), AfterValidator(plain_id)]


class Grade(str, Enum):
    """By what coverage is measured, best first."""

    SPAN = "span"  # the gold spans' tokens that the union of the retrieved spans covers
    TEXT = "text"  # the reference text's tokens that stand in the retrieved texts
    ID = "id"  # the relevant documents or chunks that were retrieved

    def __str__(self) -> str:
        return self.value


class Answer(BaseModel):
    """What answers a question: a place in a document, a reference text, or a relevant document or chunk by its id."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    doc: Id | None = None
    quote: Text | None = None
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, gt=0)
    text: Text | None = None
    id: Id | None = None
    grade: int | None = Field(None, ge=1, le=HIGHEST)

    @model_validator(mode="after")
    def _one_form(self) -> Answer:
        if sum(value is not None for value in (self.doc, self.text, self.id)) != 1:
            raise ValueError("give one of doc (with a quote, or start and end), text, id")
        offsets = (self.start is not None) + (self.end is not None)
        if self.doc is None and (self.quote is not None or offsets):
            raise ValueError("quote, start and end need doc")
        if self.doc is not None and ((self.quote is None) == (offsets == 0) or offsets == 1):
            raise ValueError("give either quote, or start and end")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} is not after start {self.start}")
        if self.grade is not None and self.id is None:
            raise ValueError("grade belongs to an id")
        return self

    @property
    def form(self) -> Grade:
        """The best grade by which it can be measured."""
        return Grade.SPAN if self.doc is not None else Grade.TEXT if self.text is not None else Grade.ID

    @property
    def grades(self) -> frozenset[Grade]:
        """Every grade by which it can be measured: a place has a text, and the id of its document."""
        return frozenset(Grade) if self.form is Grade.SPAN else frozenset({self.form})


class Item(BaseModel):
    """One line of a gold set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[Id, Field(max_length=200)]
    question: Text
    paraphrases: Annotated[list[Text], Field(max_length=MOST_PARAPHRASES)] = Field(default_factory=list)
    answers: list[Answer] = Field(default_factory=list)
    decoys: list[Id] = Field(default_factory=list)
    answerable: bool = True
    tags: dict[Storable, Storable] = Field(default_factory=dict)
    origin: Origin = "people"

    @model_validator(mode="after")
    def _answers_fit(self) -> Item:
        if self.answerable and not self.answers:
            raise ValueError("an answerable item needs at least one answer")
        if len({as_read(text) for text in self.paraphrases}) < len(self.paraphrases):
            raise ValueError("the paraphrases must differ, by more than white space and case")
        ids = [answer.id for answer in self.answers if answer.id is not None]
        if len(set(ids)) < len(ids):
            raise ValueError("an id is judged twice")
        return self

    @property
    def docs(self) -> list[str]:
        """The documents that its places stand in."""
        return list(dict.fromkeys(answer.doc for answer in self.answers if answer.doc is not None))


def item_of(where: str, body: Mapping[str, Any]) -> Item:
    """One item; ``GoldError`` names ``where``, the key and what was found."""
    if body.get("origin") == DRAFT:
        raise unreviewed(where)
    try:
        return Item.model_validate(body)
    except ValidationError as error:
        raise GoldError(f"{where}: {_told(error.errors()[0])}") from None


def unreviewed(where: str) -> GoldError:
    """The error for paraphrases that a model has drafted and that nobody has reviewed: they may judge nothing."""
    return GoldError(
        f"{where}: origin {DRAFT!r}: nobody has reviewed these paraphrases; review them line by line, and change the"
        f" origin of each to {REVIEWED!r}"
    )


def _told(error: Mapping[str, Any]) -> str:
    """Where and what, by our own names alone: a key of the file is content too."""
    known = {*Item.model_fields, *Answer.model_fields}
    steps = [str(step) if isinstance(step, int) or step in known else "…" for step in error["loc"]]
    if error["type"] == "extra_forbidden":
        *above, unknown = error["loc"]
        allowed = Answer.model_fields if above else Item.model_fields
        near = difflib.get_close_matches(str(unknown), allowed, n=1)
        perhaps = f", perhaps `{near[0]}`" if near else ""
        return f"{'.'.join(steps[:-1]) or 'item'}: found a key that is unknown{perhaps}; allowed: {', '.join(allowed)}"
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(steps) or 'item'}: {said}; found {kind_of(error['input'])}"


def grade_of(items: Iterable[Item], wanted: Grade | None = None) -> Grade:
    """The best grade by which every item can be measured, or the wanted one. ``GoldError`` when there is none."""
    possible: dict[Grade, str] = dict.fromkeys(Grade, "")  # the first item that rules a grade out
    for item in items:
        for grade in Grade:
            if not possible[grade] and any(grade not in answer.grades for answer in item.answers):
                possible[grade] = item.id
    if wanted is not None:
        if possible[wanted]:
            raise GoldError(f"no grade {wanted}: {possible[wanted]!r} has an answer that cannot be measured so")
        return wanted
    found = next((grade for grade, against in possible.items() if not against), None)
    if found is None:
        raise GoldError(
            f"no one grade: {possible[Grade.TEXT]!r} has no reference text, {possible[Grade.ID]!r} no id;"
            " allowed: answers of all items by place, by text or by id"
        )
    return found


def as_read(text: str) -> str:
    """A wording as it is compared: in one case, its white space as single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
