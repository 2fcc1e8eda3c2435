"""What a mapping of Elasticsearch or OpenSearch says of its vectors, and how vectors and documents are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from switchover.indexes.base import Vectors

METRICS = {
    "cosinesimil": "cosine",
    "innerproduct": "ip",
    "dot_product": "ip",
    "max_inner_product": "ip",
    "l2_norm": "l2",
}
NUMBERS = ("byte", "short", "integer", "long", "unsigned_long")


def described(mappings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a mapping says of a field; nothing of one that is not there, or is another form of one."""
    found: Mapping[str, Any] = mappings
    for part in name.split("."):
        found = found.get("properties", {}).get(part, {})
    return found


def held_vectors(mappings: Mapping[str, Any], name: str) -> Vectors:
    """What a mapping says of a vector field: Elasticsearch as ``similarity``, OpenSearch as ``space_type``."""
    found = described(mappings, name)
    method = found.get("method") or {}
    said = str(found.get("similarity") or method.get("space_type") or found.get("space_type") or "")
    options = found.get("index_options") or {"type": method.get("name"), **method.get("parameters", {})}
    told = ", ".join(f"{name} {value}" for name, value in sorted(options.items()) if value is not None)
    return Vectors(
        metric=METRICS.get(said, said), dimension=found.get("dims") or found.get("dimension"), parameters=told
    )


def asked_fields(vector: str | None, *names: str) -> dict[str, Any]:
    """What is asked of each document; the vector also by ``fields``, where ``_source`` is kept without it."""
    vectors = [] if vector is None else [vector]
    return {"_source": [*names, *vectors], **({"fields": vectors} if vectors else {})}


def asked_documents(mappings: Mapping[str, Any], field: str, docs: Sequence[str]) -> dict[str, Any]:
    """The search that finds which of these documents are there: no other is counted, so none is cut off."""
    if field == "_id":
        return {"query": {"ids": {"values": [*docs]}}, "size": len(docs), "_source": False}
    numbers = described(mappings, field).get("type") in NUMBERS
    wanted = [doc for doc in docs if doc.lstrip("-").isdecimal()] if numbers else [*docs]
    found: dict[str, Any] = {"field": field, "size": max(len(wanted), 1)}
    if wanted:  # a row may be of several documents: those that nobody asked for take no place
        found["include"] = wanted
    return {"query": {"terms": {field: wanted}}, "size": 0, "aggs": {"documents": {"terms": found}}}


def found_documents(answer: Mapping[str, Any]) -> set[str]:
    """The documents of such a search's answer."""
    if "aggregations" not in answer:
        return {hit["_id"] for hit in answer["hits"]["hits"]}
    return {str(bucket["key"]) for bucket in answer["aggregations"]["documents"]["buckets"]}
