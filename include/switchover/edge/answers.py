"""What an arm or a reader answers, read into types at the edge: behind it every field has its type and its bounds.

A field that is not as agreed makes the whole answer a ``BadAnswer`` whose text names it; unknown fields are left out.
What no database stores (NUL, half a surrogate) is replaced. A field that is absent is never given a value: a reply
says which of those that a hit is measured by it ``lacks``, and only ``tokens`` is counted here where it is absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from switchover.edge.body import BadAnswer, kind_of

STAGES = ("retrieve", "rerank", "reason", "total")
MEASURED = ("text", "doc", "start", "end")  # what ΔS and coverage of a hit are worked out from
MOST_HITS = 1_000
MOST_CALLS = 1_000
LONGEST_ID = 500  # characters: an index of the ledger takes 2,704 bytes
LONGEST_URL = 4_000
LONGEST_TEXT = 200_000
LARGEST_OFFSET = 2**53
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an arm answered, or why it did not. ``status`` is the HTTP status, 0 without any answer.

    ``stages_ms`` are the arm's own figures; ``total`` falls back to the time seen from here. ``cache``: ``hit``,
    ``miss`` or ``off``, if the arm says. ``foreign``: the answer was another arm's, wholly or in part. ``said``: the
    first line of an answer that is none.
    """

    status: int
    error: str | None = None
    arm: str | None = None
    index_hash: str | None = None
    cited: str | None = None
    hits: Sequence[Mapping[str, Any]] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    tool_calls: Sequence[Mapping[str, Any]] = ()
    cache: str | None = None
    foreign: bool = False
    said: str = ""

    @property
    def lacks(self) -> str:
        """The first field of a hit that is needed to measure it and is not there; empty when it can be measured."""
        absent = (f"hits[{at}].{name}" for at, hit in enumerate(self.hits) for name in MEASURED if name not in hit)
        return next(absent, "")

    @property
    def ok(self) -> bool:
        """Whether there is an answer to measure."""
        return self.error is None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an arm, or a live reader, says it is."""

    arm: str
    pins: Mapping[str, str]
    encoder: Mapping[str, Any]
    secrets: Mapping[str, bool]
    count: int | None
    cache_namespace: str | None = None

    @property
    def index_hash(self) -> str:
        """The INDEX_HASH that is served."""
        return self.pins.get("INDEX_HASH", "")


def reply_of(body: Any, *, status: int, elapsed_ms: float) -> Reply:
    """The reply in a JSON body; ``BadAnswer`` when it is not as docs/your-own-index.md says."""
    answer = Fields(body)
    return Reply(
        status=status,
        arm=answer.id("arm"),
        index_hash=answer.id("index_hash"),
        cited=answer.id_if_any("cited"),
        hits=_hits(answer),
        stages_ms={"total": elapsed_ms, **_stages(answer)},
        tool_calls=_tool_calls(answer),
        cache=answer.id_if_any("cache"),
    )


def report_of(body: Any) -> Report:
    """The report in a JSON body; ``BadAnswer`` when it is not as agreed. Only JSON's ``true`` is a present secret."""
    answer = Fields(body)
    secrets = answer.inner_if_any("secrets")
    return Report(
        arm=answer.id("arm"),
        pins=answer.inner("pins").texts(),
        encoder=answer.inner_if_any("encoder").scalars(),
        secrets={name: secrets.body[name] is True for name in secrets.names()},
        count=answer.whole_if_any("count"),
        cache_namespace=answer.inner_if_any("cache").id_if_any("namespace"),
    )


def storable(text: str) -> str:
    """The text with what no database stores replaced."""
    return UNSTORABLE.sub("\ufffd", text)


