"""Live traffic from one or several metrics stores: each figure has one source; one set of rules reads all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from switchover.judge.traffic import AskedFigure, Dead, SignalSample
from switchover.signals.base import COUNTS, REQUIRED, SHOWN
from switchover.signals.reading import NoValue, fresh, moment, number, span, whole
from switchover.signals.source import Ask, Found, Source

SURVEY_S = 300.0  # how far back the survey asks, at least


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(timezone.utc)


class StoreSignals:
    """See ``Signals``. ``arms`` are the plan's: what any other serves is not this service's."""

    def __init__(
        self,
        *,
        sources: Sequence[Source],
        arms: Collection[str],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._sources = sources
        self._main = next(source for source in sources if "requests" in source.counts)
        self._arms = list(arms)
        self._now = now

    def query(self, *, arm: str, since: datetime, until: datetime) -> SignalSample | Dead:
        """See :class:`Signals`."""
        others = [Ask(what="count", figure="requests", arm=each, live=False) for each in self._arms if each != arm]
        found: dict[Ask, Found] = {}
        for source in self._sources:
            asks = [*_asks(source, arm), *(others if source is self._main else ())]
            found |= self._ask(source, asks, since=since, until=until)
        asked = [_asked(ask, each, until) for ask, each in found.items()]
        counts = {name: found[ask] for name in COUNTS if (ask := Ask(what="count", figure=name, arm=arm)) in found}
        wrong = [ask for ask in found if _must(ask, arm) and not _usable(ask, found[ask])]
        if wrong:
            late_s = self._main.lag_s + self._main.step_s
            early = f"the store is up to {late_s:g} s late; " if span(since, until).total_seconds() <= late_s else ""
            return Dead(why=early + self._line(wrong[0], found[wrong[0]]), asked=asked)
        newest = found[Ask(what="count", figure="requests", arm=arm)].newest
        reached = until if newest is None else min(until, moment(newest))
        p95 = {ask.figure: each for ask, each in found.items() if ask.what == "p95" and each.value is not None}
        return SignalSample(
            requests=_whole(counts["requests"]),
            errors_5xx=_whole(counts["errors_5xx"]),
            failures=_whole(counts["failures"]),
            tool_loops=_whole(counts["tool_loops"]) if _has(counts, "tool_loops") else None,
            p95_ms={stage: each.value or 0.0 for stage, each in p95.items()},
            p95_between={stage: each.between for stage, each in p95.items() if each.between is not None},
            since=since,
            until=max(since, reached),
            elsewhere=sum(_whole(found[ask]) for ask in others),
            more={name: counts[name].value or 0.0 for name in SHOWN if _has(counts, name)},
            extra={a.figure: f.value for a, f in found.items() if a.what == "extra" and f.value is not None},
            lacks={_named(a): self._line(a, f) for a, f in found.items() if not _must(a, arm) and not _usable(a, f)},
            asked=asked,
        )

    def is_online(self, *, arm: str | None = None) -> str | None:
        """See :class:`Signals`."""
        until = self._now()
        arms = self._arms if arm is None else [arm]
        asks = [Ask(what="count", figure="requests", arm=each) for each in arms]
        since = until - timedelta(seconds=max(self._main.stale_s, 4 * self._main.step_s) + self._main.lag_s)
        found = self._ask(self._main, asks, since=since, until=until)
        if any(each.value for each in found.values()):
            return None
        ask, first = next(((a, f) for a, f in found.items() if f.value is None), next(iter(found.items())))
        if first.value is None:
            return self._line(ask, first)
        seconds = span(since, until).total_seconds()
        return self._line(
            ask, replace(first, why=f"no live request in the last {seconds:.0f} s; is there any traffic?")
        )

    def first_error(self, *, arm: str, since: datetime) -> datetime | None:
        """See :class:`Signals`."""
        ask = Ask(what="count", figure="errors_5xx", arm=arm)
        found = self._ask(self._main, [ask], since=since, until=self._now())[ask]
        return None if found.first is None else moment(found.first)

    def survey(self, *, arms: Sequence[str]) -> list[AskedFigure]:
        """See :class:`Signals`. A count that is absent and may yet come is 0; one that never can has no value."""
        until, told = self._now(), list[AskedFigure]()
        for source in self._sources:
            since = until - timedelta(seconds=max(SURVEY_S, 8 * source.step_s) + source.lag_s)
            asks = [ask for arm in arms for ask in _asks(source, arm)]
            found = self._ask(source, asks, since=since, until=until)
            seen = {(ask.what, ask.figure) for ask, each in found.items() if each.value is not None}
            for ask in asks:
                each = found[ask]
                if each.absent and (ask.what, ask.figure) not in seen:
                    never = source.never(ask)
                    may_come = ask.what == "count" and ask.figure != "requests" and not never
                    each = (
                        replace(each, value=0.0, why="none seen yet")
                        if may_come
                        else replace(each, why=never or each.why)
                    )
                told.append(_asked(ask, each, until))
        return told

    def _ask(self, source: Source, asks: Sequence[Ask], *, since: datetime, until: datetime) -> dict[Ask, Found]:
        """The answers of one source, up to the time for which its figures are complete, none of them stale."""
        cut = until - timedelta(seconds=source.lag_s)
        answers = source.ask(asks, since=min(since, cut), until=cut) if asks else []
        return {ask: _checked(ask, each, until, source) for ask, each in zip(asks, answers, strict=True)}

    def _line(self, ask: Ask, found: Found) -> str:
        """What is wrong with a figure, in one line that names the query."""
        source = self._source_of(ask)
        return f"{source.where}: {_named(ask)} of {ask.arm}: {found.why}; query: {found.query}"

    def _source_of(self, ask: Ask) -> Source:
        for source in self._sources:
            if ask.figure in {"count": source.counts, "p95": source.stages, "extra": source.extras}[ask.what]:
                return source
        return self._main


def _asks(source: Source, arm: str) -> list[Ask]:
    """Every figure of a source for one arm."""
    counts = [Ask(what="count", figure=name, arm=arm) for name in COUNTS if name in source.counts]
    p95 = [Ask(what="p95", figure=stage, arm=arm) for stage in source.stages]
    return [*counts, *p95, *(Ask(what="extra", figure=name, arm=arm) for name in source.extras)]


def _checked(ask: Ask, found: Found, until: datetime, source: Source) -> Found:
    """The answer, unless it is no finite number, or its newest sample is stale or of the future.

    Counts of what seldom happens, and of an arm that is not live, may be old: their series end with their process.
    """
    if found.value is None:
        return found
    try:
        number(found.value)
        if found.newest is not None and ask.live and (ask.figure == "requests" or ask.what == "extra"):
            fresh(found.newest, now=until.timestamp(), stale_s=source.stale_s)
    except NoValue as error:
        return replace(found, value=None, why=str(error))
    return found


def _must(ask: Ask, arm: str) -> bool:
    """Whether the store is dead without this figure."""
    return ask.what == "count" and (ask.figure in REQUIRED or ask.arm != arm)


def _usable(ask: Ask, found: Found) -> bool:
    """A figure, or a count whose absence means that there was none: stores leave zeros out."""
    if ask.what == "p95":
        return True  # shown where it is there; nothing is judged by it
    if found.absent and ask.what == "count":
        return ask.figure != "requests" or not ask.live
    if found.value is None:
        return False
    try:
        return ask.what == "extra" or ask.figure == "cost" or whole(found.value, ask.figure) >= 0
    except NoValue:
        return False


def _has(counts: Mapping[str, Found], name: str) -> bool:
    found = counts.get(name)
    return found is not None and (found.absent or found.value is not None)


def _whole(found: Found) -> int:
    return 0 if found.value is None else whole(found.value, "a count")


def _named(ask: Ask) -> str:
    """The figure's name: a p95 with its stage, a figure of the plan's own as its rule."""
    return {"count": ask.figure, "p95": f"p95 of {ask.figure}", "extra": f"extra_{ask.figure}"}[ask.what]


def _asked(ask: Ask, found: Found, until: datetime) -> AskedFigure:
    return AskedFigure(
        figure=_named(ask),
        arm=ask.arm,
        query=found.query,
        instant=until.isoformat(timespec="milliseconds"),
        value=found.value,
        why=found.why,
        raw=found.raw,
    )
