"""What a reply does not say and can be worked out: texts by id, offsets in characters, places in the corpus, tokens.

A hit that comes back for many probes is worked out once. What cannot be worked out is named in the reply's ``lacks``;
it is never given a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from switchover.arms.coverage import is_unknown
from switchover.edge.answers import Hit, Offsets, Reply
from switchover.encoders.base import Encoder
from switchover.gold.goldset import GoldSet
from switchover.gold.spans import find_text, in_characters, length_in, offset_fault

#: Texts of an arm's pieces: (role of the arm, ids) -> id -> text; an id that the index has not is left out.
TextsOf = Callable[[str, Sequence[str]], Mapping[str, str]]

DS, COVERAGE, TOOL_LOOP = "ds", "coverage", "tool_loop"  # what a reply may lack, by what is measured of it


class Completer:
    """Completes the replies of a run's arms. ``texts_of``: where texts can be had by id; ``None``: nowhere."""

    def __init__(self, *, gold: GoldSet, encoder: Encoder, texts_of: TextsOf | None = None) -> None:
        self._gold = gold
        self._encoder = encoder
        self._texts_of = texts_of
        self._texts: dict[tuple[str, str], str | None] = {}
        self._tokens: dict[str, int] = {}
        self._done: dict[tuple[str, Offsets, Hit], tuple[Hit, str | None]] = {}

    def complete(self, replies: Sequence[tuple[str, Reply]]) -> list[Reply]:
        """The replies of (role, reply), completed."""
        self._fetch(replies)
        self._count(hit.text for _, reply in replies for hit in reply.hits if hit.text)
        return [self._complete(role, reply) for role, reply in replies]

    def _complete(self, role: str, reply: Reply) -> Reply:
        if not reply.ok:
            return reply
        found = [self._hit(role, reply.offsets, hit) for hit in reply.hits]
        hits = [hit for hit, _ in found]
        fault = next(
            (f"hit {n} in {h.doc!r}, span {h.start}..{h.end}: {why}" for n, (h, why) in _numbered(found) if why), ""
        )
        lacks = {DS} if any(hit.text is None for hit in hits) else set()
        lacks |= {COVERAGE} if any(is_unknown(hit, self._gold) for hit in hits) else set()
        lacks |= {TOOL_LOOP} if reply.tool_calls is None else set()
        error = f"not measured: {fault}" if fault else None
        return replace(reply, hits=hits, error=error, lacks=frozenset(lacks))

    def _hit(self, role: str, offsets: Offsets, hit: Hit) -> tuple[Hit, str | None]:
        key = role, offsets, hit
        if key not in self._done:
            self._done[key] = self._work_out(role, offsets, hit)
        return self._done[key]

    def _work_out(self, role: str, offsets: Offsets, hit: Hit) -> tuple[Hit, str | None]:
        """The hit with what can be known of it, and what is wrong with its offsets."""
        texts = self._gold.texts
        if hit.text is None and hit.id is not None:
            hit = replace(hit, text=self._texts.get((role, hit.id)))
        text = hit.text or ""
        if hit.text is not None:
            hit = replace(hit, tokens=self._tokens[text])
        if hit.start is not None and hit.end is None and hit.text is not None:
            hit = replace(hit, end=hit.start + length_in(text, offsets))
        document = texts.get(hit.doc) if hit.doc is not None else None
        if hit.start is not None and hit.end is not None:
            if document is None:
                return hit, None
            fault = offset_fault(document, hit.start, hit.end, text, offsets)
            start, end = (in_characters(document, each, offsets) for each in (hit.start, hit.end))
            return (hit, fault) if fault else (replace(hit, start=start, end=end), None)
        place = find_text(text, texts, doc=hit.doc)
        if place is not None:
            hit = replace(hit, doc=place[0], start=place[1], end=place[2])
        return hit, None

    def _fetch(self, replies: Sequence[tuple[str, Reply]]) -> None:
        """Read the texts that are missing from the arms' indexes, those of one arm at once."""
        wanted: dict[str, set[str]] = {}
        for role, reply in replies:
            for hit in reply.hits:
                if hit.text is None and hit.id is not None and (role, hit.id) not in self._texts:
                    wanted.setdefault(role, set()).add(hit.id)
        for role, ids in wanted.items():
            found = self._texts_of(role, sorted(ids)) if self._texts_of is not None else {}
            self._texts |= {(role, id): found.get(id) for id in ids}
            self._count(found.values())

    def _count(self, texts: Iterable[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._tokens]
        if "" not in self._tokens:
            self._tokens[""] = 0
        self._tokens |= dict(zip(new, self._encoder.count_tokens(new), strict=True)) if new else {}


def _numbered(found: Sequence[tuple[Hit, str | None]]) -> Iterable[tuple[int, tuple[Hit, str | None]]]:
    return enumerate(found, start=1)
