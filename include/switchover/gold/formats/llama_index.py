"""Labelled sets of LlamaIndex: ``LabelledRagDataset``, and question-context pairs (``EmbeddingQAFinetuneDataset``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from switchover.errors import GoldError
from switchover.gold.formats.mapped import Mapped
from switchover.gold.jsonl import kind_of


class LlamaIndexFormat(Mapped):
    """LlamaIndex: the contexts that the question was made from, else its reference answer."""

    kind: Literal["llama_index"] = "llama_index"
    paths: ClassVar[Mapping[str, str]] = {
        "records": "examples",
        "id": "id",
        "question": "query",
        "texts": "reference_contexts || reference_answer",
        "ids": "relevant_docs",
    }

    def records_of(self, path: Path) -> Iterator[tuple[str, Any]]:
        """Pairs stand in three objects beside each other: queries, corpus, relevant_docs."""
        for where, record in super().records_of(path):
            if isinstance(record, dict) and "queries" in record and "relevant_docs" in record:
                yield from _pairs(where, record)
            else:
                yield where, record


def _pairs(where: str, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    queries, relevant, corpus = body["queries"], body["relevant_docs"], body.get("corpus") or {}
    for name, value in (("queries", queries), ("relevant_docs", relevant), ("corpus", corpus)):
        if not isinstance(value, dict):
            raise GoldError(f"{where}: {name}: found {kind_of(value)}; allowed: an object")
    for number, (id, query) in enumerate(queries.items(), start=1):
        nodes = relevant.get(id)
        texts = [corpus.get(node) for node in nodes if isinstance(node, str)] if isinstance(nodes, list) else []
        yield (
            f"{where}: query {number}",
            {"id": id, "query": query, "reference_contexts": texts, "relevant_docs": nodes},
        )
