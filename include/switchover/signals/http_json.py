"""Signals from any store that answers JSON over HTTP: a request template in, a JMESPath out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from switchover.edge.body import BadAnswer
from switchover.edge.paths import PathText, compile_path
from switchover.part import ConnectionId, Part, at_most
from switchover.signals.base import COUNTS, P95, CountName, Extra, Stage, StoreSpec
from switchover.signals.reading import Absent, Count, NoValue, Series, number, only, summed
from switchover.signals.source import Ask, Found, read
from switchover.signals.web import StoreWeb

if TYPE_CHECKING:
    from switchover.edge.edge import Edge

Text = Annotated[str, Field(min_length=1, max_length=2_000)]
MOST_SERIES = 1_000


class Request(Part):
    """What is sent for one figure. `{figure}` is its text; `{arm}`, `{since…}` and `{until…}` stand in both."""

    method: Literal["GET", "POST"] = Field("GET", description="Method.")
    path: Text = Field(description="Path on the connection.")
    query: dict[str, str] = Field(default_factory=dict, description="What stands behind the question mark.")
    body: dict[str, Any] | None = Field(None, description="JSON body of a POST.")


class HttpJsonExtra(Extra):
    """A figure of the plan's own."""

    query: Text = Field(description="The text for `{figure}`; its newest value is the figure.")


class HttpJsonSpec(StoreSpec):
    """Figures of live traffic from any store that answers JSON over HTTP."""

    kind: Literal["http_json"]
    connection: ConnectionId = Field(description="HTTP connection; keys are headers in its extra.")
    request: Request
    points: PathText | None = Field(
        None, description="JMESPath of the series: lists of [time, value], one a finished period, time its beginning."
    )
    value: PathText | None = Field(None, description="Instead of points: JMESPath of one number for the time asked.")
    at: PathText | None = Field(None, description="With value: JMESPath of the time up to which the store has data.")
    times: Literal["s", "ms", "iso"] = Field("s", description="How the answer writes times: since 1970, or ISO 8601.")
    warnings: PathText | None = Field(None, description="JMESPath: anything there, and the answer is no figure.")
    complete: PathText | None = Field(None, description="JMESPath that must be true, as status == 'ok'.")
    figures: dict[CountName, Text] = Field(description="The text for `{figure}` by figure.")
    p95_ms: dict[Stage, Text] = Field(
        default_factory=dict, description="Text of latencies in milliseconds, by stage; shown, not judged."
    )
    extra: list[HttpJsonExtra] = Field(default_factory=list, description="Figures of the plan's own, with bounds.")
    every_s: float = Field(60, gt=0, json_schema_extra=at_most(300), description="Seconds of one period of the store.")
    late_s: float = Field(
        60, ge=0, json_schema_extra=at_most(900), description="Seconds after which a period can be read whole."
    )

    @model_validator(mode="after")
    def _one_way(self) -> HttpJsonSpec:
        if (self.points is None) == (self.value is None) or (self.value is None) != (self.at is None):
            raise ValueError("points, value, at: allowed: points alone, or value and at")
        requests = self.figures.get("requests", "{arm}")
        if "{arm}" not in json.dumps(self.request.model_dump()) and "{arm}" not in requests:
            raise ValueError("figures.requests: neither it nor the request holds {arm}; then both arms would be one")
        return self

    @property
    def has(self) -> Collection[str]:
        """See :class:`SignalsSpec`."""
        return [*(name for name in COUNTS if name in self.figures), *([P95] if self.p95_ms else [])]

    @property
    def step_s(self) -> float:
        """See :class:`SignalsSpec`."""
        return self.every_s

    @property
    def lag_s(self) -> float:
        """See :class:`SignalsSpec`."""
        return self.late_s

    def build(self, edge: Edge, *, arms: Collection[str]) -> HttpJsonSource:
        """See :class:`SignalsSpec`."""
        where = f"http_json {self.connection!r}"
        return HttpJsonSource(spec=self, web=StoreWeb(client=edge.client("http", self.connection), where=where))


