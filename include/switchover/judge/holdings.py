"""What both arms' indexes hold, counted by ``steps.holdings``; the rules that judge it say what it means."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


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
    def lost(self) -> list[str]:
        """What Blue has and Green has not, in order."""
        return sorted(set(self.in_blue) - set(self.in_green))
