"""What an arm or a reader answers, read into types at the edge: behind it every field has its type and its bounds.

A field that is not as agreed makes the whole answer a ``BadAnswer`` whose text names it; unknown fields are left out.
What no database stores (NUL, half a surrogate) is replaced. A field that is absent is ``None``, never a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from switchover.edge.body import BadAnswer
from switchover.edge.fields import LONGEST_TEXT, LONGEST_URL, Fields, storable
from switchover.pins import canonical_json, content_digest

Offsets = Literal["characters", "utf16", "bytes"]
STAGES = ("retrieve", "rerank", "reason", "total")
MOST_HITS = 1_000
MOST_CALLS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One retrieved piece. ``start`` and ``end`` count characters of the document ``doc``; ``section`` is what a
    citation names. ``tokens`` are the judge encoder's, counted here. ``None``: the answer does not say.
    """

    id: str | None = None
    doc: str | None = None
    text: str | None = None
    score: float | None = None
    start: int | None = None
    end: int | None = None
    section: str | None = None
    url: str | None = None
    index_hash: str | None = None
    tokens: int = 0

    @property
    def names(self) -> str | None:
        """What a citation of this hit would name: its section, else its document, its id, or what it says."""
        return self.section or self.doc or self.id or (content_digest(self.text)[:16] if self.text else None)

    def to_json(self, rank: int) -> dict[str, Any]:
        """What the ledger keeps of the hit (SPEC section 12): without its text, and without what is not known."""
        kept = {
            "snippet_id": self.id,
            "section_id": self.section,
            "source_url": self.url,
            "doc": self.doc,
            "start": self.start,
            "end": self.end,
            "tokens": self.tokens,
            "index_hash": self.index_hash,
            "score": self.score,
            "rank": rank,
        }
        return {name: value for name, value in kept.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an arm answered, or why it did not. ``status`` is the HTTP status, 0 without any answer.

    ``stages_ms`` are the arm's own figures; ``total`` falls back to the time seen from here. ``tool_calls`` are
    ``None`` where answers do not say them. ``cache``: ``hit``, ``miss`` or ``off``, if the arm says. ``foreign``: the
    answer was another arm's, wholly or in part. ``said``: the first line of an answer that is none. ``offsets``: what
    the hits' ``start`` and ``end`` count. ``cites``: whether ``cited`` is the answer's own word, not its first hit.
    ``lacks``: what cannot be measured of it; see ``switchover.arms.complete``.
    """

    status: int
    error: str | None = None
    arm: str | None = None
    index_hash: str | None = None
    cited: str | None = None
    text: str | None = None
    hits: Sequence[Hit] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    tool_calls: Sequence[Mapping[str, Any]] | None = None
    cache: str | None = None
    foreign: bool = False
    said: str = ""
    offsets: Offsets = "characters"
    cites: bool = True
    lacks: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether there is an answer to measure."""
        return self.error is None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an arm, or a live reader, says it is."""

    arm: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    encoder: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, bool] = field(default_factory=dict)
    count: int | None = None
    cache_namespace: str | None = None

    @property
    def index_hash(self) -> str:
        """The INDEX_HASH that is served."""
        return self.pins.get("INDEX_HASH", "")


def reply_of(
    answer: Fields, *, status: int, elapsed_ms: float, needed: Collection[str], cites: bool, offsets: Offsets
) -> Reply:
    """The reply in an answer whose fields have our names; see ``switchover.arms.shape``.

    A service that cites nothing (``cites`` is false) is taken to cite its first hit. ``BadAnswer`` for a field that is
    not as docs/your-own-service.md says, and for one of ``needed`` that is absent.
    """
    for name in needed:
        answer.id(name)
    hits = _hits(answer)
    first = hits[0].names if hits and not cites else None
    return Reply(
        status=status,
        arm=answer.id_if_any("arm"),
        index_hash=answer.id_if_any("index_hash"),
        cited=_first_if_any(answer, "cited") if cites else first,
        cites=cites,
        text=answer.id_if_any("text", longest=LONGEST_TEXT),
        hits=hits,
        offsets=offsets,
        stages_ms={"total": elapsed_ms, **_stages(answer)},
        tool_calls=_tool_calls(answer),
        cache=answer.id_if_any("cache"),
    )


def report_of(report: Fields) -> Report:
    """The report whose fields have our names. ``BadAnswer`` when it is not as agreed.

    Only JSON's ``true`` is a present secret.
    """
    secrets = report.inner_if_any("secrets")
    return Report(
        arm=report.id_if_any("arm"),
        pins=report.inner_if_any("pins").texts(),
        encoder=report.inner_if_any("encoder").scalars(),
        secrets={name: secrets.body[name] is True for name in secrets.names()},
        count=report.whole_if_any("count"),
        cache_namespace=report.id_if_any("cache_namespace"),
    )


def _first_if_any(answer: Fields, name: str) -> str | None:
    """A text, or of a list of texts the first."""
    value = answer.body.get(name)
    if isinstance(value, list):
        answer.body[name] = value[0] if value else None
    return answer.id_if_any(name)


def _hits(answer: Fields) -> list[Hit]:
    hits: Any = answer.body.get("hits")
    if hits is None:
        raise BadAnswer(f"answer without 'hits'{answer._path('hits')}")
    return [_hit(each) for each in hits]


def _hit(hit: Fields) -> Hit:
    start, end = hit.whole_if_any("start"), hit.whole_if_any("end")
    if start is not None and end is not None and end < start:
        raise hit.wrong("end", f"found {end}, start is {start}; allowed: not before start")
    return Hit(
        id=hit.id_if_any("id"),
        doc=hit.id_if_any("doc"),
        text=hit.id_if_any("text", longest=LONGEST_TEXT),
        score=hit.number_if_any("score"),
        start=start,
        end=end,
        section=hit.id_if_any("section"),
        url=hit.id_if_any("url", longest=LONGEST_URL),
        index_hash=hit.id_if_any("index_hash"),
    )


def _stages(answer: Fields) -> dict[str, float]:
    stages = answer.inner_if_any("stages_ms")
    found = {name: stages.number_if_any(name) for name in STAGES}
    for name, ms in found.items():
        if ms is not None and ms < 0:
            raise stages.wrong(name, f"found {ms:g} ms; allowed: 0 or more")
    return {name: float(ms) for name, ms in found.items() if ms is not None}


def _tool_calls(answer: Fields) -> list[dict[str, str]] | None:
    """Each call's tool and the digest of its arguments, which is made here where only the arguments are said."""
    if answer.body.get("tool_calls") is None:
        return None
    found = []
    for call in answer.objects("tool_calls", most=MOST_CALLS):
        said = {name: call.id_if_any(name) for name in ("tool", "arguments_digest")}
        if said["arguments_digest"] is None and call.body.get("arguments") is not None:
            said["arguments_digest"] = content_digest(storable(canonical_json(call.body["arguments"])))
        found.append({name: value for name, value in said.items() if value is not None})
    return found
