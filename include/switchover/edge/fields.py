"""The fields of somebody else's JSON, each asked for by its type; behind it every value has its bounds.

A field that is not as agreed is a ``BadAnswer`` whose text names it. What no database stores (NUL, half a surrogate) is
replaced.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from switchover.edge.body import BadAnswer, kind_of

LONGEST_ID = 500  # characters: an index of the ledger takes 2,704 bytes
LONGEST_URL = 4_000
LONGEST_TEXT = 200_000
LARGEST_OFFSET = 2**53
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with what no database stores replaced."""
    if text.isascii() and "\x00" not in text:
        return text
    return UNSTORABLE.sub("\ufffd", text)


class Fields:
    """The fields of one JSON object; each is asked for by its type. ``BadAnswer`` names the field and what is due."""

    def __init__(self, body: Any, where: str = "", *, paths: Mapping[str, str] = MappingProxyType({})) -> None:
        """``paths``: where in somebody else's answer a field was found, for messages."""
        if not isinstance(body, dict):
            raise BadAnswer(f"{where or 'answer'} is {kind_of(body)}; allowed: an object")
        self.body = body
        self._where = f"{where}." if where else ""
        self._paths = paths

    def names(self) -> list[str]:
        """The names of all fields that can be stored."""
        return [name for name in self.body if storable(name) == name and len(name) <= LONGEST_ID]

    def id(self, name: str) -> str:
        """A short text, or a whole number as one; it must be there."""
        return str(self._there(name, self.id_if_any(name)))

    def id_if_any(self, name: str, *, longest: int = LONGEST_ID) -> str | None:
        """A text, or a whole number as one; ``None`` where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            return None
        if type(value) is int:
            value = str(value)
        return self._text(name, value, longest)

    def whole(self, name: str) -> int:
        """A whole number from 0; it must be there."""
        return int(self._there(name, self.whole_if_any(name)))

    def whole_if_any(self, name: str) -> int | None:
        """A whole number from 0; ``None`` where it is absent or null."""
        value = self.number_if_any(name)
        if value is None or (type(value) is int and 0 <= value <= LARGEST_OFFSET):
            return value
        if not (float(value).is_integer() and 0 <= value <= LARGEST_OFFSET):
            raise self.wrong(name, f"found {value:g}; allowed: a whole number from 0 to 2^53")
        return int(value)

    def number_if_any(self, name: str) -> float | None:
        """A number; ``None`` where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, f"found {kind_of(value)}; allowed: a number")
        if not math.isfinite(value):
            raise self.wrong(name, "found no finite number; allowed: a number")
        return value

    def objects(self, name: str, *, most: int) -> list[Fields]:
        """A list of objects, empty where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, f"found {kind_of(value)}; allowed: a list")
        if len(value) > most:
            raise self.wrong(name, f"found {len(value):,} entries; allowed: up to {most:,}")
        return [Fields(each, f"{self._where}{name}[{number}]") for number, each in enumerate(value)]

    def inner(self, name: str) -> Fields:
        """An object; it must be there."""
        return Fields(self._there(name, self.body.get(name)), f"{self._where}{name}")

    def inner_if_any(self, name: str) -> Fields:
        """An object, empty where it is absent or null."""
        return Fields({} if self.body.get(name) is None else self.body[name], f"{self._where}{name}")

    def texts(self) -> dict[str, str]:
        """Every field as a text; those that are null are left out."""
        found = {name: self.id_if_any(name, longest=LONGEST_URL) for name in self.names()}
        return {name: text for name, text in found.items() if text is not None}

    def scalars(self) -> dict[str, Any]:
        """The fields that are a text, a number, or true or false."""
        plain = {name: self.body[name] for name in self.names() if not isinstance(self.body[name], list | dict)}
        return {name: storable(value) if isinstance(value, str) else value for name, value in plain.items()}

    def _text(self, name: str, value: Any, longest: int) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(name, f"found {kind_of(value)}; allowed: a text")
        if len(value) > longest:
            raise self.wrong(name, f"found a text of {len(value):,} characters; allowed: up to {longest:,}")
        return storable(value)

    def _there(self, name: str, value: Any) -> Any:
        if value is None:
            raise BadAnswer(f"answer without {self._where + name!r}{self._path(name)}")
        return value

    def _path(self, name: str) -> str:
        path = self._paths.get(name, name)
        return f" (path {path!r})" if path != name else ""

    def wrong(self, name: str, text: str) -> BadAnswer:
        """The error that names a field and says what was found and what is allowed."""
        return BadAnswer(f"{self._where}{storable(name)[:80]}{self._path(name)}: {text}")
