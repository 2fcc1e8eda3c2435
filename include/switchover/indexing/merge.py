"""What two lists of (document, revision) do not have in common, in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A document whose revisions differ; ``None`` where it is missing."""

    doc: str
    source: int | None
    stored: int | None


def marks(revisions: Iterable[tuple[str, int]]) -> int:
    """A sum that two lists share only if they hold the same, in any order; that of a whole is that of its parts."""
    digests = (hashlib.sha256(f"{revision}\t{doc}".encode()).digest() for doc, revision in revisions)
    return sum(int.from_bytes(each, "big") for each in digests)


def differences(source: Iterator[tuple[str, int]], stored: Iterator[tuple[str, int]]) -> Iterator[Difference]:
    """Every document that is not the same on both sides; both come by name in code-point order.

    A document that is stored in two revisions differs, whatever the source has.
    """
    here, there = next(source, None), next(stored, None)
    while here is not None or there is not None:
        if there is None or (here is not None and here[0] < there[0]):
            assert here is not None
            yield Difference(doc=here[0], source=here[1], stored=None)
            here = next(source, None)
        elif here is None or there[0] < here[0]:
            yield Difference(doc=there[0], source=None, stored=there[1])
            there = next(stored, None)
        else:
            following = next(stored, None)
            twice = following is not None and following[0] == here[0]
            if twice or here[1] != there[1]:
                yield Difference(doc=here[0], source=here[1], stored=there[1])
            while following is not None and following[0] == here[0]:
                following = next(stored, None)
            here, there = next(source, None), following
