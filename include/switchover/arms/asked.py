"""One probe: what was asked, and what came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from switchover.edge.answers import Reply


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One probe: what was asked of which arm, and the reply. ``question`` is a position in the gold set."""

    arm: str
    question: int
    paraphrase: int
    seed: int
    reply: Reply
    at: datetime
