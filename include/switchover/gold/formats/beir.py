"""BEIR and TREC: queries beside relevance judgments of whole documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from switchover.errors import GoldError
from switchover.gold.exchange import Judgment, Query, read_judgments, read_queries
from switchover.gold.formats.base import GoldFormat, Raw


class BeirFormat(GoldFormat):
    """BEIR (`queries.jsonl`, `qrels/test.tsv`) or TREC (topics, qrels); which of both, the first lines say."""

    kind: Literal["beir"] = "beir"
    qrels: str = Field("qrels/test.tsv", description="Judgments, relative to the queries and in their folder.")
    relevant_from: int = Field(1, ge=1, description="The lowest judgment that means relevant; lower ones are decoys.")

    def read(self, path: Path) -> Iterator[Raw]:
        """Queries with a relevant document; the others are left out."""
        judged = read_judgments(self.files(path)[1])
        for query in read_queries(path):
            relevant, decoys = self._sorted(judged.get(query.id, {}).values())
            answerable = query.extra.get("answerable", True) is not False
            if relevant and not answerable:
                told = f"answerable is false, yet {relevant[0].where} judges a document relevant"
                yield query.where, GoldError(f"{query.where}: {told}")
            elif relevant or not answerable:
                yield query.where, _item(query, relevant, decoys)

    def files(self, path: Path) -> list[Path]:
        """The queries and the judgments."""
        return [path, path.parent / self.qrels]

    def left_out(self, path: Path) -> Mapping[str, int]:
        """Queries that nobody judged, or only as not relevant; judgments of queries that the file does not have."""
        judged = read_judgments(self.files(path)[1])
        known = {query.id: query.extra.get("answerable", True) is not False for query in read_queries(path)}
        unjudged = sum(answerable and id not in judged for id, answerable in known.items())
        irrelevant = sum(id in judged and not self._sorted(judged[id].values())[0] for id, yes in known.items() if yes)
        return {
            "queries without a judgment": unjudged,
            "queries without a relevant document": irrelevant,
            "judgments of other queries": sum(len(of_query) for id, of_query in judged.items() if id not in known),
        }

    def _sorted(self, judgments: Iterable[Judgment]) -> tuple[list[Judgment], list[Judgment]]:
        """Relevant ones, and the others."""
        every = list(judgments)
        return (
            [each for each in every if each.score >= self.relevant_from],
            [each for each in every if each.score < self.relevant_from],
        )


def _item(query: Query, relevant: Sequence[Judgment], decoys: Sequence[Judgment]) -> dict[str, Any]:
    return {
        "id": query.id,
        "question": query.text,
        "paraphrases": query.extra.get("paraphrases", []),
        "answers": [{"id": judgment.doc, "grade": judgment.score} for judgment in relevant],
        "decoys": [judgment.doc for judgment in decoys] or query.extra.get("decoys", []),
        "answerable": bool(relevant),
        "tags": query.extra.get("tags", {}),
        "origin": query.extra.get("origin", "people"),
    }
