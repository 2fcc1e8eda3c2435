"""Signals from Prometheus, or what speaks its query API: Mimir, Thanos, VictoriaMetrics, Cortex."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from switchover.part import ConnectionId, Part, at_most
from switchover.signals import presets
from switchover.signals.base import COUNTS, P95, CountName, Extra, Stage, StoreSpec
from switchover.signals.reading import Absent, Count, NoValue, Series, grown, only, quantile
from switchover.signals.source import Ask, Found, read
from switchover.signals.web import StoreWeb

if TYPE_CHECKING:
    from switchover.edge.edge import Edge

STRING = r'"(?:[^"\\]|\\.)*"'
SELECTOR = re.compile(rf"(?P<name>[a-zA-Z_:][\w:]*)?(?:\{{(?P<labels>(?:[^\"{{}}]|{STRING})*)\}})?")
MATCHER = re.compile(rf"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*{STRING}")
MOST_SERIES = 2_000  # of one figure
WINDOW_S = 300.0  # of a p95 and of the look for a metric's name


def _selector(text: str) -> str:
    """A metric's name and labels, and nothing around them: the raw samples are read, so there is no function."""
    found = SELECTOR.fullmatch(text.strip())
    if not text.strip() or found is None:
        raise ValueError(
            f'{text[:100]!r} is no selector; allowed: a counter with its labels, as requests_total{{arm="{{arm}}"}},'
            " without rate(), sum() or a range: raw samples are read, series by series"
        )
    return text.strip()


Selector = Annotated[str, AfterValidator(_selector)]
Selectors = Selector | list[Selector]


class Buckets(Part):
    """A latency from a classic histogram."""

    buckets: Selector = Field(description="The histogram's `_bucket` counter with its labels.")
    unit: Literal["s", "ms"] = Field("s", description="Unit of the buckets' edges.")


class PrometheusExtra(Extra):
    """A figure of the plan's own."""

    query: str = Field(description="PromQL that gives one number for `{arm}` as it is now.", min_length=1)


class PrometheusSpec(StoreSpec):
    """Figures of live traffic from Prometheus' query API."""

    kind: Literal["prometheus"]
    connection: ConnectionId = Field(description="HTTP connection to the query API; a tenant is a header in its extra.")
    preset: Literal["otel", "istio", "envoy", "nginx"] | None = Field(
        None, description="Usual metric names; see docs/signals.md. `figures` replaces single ones of them."
    )
    arm_label: str | None = Field(
        None, pattern=r"^[a-zA-Z_]\w*$", description="The label that tells the arms apart in a preset."
    )
    labels: str = Field("", description='Further label matchers of a preset, as namespace="docs", code!="499".')
    figures: dict[CountName, Selectors] = Field(
        default_factory=dict, description="Counters by figure; several are added up. `{arm}` is the arm's word."
    )
    p95_ms: dict[Stage, Buckets] = Field(default_factory=dict, description="Latency by stage; shown, not judged.")
    extra: list[PrometheusExtra] = Field(default_factory=list, description="Figures of the plan's own, with bounds.")
    scrape_s: float = Field(15, gt=0, json_schema_extra=at_most(300), description="Seconds between two scrapes.")
    late_s: float = Field(
        2, ge=0, json_schema_extra=at_most(600), description="Seconds after which a scrape can be read everywhere."
    )

    @model_validator(mode="after")
    def _arms_can_be_told(self) -> PrometheusSpec:
        requests = self.counters.get("requests")
        if requests and not any("{arm}" in each for each in requests):
            raise ValueError("figures.requests: no selector holds {arm}; then both arms would be one")
        return self

    @property
    def counters(self) -> dict[str, list[str]]:
        """The selectors of each count, the preset's and the plan's."""
        own: dict[str, list[str]]
        own = {str(name): [each] if isinstance(each, str) else list(each) for name, each in self.figures.items()}
        given = presets.prometheus(self.preset, arm_label=self.arm_label, labels=self.labels) if self.preset else {}
        return {name: found for name in COUNTS if (found := {**given, **own}.get(name))}

    @property
    def latencies(self) -> dict[Stage, Buckets]:
        """The histograms of each stage, the preset's and the plan's."""
        given = presets.buckets(self.preset, arm_label=self.arm_label, labels=self.labels) if self.preset else None
        usual: dict[Stage, Buckets] = {"total": Buckets(buckets=given[0], unit=given[1])} if given else {}
        return {**usual, **self.p95_ms}

    @property
    def has(self) -> Collection[str]:
        """See :class:`SignalsSpec`."""
        return [*self.counters, *([P95] if self.latencies else [])]

    @property
    def step_s(self) -> float:
        """See :class:`SignalsSpec`."""
        return self.scrape_s

    @property
    def lag_s(self) -> float:
        """See :class:`SignalsSpec`."""
        return self.late_s

    def build(self, edge: Edge, *, arms: Collection[str]) -> PrometheusSource:
        """See :class:`SignalsSpec`."""
        where = f"prometheus {self.connection!r}"
        return PrometheusSource(spec=self, web=StoreWeb(client=edge.client("http", self.connection), where=where))


