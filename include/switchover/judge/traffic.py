"""Live traffic on Green: one sample of the signals' store, and all of a hold added up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SignalSample:
    """Live traffic on Green in [since, until): probes are not in it, they are judged from their rows.

    Samples of one hold either follow each other, or all begin at the flip and grow; see ``increments``.
    ``elsewhere``: live requests in the same time that another arm answered.
    """

    requests: int
    errors_5xx: int
    failures: int
    tool_loops: int
    p95_ms: Mapping[str, float]
    since: datetime
    until: datetime
    elsewhere: int = 0

    @property
    def problem(self) -> str | None:
        """What cannot be true about these figures, or ``None``."""
        counts = {"errors_5xx": self.errors_5xx, "failures": self.failures, "tool_loops": self.tool_loops}
        for name, count in {"requests": self.requests, "elsewhere": self.elsewhere, **counts}.items():
            if count < 0:
                return f"{name} is {count}"
        for name, count in counts.items():
            if count > self.requests:
                return f"{name} {count} of {self.requests} requests"
        return "until is before since" if self.until < self.since else None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        p95 = {stage: ms for stage, ms in self.p95_ms.items() if np.isfinite(ms)}
        return {**plain, "p95_ms": p95, "since": self.since.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SignalSample:
        """Read a sample that ``to_json`` wrote."""
        times = {name: datetime.fromisoformat(data[name]) for name in ("since", "until")}
        return cls(**{**data, **times, "p95_ms": dict(data["p95_ms"])})


Signals = SignalSample | Sequence[SignalSample | None] | None
COUNTS = ("requests", "errors_5xx", "failures", "tool_loops", "elsewhere")
MOST_ELSEWHERE = 0.05  # of the live requests of a window: what another arm may still have answered
BY_CHANCE = 12.0  # requests that the time of a silence would have had: e^-12, and a hold has some hundred looks
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

    def blocked(self, window: int) -> str:
        """Why live traffic cannot be accepted; empty when it can be judged. ``window``: looks."""
        if self.dead:
            return self.dead
        if self.unseen:
            return f"needs signals without gaps: {self.unseen}"
        if not self.requests:
            return "needs live requests on Green; none so far" + self._astray(window)
        return self.absent(window)

    def absent(self, window: int) -> str:
        """Why the newest ``window`` looks do not speak for Green's users; empty when they do.

        They had no live request where there were some before, or another arm answered more of them than may be.
        """
        looks = self._silence
        if self.requests and looks >= window:
            seconds = (self.parts[-1].until - self.parts[-1 - looks].until).total_seconds()
            before = f"{self.requests:,} before{self._astray(window)}"
            return f"needs live requests on Green: none in the last {seconds:.0f} s, {before}"
        recent = self.parts[-window:]
        elsewhere, mine = sum(part.elsewhere for part in recent), sum(part.requests for part in recent)
        if elsewhere > MOST_ELSEWHERE * (elsewhere + mine):
            share = f"{elsewhere:,} of the last {elsewhere + mine:,}"
            return f"needs the live requests on Green: another arm answered {share} (allowed: {MOST_ELSEWHERE:.0%})"
        return ""

    def stopped(self, looks_of_silence: int) -> bool:
        """Whether the live traffic has stopped: a silence of so many looks that is not chance."""
        looks = self._silence
        if looks < looks_of_silence or not self.requests:
            return False
        return self.requests / (len(self.parts) - looks) * looks >= BY_CHANCE

    @property
    def _silence(self) -> int:
        """How many looks at the end had no live request; all of them when none had."""
        return len(list(itertools.takewhile(lambda part: not part.requests, reversed(self.parts))))

    def _astray(self, window: int) -> str:
        elsewhere = sum(part.elsewhere for part in self.parts[-window:])
        return f"; another arm answered {elsewhere:,}" if elsewhere else ""


def increments(samples: Sequence[SignalSample | None]) -> list[SignalSample]:
    """Samples that follow each other: one that begins where its forerunner began is cut by what that held.

    Dead samples (``None``) are left out; where figures grow from the flip on, nothing is lost by that.
    """
    out: list[SignalSample] = []
    last: SignalSample | None = None
    for sample in samples:
        if sample is None:
            continue
        if last is not None and sample.since == last.since and sample.until >= last.until:
            grown: dict[str, Any] = {name: max(0, getattr(sample, name) - getattr(last, name)) for name in COUNTS}
            out.append(replace(sample, since=last.until, **grown))
        else:
            out.append(sample)
        last = sample
    return out


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
