"""The write block of an index in OpenSearch or Elasticsearch."""

from __future__ import annotations

from switchover.edge.search_api import SearchApi, quoted
from switchover.errors import Unreachable

SETTING = "index.blocks.write"


def is_on(api: SearchApi, index: str) -> bool:
    """Whether the index takes no writes."""
    body = api.call("GET", f"/{quoted(index)}/_settings/{SETTING}", params={"flat_settings": "true"}).body
    return bool(body.get(index, {}).get("settings", {}).get(SETTING) == "true")


def on(api: SearchApi, index: str) -> None:
    """Take no more writes; returns when every shard has finished those it had and refuses new ones. Idempotent."""
    if is_on(api, index):
        return
    off(api, index)  # changes nothing, and proves the right that the way back needs
    answer = api.change("PUT", f"/{quoted(index)}/_block/write", None)
    blocked = [each.get("name") for each in answer.body.get("indices", []) if each.get("blocked")]
    if blocked != [index]:
        raise Unreachable(f"{api.kind} at {api.place}: index {index!r}: the write block was not acknowledged in time")


def off(api: SearchApi, index: str) -> None:
    """Take writes again. Idempotent."""
    api.change("PUT", f"/{quoted(index)}/_settings", {SETTING: None})
