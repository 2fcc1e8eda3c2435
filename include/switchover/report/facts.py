"""What a reviewer is shown of a run: its summary, and what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from switchover.report.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Facts(Summary):
    """A run's summary, and what only a reviewer needs: pins, lease, rehearsal, words about the service.

    ``gate``: the verdicts that decide now; ``playbook``: what to look at first; ``status``: the run in one line.
    """

    description: str
    declared: Sequence[str]
    readers: Sequence[str]
    caches: Mapping[str, str]
    pins: Sequence[Mapping[str, Any]]
    lease: Mapping[str, Any] | None
    watchdog: str
    approvals: Sequence[Mapping[str, Any]]
    rehearsal: Mapping[str, Any] | None
    gate: Sequence[Mapping[str, Any]] = ()
    playbook: Sequence[Mapping[str, Any]] = ()
    status: str = ""
