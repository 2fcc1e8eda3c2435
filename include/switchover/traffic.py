"""Live traffic on Green, added up from the samples of the signals' store."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from switchover.evidence import SignalSample, increments

Signals = SignalSample | Sequence[SignalSample | None] | None
GAP_S = 1.0  # two samples may miss each other by this much before the time between them counts as unseen


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What live traffic did in one hold. ``parts`` are the samples, each cut to what the one before lacked.

    ``dead`` says why there is no trustworthy figure now, ``unseen`` what of the hold no sample covers.
    """

    parts: tuple[SignalSample, ...]
    dead: str
    unseen: str

    @classmethod
    def of(cls, signals: Signals) -> Traffic:
        """Add up samples, oldest first; ``None`` stands for a look at which the store was dead."""
        samples: Sequence[SignalSample | None]
        samples = [signals] if isinstance(signals, SignalSample) or signals is None else signals
        good = [sample for sample in samples if sample is not None and not sample.problem]
        problems = [sample.problem for sample in samples if sample is not None and sample.problem]
        dead = ""
        if not samples or samples[-1] is None:
            dead = "the signals did not answer"
        elif problems:
            dead = f"the signals contradict themselves: {problems[0]}"
        return cls(parts=tuple(increments(good)), dead=dead, unseen=_unseen(samples, good))

    @property
    def requests(self) -> int:
        """Live requests."""
        return sum(part.requests for part in self.parts)

    @property
    def errors_5xx(self) -> int:
        """Live requests that ended in a 5xx."""
        return sum(part.errors_5xx for part in self.parts)

    @property
    def failures(self) -> int:
        """Live requests without success."""
        return sum(part.failures for part in self.parts)

    @property
    def tool_loops(self) -> int:
        """Live requests with a tool loop."""
        return sum(part.tool_loops for part in self.parts)

    @property
    def blocked(self) -> str:
        """Why live traffic cannot be accepted; empty when it can be judged."""
        if self.dead:
            return self.dead
        if self.unseen:
            return f"needs signals without gaps: {self.unseen}"
        return "" if self.requests else "needs live requests on Green; none so far"


def _unseen(samples: Sequence[SignalSample | None], good: list[SignalSample]) -> str:
    """What no sample covers: the time between two, and dead looks before the first.

    Figures that grow from the flip on (two samples with one beginning) cover the looks before them.
    """
    parts = increments(good)
    pauses = ((later.since - earlier.until).total_seconds() for earlier, later in itertools.pairwise(parts))
    seconds = sum(pause for pause in pauses if pause > GAP_S)
    if seconds:
        return f"{seconds:.0f} s of the hold were not seen"
    grows = len(good) > 1 and good[0].since == good[1].since
    if good and samples[0] is None and not grows:
        return "the first looks of the hold were not seen"
    return ""