class Fields:
    """The fields of one JSON object; each is asked for by its type. ``BadAnswer`` names the field and what is due."""

    def __init__(self, body: Any, where: str = "") -> None:
        if not isinstance(body, dict):
            raise BadAnswer(f"{where or 'answer'} is {kind_of(body)}; allowed: an object")
        self.body = body
        self._where = f"{where}." if where else ""

    def names(self) -> list[str]:
        """The names of all fields that can be stored."""
        return [name for name in self.body if storable(name) == name and len(name) <= LONGEST_ID]

    def id(self, name: str) -> str:
        """A short text, or a whole number as one; it must be there."""
        return str(self._there(name, self.id_if_any(name)))

    def id_if_any(self, name: str, *, longest: int = LONGEST_ID) -> str | None:
        """A text, or a whole number as one; ``None`` where it is absent or null."""
        value = self.body.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return self._text(name, value, longest)

    def whole(self, name: str) -> int:
        """A whole number from 0; it must be there."""
        return int(self._there(name, self.whole_if_any(name)))

    def whole_if_any(self, name: str) -> int | None:
        """A whole number from 0; ``None`` where it is absent or null."""
        value = self.number_if_any(name)
        if value is None:
            return None
        if not (float(value).is_integer() and 0 <= value <= LARGEST_OFFSET):
            raise self.wrong(name, f"found {value:g}; allowed: a whole number from 0 to 2^53")
        return int(value)

    def number_if_any(self, name: str) -> float | None:
        """A number; ``None`` where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, f"found {kind_of(value)}; allowed: a number")
        return value

    def objects(self, name: str, *, most: int) -> list[Fields]:
        """A list of objects, empty where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, f"found {kind_of(value)}; allowed: a list")
        if len(value) > most:
            raise self.wrong(name, f"found {len(value):,} entries; allowed: up to {most:,}")
        return [Fields(each, f"{self._where}{name}[{number}]") for number, each in enumerate(value)]

    def inner(self, name: str) -> Fields:
        """An object; it must be there."""
        return Fields(self._there(name, self.body.get(name)), f"{self._where}{name}")

    def inner_if_any(self, name: str) -> Fields:
        """An object, empty where it is absent or null."""
        return Fields({} if self.body.get(name) is None else self.body[name], f"{self._where}{name}")

    def texts(self) -> dict[str, str]:
        """Every field as a text; those that are null are left out."""
        found = {name: self.id_if_any(name, longest=LONGEST_URL) for name in self.names()}
        return {name: text for name, text in found.items() if text is not None}

    def scalars(self) -> dict[str, Any]:
        """The fields that are a text, a number, or true or false."""
        plain = {name: self.body[name] for name in self.names() if not isinstance(self.body[name], list | dict)}
        return {name: storable(value) if isinstance(value, str) else value for name, value in plain.items()}

    def _text(self, name: str, value: Any, longest: int) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(name, f"found {kind_of(value)}; allowed: a text")
        if len(value) > longest:
            raise self.wrong(name, f"found a text of {len(value):,} characters; allowed: up to {longest:,}")
        return storable(value)

    def _there(self, name: str, value: Any) -> Any:
        if value is None:
            raise BadAnswer(f"answer without {self._where + name!r}")
        return value

    def wrong(self, name: str, text: str) -> BadAnswer:
        """The error that names a field and says what was found and what is allowed."""
        return BadAnswer(f"{self._where}{storable(name)[:80]}: {text}")


def _hits(answer: Fields) -> list[dict[str, Any]]:
    if answer.body.get("hits") is None:
        raise BadAnswer("answer without 'hits'")
    hits = [_hit(each) for each in answer.objects("hits", most=MOST_HITS)]
    if any(not hit.get("tokens") and hit.get("text") for hit in hits):  # a weight is absent: all are counted alike
        hits = [{**hit, "tokens": len(hit.get("text", "").split())} for hit in hits]
    return hits


def _hit(hit: Fields) -> dict[str, Any]:
    start, end = hit.whole_if_any("start"), hit.whole_if_any("end")
    if start is not None and end is not None and end < start:
        raise hit.wrong("end", f"found {end}, start is {start}; allowed: not before start")
    found = {
        "snippet_id": hit.id_if_any("snippet_id"),
        "section_id": hit.id_if_any("section_id"),
        "source_url": hit.id_if_any("source_url", longest=LONGEST_URL),
        "doc": hit.id_if_any("doc"),
        "start": start,
        "end": end,
        "text": hit.id_if_any("text", longest=LONGEST_TEXT),
        "tokens": hit.whole_if_any("tokens"),
        "index_hash": hit.id_if_any("index_hash"),
        "score": hit.number_if_any("score"),
        "rank": hit.number_if_any("rank"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _stages(answer: Fields) -> dict[str, float]:
    stages = answer.inner_if_any("stages_ms")
    found = {name: stages.number_if_any(name) for name in STAGES}
    for name, ms in found.items():
        if ms is not None and ms < 0:
            raise stages.wrong(name, f"found {ms:g} ms; allowed: 0 or more")
    return {name: float(ms) for name, ms in found.items() if ms is not None}


def _tool_calls(answer: Fields) -> list[dict[str, Any]]:
    calls = answer.objects("tool_calls", most=MOST_CALLS)
    return [
        {name: call.id_if_any(name) for name in ("tool", "arguments_digest") if call.body.get(name) is not None}
        for call in calls
    ]
