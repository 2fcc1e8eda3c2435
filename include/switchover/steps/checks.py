"""One invariant: what was found, and what was expected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """One invariant: what was found, and what was expected."""

    name: str
    ok: bool
    found: str
    expected: str
