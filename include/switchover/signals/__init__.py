"""Signals by kind. Adding one is one file and one line here; an installed package adds one by an entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.registry import kinds, one_of
from switchover.signals.base import Signals, SignalsSpec

__all__ = ["KINDS", "AnySignals", "Signals", "SignalsSpec"]

KINDS = kinds("switchover.signals", ("switchover.signals.sql:SqlSignalsSpec",))

if TYPE_CHECKING:
    AnySignals = SignalsSpec
else:
    AnySignals = one_of(KINDS)