class PrometheusSource:
    """See :class:`Source`."""

    def __init__(self, *, spec: PrometheusSpec, web: StoreWeb) -> None:
        self._spec = spec
        self._web = web
        self._counters, self._latencies = spec.counters, spec.latencies
        self._extras = {each.name: each.query for each in spec.extra}
        self.where = web.where
        self.counts: Collection[str] = [name for name in spec.gives if name != P95]
        self.stages: Collection[str] = list(self._latencies) if P95 in spec.gives else []
        self.extras: Collection[str] = self._extras
        self.step_s, self.lag_s, self.stale_s = spec.step_s, spec.lag_s, spec.stale

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        """See :class:`Source`."""
        how: dict[str, Callable[[Ask, float, float], Found]]
        how = {"count": self._count, "p95": self._p95, "extra": self._extra}
        with self._web.look():
            return [how[ask.what](ask, since.timestamp(), until.timestamp()) for ask in asks]

    def never(self, ask: Ask) -> str:
        """See :class:`Source`. The metric must exist, and have the labels that its selector names."""
        if ask.what != "count":
            return ""
        for selector in self._counters[ask.figure]:
            name, labels = _name(selector), MATCHER.findall(selector)
            if not name:
                continue
            for query, lacks in (
                (name, f"no metric {name}"),
                *((f'{name}{{{label}!=""}}', f"{name} has no label {label}") for label in labels),
            ):
                asked = f"count(last_over_time({query}[1h]))"
                try:
                    if not self._instant(asked, None):
                        return f"{lacks} in the last hour"
                except NoValue as error:
                    return f"{error} (asked: {asked})"
        return ""

    def _count(self, ask: Ask, since: float, until: float) -> Found:
        """The raw samples of every series from a little before ``since`` to ``until``."""
        selectors = [each for each in self._counters[ask.figure] if ask.live or "{arm}" in each]
        seconds = math.ceil(until - since + self.stale_s)
        queries = [f"{self._resolved(each, ask.arm)}[{seconds}s]" for each in selectors]
        answers: list[list[Series]] = []

        def count() -> Count:
            answers.extend(self._range(query, until) for query in queries)
            series = [each for answer in answers for each in answer]
            return grown(series, since=since, until=until, from_zero=ask.live)

        found = read(" + ".join(queries), count)
        found = replace(found, raw=_ends([each for answer in answers for each in answer]))
        ended = self._ended(ask, found, until)
        return replace(found, value=None, absent=False, why=ended) if ended else found

    def _ended(self, ask: Ask, found: Found, until: float) -> str:
        """Why a count that has nothing new is not 0: its metric, which is not that of the requests, has ended."""
        old = found.absent or (found.newest is not None and until - found.newest > self.stale_s)
        names = {_name(each) for each in self._counters[ask.figure]}
        for name in sorted(names - {_name(each) for each in self._counters.get("requests", ())}) if old else ():
            asked = f"count(last_over_time({name}[{math.ceil(self.stale_s + self.lag_s)}s]))"
            try:
                if not self._instant(asked, until):
                    return f"stale: no sample of {name} in the last {self.stale_s:g} s"
            except NoValue as error:
                return f"{error} (asked: {asked})"
        return ""

    def _p95(self, ask: Ask, since: float, until: float) -> Found:
        """The quantile of a classic histogram over the newest minutes, with the edges of its bucket."""
        given = self._latencies[cast("Stage", ask.figure)]
        seconds = math.ceil(max(4 * self.step_s, min(WINDOW_S, until - since)))
        query = f"sum by (le) (increase({self._resolved(given.buckets, ask.arm)}[{seconds}s]))"
        factor = 1000.0 if given.unit == "s" else 1.0
        edges: list[tuple[float, float]] = []

        def p95() -> float:
            buckets = {_edge(each): each.points[-1][1] for each in self._instant(query, until)}
            if not buckets:
                raise Absent("no samples")
            estimate, low, high = quantile(buckets, 0.95)
            edges.append((low * factor, high * factor))
            return estimate * factor

        found = read(query, p95)
        between = edges[0] if edges else None
        note = f"between {between[0]:g} and {between[1]:g} ms" if between else found.why
        return replace(found, between=between, why=note)

    def _extra(self, ask: Ask, since: float, until: float) -> Found:
        """One number as it is now; of a plain series its own newest sample, whose age is then known."""
        query = self._resolved(self._extras[ask.figure], ask.arm)
        plain = SELECTOR.fullmatch(query) is not None
        asked = f"{query}[{math.ceil(self.stale_s + self.lag_s)}s]" if plain else query
        answer: list[Series] = []

        def level() -> Count | float:
            answer.extend(self._range(asked, until) if plain else self._instant(asked, until))
            at, value = only(answer)
            return Count(value=value, newest=at) if plain else value

        found = read(asked, level)
        return replace(found, raw=_ends(answer))

    def _resolved(self, text: str, arm: str) -> str:
        word = self._spec.word_of(arm).replace("\\", "\\\\").replace('"', '\\"')
        return text.replace("{arm}", word)

    def _range(self, query: str, at: float) -> list[Series]:
        return _series(self._data(query, at), "matrix")

    def _instant(self, query: str, at: float | None) -> list[Series]:
        """``lookback_delta``: else an instant query gives values that are up to five minutes old."""
        return _series(self._data(query, at), "vector", "scalar")

    def _data(self, query: str, at: float | None) -> dict[str, Any]:
        given = {
            "query": query,
            "timeout": "4s",
            "lookback_delta": f"{math.ceil(self.stale_s)}s",
            "partial_response": "false",  # Thanos
            "deny_partial_response": "1",  # VictoriaMetrics
            **({"time": f"{at:.3f}"} if at is not None else {}),
        }
        answer = self._web.ask("GET", "api/v1/query", params=given)
        if not isinstance(answer, dict):
            raise NoValue("the answer is no object")
        if answer.get("status") != "success" or not isinstance(answer.get("data"), dict):
            raise NoValue(f"answer is no success: {str(answer.get('error') or answer)[:200]}")
        if answer.get("warnings"):
            raise NoValue(f"the store warns: {str(answer['warnings'][0])[:200]}")
        if answer.get("isPartial"):
            raise NoValue("the answer is partial: a part of the store did not answer")
        data: dict[str, Any] = answer["data"]
        return data


