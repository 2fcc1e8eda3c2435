"""How values read on the page: figures, times, names. Escaping is the templates' own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from switchover.report.summary import clock

NONE = "–"
STATES = {
    "planned": "Planned",
    "frozen": "Writers frozen",
    "verified": "Verified",
    "warmed": "Green warmed",
    "flipping": "Flipping",
    "holding": "Holding",
    "rolling_back": "Rolling back",
    "promoted": "Promoted",
    "rolled_back": "Rolled back",
    "aborted": "Aborted",
    "stuck": "Stuck",
}
GATES = {
    "acceptance": "acceptance rules, before the flip",
    "stop": "stop rules, at the newest look of the hold",
    "now": "acceptance rules, as if the hold ended now",
    "hold": "acceptance rules, after the hold",
}
MEASURES = {
    "flips": "λ flips",
    "ds_question": "ΔS",
    "coverage": "coverage",
    "ms_total": "total ms",
    "ms_retrieve": "retrieve ms",
    "ms_rerank": "rerank ms",
    "ms_reason": "reason ms",
}


def number(value: Any, digits: int = 3) -> str:
    """Three digits, a true minus, no trailing noise; a dash for nothing."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
    if "e" in text and 1e-4 <= abs(value) < 1e6:
        text = f"{value:,.0f}"
    return text.replace("-", "−").replace(",", "\u202f")


def signed(value: Any) -> str:
    """The same with a plus."""
    text = number(value)
    return f"+{text}" if isinstance(value, (int, float)) and value > 0 else text


def interval(value: Any) -> str:
    """``0.31 to 0.42``."""
    if not isinstance(value, (list, tuple)) or len(value) != 2 or None in value:
        return NONE
    return f"{number(value[0])} to {number(value[1])}"


def seconds(value: Any) -> str:
    """Milliseconds under a second, words above a minute."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return NONE
    if 0 < value < 1:
        return f"{number(round(1000 * value))} ms"
    return f"{number(round(value, 2))} s" if value < 60 else clock(value)


def at(value: Any) -> str:
    """A time of day in UTC, from a time or its text."""
    found = _time(value)
    return f"{found:%H:%M:%S}" if found else NONE


def day(value: Any) -> str:
    """Day and time in UTC."""
    found = _time(value)
    return f"{found:%Y-%m-%d %H:%M} UTC" if found else NONE


def iso(value: Any) -> str:
    """For ``<time datetime>``."""
    found = _time(value)
    return found.isoformat() if found else ""


def short(value: Any, width: int = 16) -> str:
    """The beginning of a digest or a name."""
    text = NONE if value is None else str(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def words(value: Any) -> str:
    """A name of the ledger, for people."""
    return str(value).replace("_", " ")


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _named(names: Mapping[str, str]) -> Callable[[Any], str]:
    return lambda value: names.get(str(value), str(value))


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "signed": signed,
    "interval": interval,
    "seconds": seconds,
    "clock": clock,
    "at": at,
    "day": day,
    "iso": iso,
    "short": short,
    "words": words,
    "state_name": _named(STATES),
    "gate_name": _named(GATES),
    "measure_name": _named(MEASURES),
}
