"""A first plan for a stack, as YAML with comments: what was seen stands in it, what was not is a marked gap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import yaml

from switchover.errors import BadInput
from switchover.part import Part

GAP = "# fill in: "


def block(key: str, value: Any, *, why: str = "") -> str:
    """One top-level key of a plan, with a comment above it that says what it is for."""
    text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=110)
    return "".join([*(f"# {line}\n" for line in why.splitlines()), text])


def kind_block(
    key: str, given: str, kinds: Mapping[str, type[Part]], *, why: str, arms: Sequence[str] = (), indent: str = "  "
) -> str:
    """A part that has a ``kind``, from ``KIND=CONNECTION``: its other required keys are gaps with their meaning.

    ``BadInput`` names the kinds that there are.
    """
    kind, _, connection = given.partition("=")
    spec = kinds.get(kind)
    if spec is None:
        raise BadInput(f"--{key} {given}: kind {kind!r} is not known; allowed: KIND=CONNECTION with {', '.join(kinds)}")
    lines = [f"# {line}" for line in why.splitlines()] + [f"{key}:", f"{indent}kind: {kind}"]
    for name, about in spec.model_fields.items():
        if not about.is_required() or name == "kind":
            continue
        if name == "connection" and connection:
            lines.append(indent + yaml.safe_dump({name: connection}).rstrip())
        elif name == "targets" and arms:
            lines.append(f"{indent}targets:   # {_meaning(about.description)}")
            names = [yaml.safe_dump({arm: None}).partition(": null")[0] for arm in arms]
            lines += [f"{indent}  {arm}:   {GAP}what this arm is called there" for arm in names]
        else:
            lines.append(f"{indent}{name}:   {GAP}{_meaning(about.description)}")
    return "\n".join(lines) + "\n"


def merged(old: str, there: Collection[str], blocks: Iterable[tuple[str, str]]) -> tuple[str, list[str]]:
    """``old``, and at its end the blocks whose key is not ``there``; and the keys that were added.

    What a person wrote is never changed.
    """
    new = [(key, text) for key, text in blocks if key not in there]
    before = [old.rstrip("\n") + "\n"] if old.strip() else []
    return "\n".join([*before, *(text for _, text in new)]), [key for key, _ in new]


def gaps(text: str) -> list[tuple[int, str]]:
    """The gaps of a plan that are still open: number of the line, and what belongs there."""
    return [
        (number, line.partition(GAP)[2])
        for number, line in enumerate(text.splitlines(), 1)
        if GAP in line and line.partition("#")[0].rstrip().endswith((":", "-"))
    ]


def _meaning(description: str | None) -> str:
    return (description or "").split("\n")[0].rstrip(".")
