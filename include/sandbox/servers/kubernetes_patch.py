"""How the emulator of the Kubernetes API changes an object: JSON patch and merge patch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]


def json_patch(before: Object, operations: Sequence[Mapping[str, Any]]) -> Object:
    """The object with the operations done, by RFC 6902 (``test``, ``add``, ``replace``, ``remove``).

    ``ValueError`` when one of them fails.
    """
    after = copy.deepcopy(before)
    for operation in operations:
        *path, last = [word.replace("~1", "/").replace("~0", "~") for word in operation["path"].split("/")[1:]]
        try:
            parent: Any = after
            for word in path:
                parent = parent[int(word) if isinstance(parent, list) else word]
            place = int(last) if isinstance(parent, list) else last
            _operate(parent, place, operation)
        except (KeyError, IndexError, TypeError, ValueError):
            raise ValueError(f"the operation on {operation['path']} failed") from None
    return after


def _operate(parent: Any, place: Any, operation: Mapping[str, Any]) -> None:
    kind, value = operation["op"], operation.get("value")
    if kind == "test" and parent[place] != value:
        raise ValueError
    if kind in ("replace", "remove"):
        parent[place]  # must be there
    if kind == "remove":
        del parent[place]
    elif kind == "add" and isinstance(parent, list):
        parent.insert(place, value)
    elif kind in ("add", "replace"):
        parent[place] = value


def merge(before: Any, patch: Any) -> Any:
    """The object with the patch merged, by RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    after = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merge(after.get(name), value)
    return after
