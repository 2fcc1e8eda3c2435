"""Kinds by name: ours are a list of places in each package, others come from installed packages.

A package that is installed beside this one adds a kind by an entry point, with nothing changed here:

    [project.entry-points."switchover.pointers"]
    mine = "my_package.pointer:MySpec"
"""

from __future__ import annotations

import functools
import importlib
import logging
import operator
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from switchover.part import Part

log = logging.getLogger("switchover")

#: Where a package may add kinds, each a group of entry points.
GROUPS = (
    "switchover.pointers",
    "switchover.indexes",
    "switchover.writers",
    "switchover.signals",
    "switchover.encoders",
    "switchover.gold",
)


def kinds(group: str, ours: Sequence[str]) -> dict[str, Any]:
    """Kind -> what it is: those of ``ours`` (each ``module:name``), then those of installed packages.

    A package whose kind cannot be loaded, has no ``kind`` or takes a name that is given is left out, and the log
    says so: it must not take away every plan.
    """
    found: dict[str, Any] = {}
    for place in ours:
        module, _, name = place.partition(":")
        spec = getattr(importlib.import_module(module), name)
        found[kind_of(spec)] = spec
    for point in sorted(entry_points(group=group), key=lambda each: each.name):
        try:
            spec = point.load()
            kind = kind_of(spec)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with somebody else's package)
            log.warning("%s: %s cannot be used: %s: %s", group, point.value, type(error).__name__, error)
            continue
        if kind in found:
            log.warning("%s: %s cannot be used: the kind %r is there already", group, point.value, kind)
            continue
        found[kind] = spec
    return found


#: Where a plan may have one part or a list of them, pydantic tells of an error which of the two it was.
SHAPES = ("one part", "several parts")


def one_or_several(part: Any) -> Any:
    """The type of a plan's key that takes one part, or a list of them."""
    one, several = SHAPES
    return Annotated[
        Annotated[part, Tag(one)] | Annotated[list[part], Tag(several)],
        Discriminator(lambda given: several if isinstance(given, list) else one),
    ]


def kind_of(spec: Any) -> str:
    """The word by which a plan asks for a spec: the one value of its ``kind``."""
    return str(get_args(spec.model_fields["kind"].annotation)[0])


def one_of(specs: Mapping[str, type[Part]], *, default: str | None = None) -> Any:
    """The type of a plan's key that takes one of these specs, told by its ``kind``.

    ``default``: the kind of one that does not say its ``kind``; without it that is an error.
    """

    def told(value: Any) -> Any:
        return {"kind": default, **value} if isinstance(value, dict) else value

    together: Any = functools.reduce(operator.or_, specs.values())
    if len(specs) > 1:
        together = Annotated[together, Field(discriminator="kind")]
    return together if default is None else Annotated[together, BeforeValidator(told)]
