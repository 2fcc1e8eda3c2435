"""Whether an index in OpenSearch or Elasticsearch can serve an alias's readers: it is whole, and they find something.

Counted the way readers reach it: an alias can carry a filter and a routing, and takes them along to its next index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from switchover.edge.search_api import SearchApi, quoted

#: Of what an alias carries, what keeps documents from its readers.
NARROWING = frozenset(["filter", "search_routing"])
SHOWN = "*.settings.index.uuid,*.settings.index.verified_before_close,*.settings.index.blocks,*.mappings._meta"
UNAVAILABLE = 503


def wrong_with(api: SearchApi, index: str, approved_hash: str | None) -> str:
    """Why the index cannot become live; empty when it can."""
    found = indexes(api, index)
    if index not in found:
        return f"is an alias or data stream of {', '.join(sorted(found))}" if found else "does not exist"
    settings = found[index].get("settings", {}).get("index", {})
    if settings.get("verified_before_close") == "true":
        return "is closed"
    if settings.get("blocks", {}).get("read") == "true":
        return "has the block index.blocks.read"
    counted = api.call("GET", f"/{quoted(index)}/_count", also=(UNAVAILABLE,))
    if counted.status == UNAVAILABLE:
        return "does not answer on any shard"
    shards = counted.body.get("_shards", {})
    if not shards.get("total") or shards.get("successful") != shards.get("total"):
        return f"answers on {shards.get('successful')} of {shards.get('total')} shards"
    if not counted.body.get("count"):
        return "is empty"
    stored = found[index].get("mappings", {}).get("_meta", {}).get("index_hash")
    if stored is not None and approved_hash is not None and stored != approved_hash:
        return f"carries INDEX_HASH {stored}, approved is {approved_hash}"
    return ""


def unseen(api: SearchApi, index: str, carried: Mapping[str, Any]) -> str:
    """Why readers would find nothing there through what the alias carries; empty when they find something."""
    narrowing = {name: carried[name] for name in sorted(NARROWING & set(carried))}
    if not narrowing or count(api, index, carried):
        return ""
    shown = ", ".join(f"{name} {value}" for name, value in narrowing.items())
    return f"is empty for readers: no document of it is found through the alias's {shown[:300]}"


def count(api: SearchApi, name: str, carried: Mapping[str, Any]) -> int:
    """Documents that a search finds there, through a filter and a routing; of an alias, through its own."""
    routing = {"routing": carried["search_routing"]} if "search_routing" in carried else {}
    body = {"query": carried["filter"]} if "filter" in carried else None
    answer = api.call("POST", f"/{quoted(name)}/_count", body, params=routing, also=(UNAVAILABLE,))
    return int(answer.body.get("count") or 0) if answer.ok else 0


def indexes(api: SearchApi, name: str) -> dict[str, Any]:
    """The indexes behind a name, each with its settings and ``_meta``."""
    answer = api.call("GET", f"/{quoted(name)}", params={"filter_path": SHOWN})
    return dict(answer.body) if answer.ok else {}
