"""Marks: how an alias in OpenSearch or Elasticsearch carries the epoch of its last holder.

A mark is a second alias, ``<alias>--switchover-<epoch>-<version>-<random word>``. Every move and every fence removes
the marks that it has seen, each with ``must_exist``, and adds its own, in one ``_aliases`` call that changes
everything or nothing. The random word keeps a name from coming back.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from switchover.edge.search_api import SearchApi, quoted

PREFIX = "--switchover-"
_MARK = re.compile(r"(\d+)-(\d+)-[0-9a-f]{8}")

Action = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A mark on one index. ``version`` counts the moves."""

    index: str
    name: str
    epoch: int
    version: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One look at an alias: each of its indexes with what it carries there, the marks, and what was frozen."""

    holders: Mapping[str, Mapping[str, Any]]
    marks: tuple[Mark, ...]
    frozen: frozenset[str]

    @property
    def epoch(self) -> int | None:
        """The newest epoch that has written."""
        return max((mark.epoch for mark in self.marks), default=None)

    @property
    def version(self) -> int | None:
        """Moves since the first mark."""
        return max((mark.version for mark in self.marks), default=None)


def look(api: SearchApi, alias: str) -> Seen:
    """Read the alias and its marks in one request, so that both are of one moment."""
    path = f"/_alias/{quoted(alias)},{quoted(alias + PREFIX)}*"
    body = api.call("GET", path).body  # a 404 says that one of the names is missing, and still lists the others
    found = {index: each["aliases"] for index, each in body.items() if isinstance(each, Mapping) and "aliases" in each}
    marks = [
        Mark(index=index, name=name, epoch=int(parts[1]), version=int(parts[2]))
        for index, aliases in found.items()
        for name in aliases
        if (parts := _MARK.fullmatch(name.removeprefix(alias + PREFIX)))
    ]
    return Seen(
        holders={index: aliases[alias] for index, aliases in found.items() if alias in aliases},
        marks=tuple(sorted(marks, key=lambda mark: mark.name)),
        frozen=frozenset(index for index, aliases in found.items() if frozen_name(alias) in aliases),
    )


def frozen_name(alias: str) -> str:
    """The alias that stands on every index that was write-blocked by a move of ``alias``."""
    return f"{alias}{PREFIX}frozen"


def new_mark(alias: str, *, index: str, epoch: int, version: int) -> Mark:
    """A mark that was never there before."""
    name = f"{alias}{PREFIX}{epoch}-{version}-{uuid.uuid4().hex[:8]}"
    return Mark(index=index, name=name, epoch=epoch, version=version)


def exchange(old: tuple[Mark, ...], new: Mark) -> list[Action]:
    """Actions that hold only if every mark in ``old`` is there still."""
    return [*(remove(mark.index, mark.name) for mark in old), add(new.index, new.name, is_hidden=True)]


def add(index: str, alias: str, **carried: Any) -> Action:
    """An action that sets an alias."""
    return {"add": {"index": index, "alias": alias, **carried}}


def remove(index: str, alias: str) -> Action:
    """An action that fails the whole call unless the alias is on that index."""
    return {"remove": {"index": index, "alias": alias, "must_exist": True}}


def act(api: SearchApi, *actions: Action) -> bool:
    """All actions in one step; false when one of them found nothing, and then nothing was changed."""
    return api.change("POST", "/_aliases", {"actions": list(actions)}).ok
