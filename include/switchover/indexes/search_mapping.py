"""What a mapping of Elasticsearch or OpenSearch says of its vectors, and how a document's are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from switchover.indexes.base import Vectors

METRICS = {
    "cosinesimil": "cosine",
    "innerproduct": "ip",
    "dot_product": "ip",
    "max_inner_product": "ip",
    "l2_norm": "l2",
}


def held_vectors(mappings: Mapping[str, Any], name: str) -> Vectors:
    """What a mapping says of a vector field: Elasticsearch as ``similarity``, OpenSearch as ``space_type``."""
    found: Any = mappings
    for part in name.split("."):
        found = found.get("properties", {}).get(part, {})
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
