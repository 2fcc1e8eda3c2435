"""Signals by kind. Adding one is one file and one line here; an installed package adds one by an entry point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from switchover.registry import kinds, one_of, one_or_several
from switchover.signals.base import REQUIRED, Extra, Signals, SignalsSpec
from switchover.signals.store import StoreSignals, utc_now

if TYPE_CHECKING:
    from switchover.edge.edge import Edge

__all__ = [
    "KINDS",
    "AnySignals",
    "PlanSignals",
    "Signals",
    "SignalsSpec",
    "check_sources",
    "extras_of",
    "signals_of",
    "sources_of",
]

KINDS = kinds(
    "switchover.signals",
    (
        "switchover.signals.sql:SqlSignalsSpec",
        "switchover.signals.prometheus:PrometheusSpec",
        "switchover.signals.cloudwatch:CloudWatchSpec",
        "switchover.signals.http_json:HttpJsonSpec",
    ),
)

if TYPE_CHECKING:
    AnySignals = SignalsSpec
    PlanSignals = SignalsSpec | list[SignalsSpec]
else:
    AnySignals = one_of(KINDS)
    PlanSignals = one_or_several(AnySignals)


def sources_of(given: SignalsSpec | Sequence[SignalsSpec]) -> list[SignalsSpec]:
    """The sources of a plan, which may name one or a list."""
    return [given] if isinstance(given, SignalsSpec) else list(given)


def extras_of(given: SignalsSpec | Sequence[SignalsSpec]) -> list[Extra]:
    """The figures of the plan's own."""
    return [extra for source in sources_of(given) for extra in source.extra]


def check_sources(given: SignalsSpec | Sequence[SignalsSpec]) -> None:
    """``ValueError`` unless each figure comes from one source, and those that are required from the same."""
    sources = sources_of(given)
    counted = Counter(name for source in sources for name in source.gives)
    twice = [name for name, times in counted.items() if times > 1]
    if twice:
        raise ValueError(f"signals: {twice[0]} comes from {counted[twice[0]]} sources; say `only` in all but one")
    main = next((source for source in sources if "requests" in source.gives), None)
    lacking = [name for name in REQUIRED if main is None or name not in main.gives]
    if lacking:
        raise ValueError(
            f"signals: no figure {lacking[0]}; required, all from one source: {', '.join(REQUIRED)}"
            " (failures are requests without success: they include the 5xx)"
        )
    names = Counter(extra.name for extra in extras_of(given))
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise ValueError(f"signals.extra: {twice[0]!r} is given {names[twice[0]]} times; allowed: each name once")


def signals_of(
    given: SignalsSpec | Sequence[SignalsSpec],
    edge: Edge,
    *,
    arms: Collection[str],
    now: Callable[[], datetime] = utc_now,
) -> Signals:
    """Live traffic as a plan's sources know it. No I/O."""
    return StoreSignals(sources=[source.build(edge, arms=arms) for source in sources_of(given)], arms=arms, now=now)