def _name(selector: str) -> str:
    """The metric's name; empty for a selector of labels alone."""
    found = SELECTOR.fullmatch(selector)
    return (found["name"] or "") if found else ""


def _series(data: dict[str, Any], *allowed: str) -> list[Series]:
    """The series of an answer. ``NoValue`` when it has another shape."""
    kind, result = data.get("resultType"), data.get("result")
    if kind not in allowed or not isinstance(result, list):
        raise NoValue(f"the answer is {kind!r}; allowed: {' or '.join(allowed)}")
    if len(result) > MOST_SERIES:
        raise NoValue(f"{len(result)} series; allowed: up to {MOST_SERIES}: a narrower selector")
    try:
        if kind == "scalar":
            return [Series(labels={}, points=[_point(result)])]
        if any("histogram" in each or "histograms" in each for each in result):
            raise NoValue("the series is a native histogram, which is no number")
        return [
            Series(labels=dict(each["metric"]), points=[*map(_point, each.get("values") or [each["value"]])])
            for each in result
        ]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise NoValue(f"the answer has another shape than Prometheus' ({type(error).__name__})") from None


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    at, value = pair
    try:
        return float(at), float(value)
    except ValueError:
        raise NoValue(f"{str(value)[:40]!r} is no number") from None


def _edge(series: Series) -> float:
    try:
        return float(series.labels["le"])
    except (KeyError, ValueError):
        raise NoValue(f"{series.name} is no bucket of a classic histogram") from None


def _ends(series: Sequence[Series]) -> str:
    """For the evidence: each series with its first and newest sample, and how many there are."""
    return json.dumps(
        [
            {"series": each.labels, "samples": len(each.points), "first": each.points[0], "newest": each.points[-1]}
            for each in series
            if each.points
        ]
    )
