"""Live traffic on Green: one sample of the signals' store, and all of a hold added up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

RAW = 2_000  # characters of a store's answer that are kept


@dataclass(frozen=True, kw_only=True)
class AskedFigure:
    """One figure that a store was asked for: the resolved query and what came, kept beside the verdicts.

    ``instant`` is the time (ISO, UTC) for which was asked. ``value`` is ``None`` when the answer was no figure to
    trust: ``why`` says in one line what it was. ``raw`` is the answer itself, cut to ``RAW`` characters.
    """

    figure: str
    arm: str
    query: str
    instant: str
    value: float | None
    why: str = ""
    raw: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {**self.__dict__, "raw": self.raw[:RAW]}

    @property
    def line(self) -> str:
        """For people: the figure, what came, and the query that brought it."""
        found = self.why if self.value is None else f"{self.value:g}{f' ({self.why})' if self.why else ''}"
        return f"{self.figure} of {self.arm}: {found}; query: {self.query}"


@dataclass(frozen=True, kw_only=True)
class Dead:
    """A look at which the store had no figures to trust. ``why`` is one line; it names the query."""

    why: str
    asked: Sequence[AskedFigure] = field(default=(), compare=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``sample_from_json`` reads it back."""
        return {"dead": self.why, "asked": [each.to_json() for each in self.asked]}


@dataclass(frozen=True, kw_only=True)
class SignalSample:
    """Live traffic on Green in [since, until): probes are not in it, they are judged from their rows.

    Samples of one hold either follow each other, or all begin at the flip and grow; see ``increments``. ``until`` is
    how far the store's figures reach, so that a store that is late shows no silence.
    ``elsewhere``: live requests in the same time that another arm answered. ``tool_loops`` is ``None`` where the plan
    has no such figure. ``more``: counts that are shown and not judged, by name. ``extra``: figures of the plan's own.
    ``p95_between``: the edges of the histogram's bucket in which a p95 lies. ``lacks``: figure -> why it has no value
    now, though the plan has it.
    """

    requests: int
    errors_5xx: int
    failures: int
    tool_loops: int | None
    p95_ms: Mapping[str, float]
    since: datetime
    until: datetime
    elsewhere: int = 0
    more: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
    p95_between: Mapping[str, Sequence[float]] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    asked: Sequence[AskedFigure] = field(default=(), compare=False, repr=False)

    @property
    def problem(self) -> str | None:
        """What cannot be true about these figures, or ``None``."""
        counts = {"errors_5xx": self.errors_5xx, "failures": self.failures, "tool_loops": self.tool_loops or 0}
        for name, count in {"requests": self.requests, "elsewhere": self.elsewhere, **counts}.items():
            if count < 0:
                return f"{name} is {count}"
        for name, count in counts.items():
            if count > self.requests:
                return f"{name} {count} of {self.requests} requests"
        return "until is before since" if self.until < self.since else None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back, all but what was ``asked``."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("more", "extra", "lacks"):
            plain[name] = dict(plain[name])
        p95 = {stage: ms for stage, ms in self.p95_ms.items() if math.isfinite(ms)}
        between = {stage: list(edges) for stage, edges in self.p95_between.items() if all(map(math.isfinite, edges))}
        asked = [each.to_json() for each in self.asked]
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return {**plain, "p95_ms": p95, "p95_between": between, "asked": asked, **times}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SignalSample:
        """Read a sample that ``to_json`` wrote."""
        times = {name: datetime.fromisoformat(data[name]) for name in ("since", "until")}
        return cls(**{**data, **times, "p95_ms": dict(data["p95_ms"]), "asked": ()})


def sample_from_json(data: Mapping[str, Any] | None) -> SignalSample | Dead | None:
    """What one look found, as a ledger keeps it; ``None`` stands for a dead store in older ledgers."""
    if data is None:
        return None
    return Dead(why=str(data["dead"])) if "dead" in data else SignalSample.from_json(data)


Looked = SignalSample | Dead | None
Signals = Looked | Sequence[Looked]
COUNTS = ("requests", "errors_5xx", "failures", "tool_loops", "elsewhere")
MOST_ELSEWHERE = 0.05  # of the live requests of a window: what another arm may still have answered
BY_CHANCE = 12.0  # requests that the time of a silence would have had: e^-12, and a hold has some hundred looks
GAP_S = 1.0  # two samples may miss each other by this much before the time between them counts as unseen


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What live traffic did in one hold. ``parts`` are the samples, each cut to what the one before lacked.

    ``dead`` says why there is no trustworthy figure now, ``unseen`` which part of the hold no sample covers.
    """

    parts: tuple[SignalSample, ...]
    dead: str
    unseen: str

    @classmethod
    def of(cls, signals: Signals) -> Traffic:
        """Add up samples, oldest first; ``Dead`` or ``None`` stands for a look at which the store was dead."""
        looks = [signals] if isinstance(signals, SignalSample | Dead) or signals is None else signals
        samples = [look if isinstance(look, SignalSample) else None for look in looks]
        good = [sample for sample in samples if sample is not None and not sample.problem]
        problems = [sample.problem for sample in samples if sample is not None and sample.problem]
        dead = ""
        if not samples or samples[-1] is None:
            last = looks[-1] if looks else None
            dead = last.why if isinstance(last, Dead) else "the signals did not answer"
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
        """Live requests with a tool loop, where the plan has that figure; see ``lacks``."""
        return sum(part.tool_loops or 0 for part in self.parts)

    @property
    def watches_loops(self) -> bool:
        """Whether the plan has a figure of the tool loops of live traffic."""
        return any(part.tool_loops is not None or "tool_loops" in part.lacks for part in self.parts)

    def lacks(self, figure: str) -> str:
        """Why a figure that the plan has no value now; empty when it has one."""
        return self.parts[-1].lacks.get(figure, "") if self.parts else ""

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
        looks = len(self._silence)
        if self.requests and looks >= window:
            seconds = sum((part.until - part.since).total_seconds() for part in self._silence)
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
        looks = len(self._silence)
        if looks < looks_of_silence or not self.requests:
            return False
        return self.requests / (len(self._told) - looks) * looks >= BY_CHANCE

    @property
    def _told(self) -> list[SignalSample]:
        """The looks at which the store told of more time than before; of the others it is only late."""
        return [part for part in self.parts if part.until > part.since]

    @property
    def _silence(self) -> list[SignalSample]:
        """The looks at the end, newest first, that had no live request; all of them when none had."""
        return list(itertools.takewhile(lambda part: not part.requests, reversed(self._told)))

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
        if last is not None and sample.since == last.since:
            if sample.until < last.until:  # a store that falls back says nothing new
                continue
            out.append(replace(sample, since=last.until, **_grown(sample, last)))
        else:
            out.append(sample)
        last = sample
    return out


def _grown(sample: SignalSample, last: SignalSample) -> dict[str, Any]:
    """What a sample has and its forerunner had not; a count that the forerunner lacked is whole."""
    grown: dict[str, Any] = {}
    for name in COUNTS:
        now, before = getattr(sample, name), getattr(last, name)
        grown[name] = None if now is None else max(0, now - (before or 0))
    return grown


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
