"""The base of every part of a plan, and the words that parts share."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field

#: Marks a key that names a connection; :func:`connections_in` finds it wherever it stands.
CONNECTION = "connection"
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$"), CONNECTION]
#: The connection of the ledger, for plans and commands that name no other.
LEDGER = "switchover_ledger"
#: Where a key stands in a plan, from the top.
Key = tuple[str, ...]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Part(BaseModel):
    """Base of every part of a plan: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def at_most(high: float) -> dict[str, Any]:
    """``json_schema_extra`` of a number: a plan's file may say no more; see ``planfile.checks``."""
    return {"maximum": high}


def at_most_characters(longest: int) -> dict[str, Any]:
    """The same of a text."""
    return {"maxLength": longest}


def connections_in(part: BaseModel) -> set[str]:
    """Every connection id that a part and the parts below it name, by the types of their keys."""
    found = set[str]()
    for name, field in type(part).model_fields.items():
        names_one = CONNECTION in field.metadata or _marked(field.annotation)
        for value in _leaves(getattr(part, name)):
            if isinstance(value, BaseModel):
                found |= connections_in(value)
            elif names_one and isinstance(value, str):
                found.add(value)
    return found


def _marked(annotation: Any) -> bool:
    """Whether a type takes a connection id, as ``ConnectionId | None`` and ``list[ConnectionId]`` do."""
    if CONNECTION in getattr(annotation, "__metadata__", ()):
        return True
    return any(_marked(argument) for argument in get_args(annotation))


def _leaves(value: Any) -> Iterator[Any]:
    """The value itself, or what a list or the values of a mapping hold."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def moved_keys(data: Any, pairs: Sequence[tuple[Key, Key]]) -> tuple[Any, list[tuple[Key, Key]]]:
    """The data with every key moved that can be, each from old to new; and which ones were.

    An old key stays where its new name is given as well; then it is an unknown key.
    """
    found = list[tuple[Key, Key]]()
    for old, new in pairs:
        moved = moved_key(data, old, new)
        if moved is not None:
            data = moved
            found.append((old, new))
    return data, found


def moved_key(data: Any, old: Key, new: Key) -> dict[str, Any] | None:
    """A copy of ``data`` with the value of ``old`` moved to ``new``; ``None``: no value, or the place is taken."""
    if not isinstance(data, dict) or old[0] not in data:
        return None
    copied: dict[str, Any] = copy.deepcopy(data)
    source: Any = copied
    for step in old[:-1]:
        source = source.get(step) if isinstance(source, dict) else None
    if not isinstance(source, dict) or old[-1] not in source:
        return None
    value, place = source.pop(old[-1]), copied
    for step in new[:-1]:
        place = place.setdefault(step, {})
        if not isinstance(place, dict):
            return None
    if new[-1] in place:
        return None
    place[new[-1]] = value
    return copied
