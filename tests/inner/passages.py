"""A collection like a public one: 200 passages, 60 questions, graded judgments of whole documents and nothing else.

Made from the Python language reference, which every interpreter carries, and from the sandbox's gold set: a passage
that holds a question's quote is judged 2, its neighbours in the same topic 1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sandbox.service.corpus import documents
from switchover.encoders.base import Encoder
from switchover.gold.formats.beir import BeirFormat
from switchover.gold.goldset import GoldSet, load_gold
from switchover.gold.item import Item

PASSAGES, QUESTIONS, LONG = 200, 60, 900


@dataclass(frozen=True)
class Collection:
    texts: dict[str, str]  # id -> text
    queries: list[tuple[str, str, dict[str, int]]]  # id, question, passage -> grade

    def load(self, folder: Path, encoder: Encoder) -> GoldSet:
        """As a BEIR folder is loaded."""
        (folder / "qrels").mkdir(parents=True)
        lines = [json.dumps({"_id": id, "text": text}) for id, text, _ in self.queries]
        (folder / "queries.jsonl").write_text("\n".join(lines))
        rows = [f"{id}\t{doc}\t{grade}" for id, _, judged in self.queries for doc, grade in judged.items()]
        (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]))
        return load_gold(
            folder / "queries.jsonl",
            corpus=lambda docs: {doc: self.texts[doc] for doc in docs if doc in self.texts},
            encoder=encoder,
            format=BeirFormat(),
        )


def collection(items: list[Item]) -> Collection:
    """200 passages and 60 questions: those of the gold set, and as many of its paraphrases as are missing."""
    cut: dict[str, tuple[str, int, int]] = {}  # passage -> document, start, end
    texts: dict[str, str] = {}
    source = {each.doc: each.text for each in documents()}
    for doc, text in source.items():
        for number, start in enumerate(range(0, len(text), LONG)):
            cut[f"{doc}-{number}"] = (doc, start, min(start + LONG, len(text)))
            texts[f"{doc}-{number}"] = text[start : start + LONG]
    items = [item for item in items if item.answerable]
    asked = [(item.id, item.question, item) for item in items]
    asked += [(f"{item.id}-again", item.paraphrases[0], item) for item in items]
    queries, wanted = [], dict.fromkeys(())
    for id, question, item in asked[:QUESTIONS]:
        judged: dict[str, int] = {}
        for answer in item.answers:
            assert answer.doc is not None and answer.quote is not None
            at = source[answer.doc].find(answer.quote)
            right = at // LONG
            for near in (right - 1, right + 1):
                if f"{answer.doc}-{near}" in texts:
                    judged.setdefault(f"{answer.doc}-{near}", 1)
            judged[f"{answer.doc}-{right}"] = 2
        queries.append((id, question, judged))
        wanted |= dict.fromkeys(judged)
    kept = [*wanted, *(each for each in texts if each not in wanted)][:PASSAGES]
    return Collection({each: texts[each] for each in sorted(kept)}, queries)


class Store:
    """An arm: passages by their vectors, the nearest first. ``query``: another encoder that asks them."""

    def __init__(self, texts: dict[str, str], encoder: Encoder, *, query: Encoder | None = None) -> None:
        self._ids, self._texts = list(texts), texts
        self._vectors = encoder.encode([texts[id] for id in self._ids]).astype(np.float64)
        self._query = query or encoder

    def hits(self, question: str, k: int) -> list[tuple[str, str]]:
        """(id, text) of the k nearest passages."""
        vector = self._query.encode([question])[0].astype(np.float64)
        best = np.argsort(-(self._vectors @ vector), kind="stable")[:k]
        return [(self._ids[at], self._texts[self._ids[at]]) for at in best]
