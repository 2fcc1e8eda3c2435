"""What a plot is on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

ARMS = (("blue", "Blue"), ("green", "Green"))


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot. ``legend`` has (kind, words); ``head`` and ``rows`` are its figures as a table."""

    name: str
    title: str
    told: str
    svg: Markup
    legend: Sequence[tuple[str, str]]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: bool = False
