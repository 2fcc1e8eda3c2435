"""For a team's own build job: add up what is stored while it is written, in one process or in many.

Each worker writes the sum of its rows to a file of its own; :func:`merged` adds the files up. The sums go into the
manifest (``IndexFacts.count`` and ``pairs``), and verify holds the index against them.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from switchover.indexes.receipt import Adder, Choice, Sum

NONE = Choice(key=0, below=0)  # rows for an audit are kept by attest, not by a build


class Receipt:
    """The sum of the rows that one worker stores."""

    def __init__(self) -> None:
        self._adder = Adder(NONE)

    def add(self, id: str, text: str, vector: Sequence[float] | None) -> None:
        """Take in one row that is stored; ``vector`` as float32, ``None`` where it has none."""
        packed = None if vector is None else struct.pack(f">{len(vector)}f", *vector)
        self._adder.add(id, text, packed)

    @property
    def sum(self) -> Sum:
        """Of all rows so far."""
        return self._adder.tally().sum


@contextlib.contextmanager
def receipt(path: Path) -> Iterator[Receipt]:
    """A receipt for the block, written to ``path`` when the block has ended well, and not at all otherwise."""
    path.unlink(missing_ok=True)
    made = Receipt()
    yield made
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(made.sum.to_json()), encoding="utf-8")
    beside.replace(path)


def merged(paths: Iterable[Path]) -> Sum:
    """The sum of the rows of all workers. ``OSError`` where one has not ended well."""
    sums = (Sum.from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths)
    return sum(sums, Sum())
