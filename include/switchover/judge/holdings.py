"""What both arms' indexes hold, counted by ``steps.holdings``; the rules that judge it say what it means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """Rows of both indexes, and what of the gold set's answers is in them.

    ``asked``: the documents or chunks (``what``) that the answers name; ``in_blue`` and ``in_green``: those of them
    that are there. ``untold``: why that cannot be known of these indexes. ``one``: both arms use one index.
    ``recut``: they cut documents into rows in different ways. ``error``: why the store did not say.
    """

    green: int = 0
    blue: int = 0
    what: str = "documents"
    asked: int = 0
    in_blue: Collection[str] = ()
    in_green: Collection[str] = ()
    untold: str = ""
    one: bool = False
    recut: bool = False
    error: str = ""

    @property
    def line(self) -> str:
        """What was counted, for people."""
        if self.one or self.error:
            return self.error or "both arms use one index"
        told = f"{self.blue:,} rows in Blue, {self.green:,} in Green"
        if self.asked and not self.untold:
            there = f"{len(set(self.in_blue))} in Blue and {len(set(self.in_green))} in Green"
            told += f"; of {self.asked} {self.what} that the gold set names {there}"
        return told

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        return {**asdict(self), "in_blue": sorted(self.in_blue), "in_green": sorted(self.in_green)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Holdings:
        """Read what ``to_json`` wrote."""
        return cls(**{**data, "in_blue": frozenset(data["in_blue"]), "in_green": frozenset(data["in_green"])})

    @property
    def lost(self) -> list[str]:
        """What Blue has and Green has not, in order."""
        return sorted(set(self.in_blue) - set(self.in_green))
