"""The two arms of the model, and its one reader: it follows, stands still on an arm, or cannot be read at all."""

from __future__ import annotations

from typing import Any

from switchover.arms.spec import Reader
from switchover.steps.readers import Looked

SEARCH, FOLLOWS, GONE = "search", "follows", "gone"
V1, V2 = "docs_v1", "docs_v2"
HASH = {V1: "hash of build v1", V2: "hash of build v2"}


async def ask_reader(world: Any, reader: Reader, target: str, index_hash: str, looked: Looked) -> None:
    """What ``readers._ask`` would learn of the one reader: it follows, stands still on an arm, or cannot be read."""
    store = world.edge.world.store
    looked.unread.pop(reader.name, None)
    looked.behind.pop(reader.name, None)
    serves = store.target if store.reader == FOLLOWS else store.reader
    if serves == GONE:
        looked.unread[reader.name] = f"{reader.name}: did not answer"
    elif serves == target and HASH.get(serves) == index_hash:
        looked.followed[reader.name] = index_hash
    else:
        looked.behind[reader.name] = f"{reader.name} serves {serves!r}"
