"""Our own form: one JSON object a line (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from switchover.errors import GoldError
from switchover.gold.formats.base import GoldFormat, Raw
from switchover.gold.jsonl import lines_of, read_all, read_object


class OwnFormat(GoldFormat):
    """JSON lines of our own form."""

    kind: Literal["own"] = "own"

    def read(self, path: Path) -> Iterator[Raw]:
        """A line is an item."""
        for number, line in lines_of(path, read_all(path)):
            where = f"{path}:{number}"
            try:
                yield where, read_object(where, line)
            except GoldError as error:
                yield where, error