class HttpJsonSource:
    """See :class:`Source`."""

    def __init__(self, *, spec: HttpJsonSpec, web: StoreWeb) -> None:
        self._spec = spec
        self._web = web
        self._texts = {
            "count": {str(name): text for name, text in spec.figures.items()},
            "p95": {str(name): text for name, text in spec.p95_ms.items()},
            "extra": {each.name: each.query for each in spec.extra},
        }
        given = {"points": spec.points, "value": spec.value, "at": spec.at}
        given |= {"warnings": spec.warnings, "complete": spec.complete}
        self._find = {name: compile_path(path) for name, path in given.items() if path is not None}
        self.where = web.where
        self.counts: Collection[str] = [name for name in spec.gives if name != P95]
        self.stages: Collection[str] = list(self._texts["p95"]) if P95 in spec.gives else []
        self.extras: Collection[str] = self._texts["extra"]
        self.step_s, self.lag_s, self.stale_s = spec.step_s, spec.lag_s, spec.stale

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        """See :class:`Source`."""
        with self._web.look():
            return [self._one(ask, since, until) for ask in asks]

    def never(self, ask: Ask) -> str:
        """See :class:`Source`. What a store of any kind knows of a figure cannot be asked."""
        return ""

    def _one(self, ask: Ask, since: datetime, until: datetime) -> Found:
        words = {"{arm}": self._spec.word_of(ask.arm), **_times("since", since), **_times("until", until)}
        words = {"{figure}": _filled(self._texts[ask.what][ask.figure], words), **words}
        sent = self._spec.request
        request: dict[str, Any] = {"params": _filled(sent.query, words)}
        request |= {"json": _filled(sent.body, words)} if sent.body is not None else {}
        path = _filled(sent.path, words)
        answers: list[Any] = []

        def figure() -> Count | float:
            answers.append(self._web.ask(sent.method, path, **request))
            return self._value(ask, answers[0], since, until)

        shown = f"{sent.method} {path} {json.dumps({k: v for k, v in request.items() if v})}"
        return replace(read(shown, figure), raw=json.dumps(answers[0]) if answers else "")

    def _value(self, ask: Ask, answer: Any, since: datetime, until: datetime) -> Count | float:
        try:
            found = {name: find(answer) for name, find in self._find.items()}
        except BadAnswer as error:
            raise NoValue(str(error)) from None
        if found.get("warnings"):
            raise NoValue(f"the store warns: {str(found['warnings'])[:200]}")
        if "complete" in found and found["complete"] is not True:
            raise NoValue(f"not complete: {self._spec.complete} is {str(found['complete'])[:80]}")
        if "points" not in found:
            value, at = _single(found["value"]), found["at"]
            if at is None:
                raise NoValue(f"{self._spec.at} is null: how old the figure is, is not known")
            return Count(value=value, newest=self._seconds(_one_of(at)))
        series = self._series(found["points"])
        if ask.what == "count":
            return summed(series, since=since.timestamp(), until=until.timestamp(), step=self.step_s)
        finished = [
            Series(labels=each.labels, points=[p for p in each.points if p[0] + self.step_s <= until.timestamp()])
            for each in series
        ]
        newest, value = only(finished)
        return Count(value=value, newest=newest + self.step_s)

    def _series(self, points: Any) -> list[Series]:
        if points is None or points == []:
            raise Absent(f"nothing at {self._spec.points}")
        try:
            lists = points if isinstance(points[0][0], list) else [points]
            if len(lists) > MOST_SERIES:
                raise NoValue(f"{len(lists)} series; allowed: up to {MOST_SERIES}")
            return [
                Series(
                    labels={"series": str(n)},
                    points=[(self._seconds(at), _float(value)) for at, value in each if value is not None],
                )
                for n, each in enumerate(lists)
            ]
        except (TypeError, ValueError, IndexError, KeyError) as error:
            if isinstance(error, NoValue):
                raise
            raise NoValue(f"{self._spec.points} is no list of [time, value] ({type(error).__name__})") from None

    def _seconds(self, at: Any) -> float:
        """Seconds since 1970 of a time in the answer."""
        if self._spec.times == "iso":
            try:
                parsed = datetime.fromisoformat(str(at).replace("Z", "+00:00"))
            except ValueError:
                raise NoValue(f"{str(at)[:40]!r} is no time") from None
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
        return _float(at) / (1000 if self._spec.times == "ms" else 1)


def _single(value: Any) -> float:
    """One number, or a list of one. ``Absent`` for null and the empty list."""
    return _float(_one_of(value))


def _one_of(value: Any) -> Any:
    if value is None or value == []:
        raise Absent("null")
    if isinstance(value, list):
        if len(value) > 1:
            raise NoValue(f"{len(value)} values where one is allowed")
        return value[0]
    return value


def _float(value: Any) -> float:
    """A number; a text that is one, too, for some stores write numbers so."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise NoValue(f"{str(value)[:40]!r} is no number")
    try:
        return number(float(value))
    except ValueError as error:
        raise NoValue(f"{str(value)[:40]!r} is no number") from error


def _times(name: str, at: datetime) -> dict[str, str]:
    seconds = at.timestamp()
    iso = at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {f"{{{name}}}": iso, f"{{{name}_s}}": str(int(seconds)), f"{{{name}_ms}}": str(int(seconds * 1000))}


def _filled(template: Any, words: Mapping[str, str]) -> Any:
    """The template with its words; only texts are changed, so a word cannot change the request's shape."""
    if isinstance(template, Mapping):
        return {key: _filled(value, words) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, words) for value in template]
    if not isinstance(template, str):
        return template
    for word, text in words.items():
        template = template.replace(word, text)
    return template
