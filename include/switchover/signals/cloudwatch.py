"""Signals from Amazon CloudWatch: target groups of a load balancer, and metrics of your own."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from switchover.errors import SwitchoverError
from switchover.lazy import lazy
from switchover.part import ConnectionId, Part, at_most
from switchover.signals import presets
from switchover.signals.base import COUNTS, P95, CountName, Extra, Stage, StoreSpec
from switchover.signals.reading import Count, NoValue, Series, moment, only, summed
from switchover.signals.source import Ask, Found, read

if TYPE_CHECKING:
    from switchover.edge import aws_calls, bounded
    from switchover.edge.edge import Edge
else:
    aws_calls = lazy("switchover.edge.aws_calls")
    bounded = lazy("switchover.edge.bounded")

LOOK_S = 10.0  # for all figures of one look together
MOST_PERIODS = 480  # of one metric: eight hours of minutes
PAGES = 10


class Metric(Part):
    """One metric of CloudWatch. `{arm}` in a dimension's value is the arm's word."""

    namespace: str = Field(min_length=1, max_length=255, description="Namespace, as AWS/ApplicationELB.")
    metric: str = Field(min_length=1, max_length=255, description="The metric's name.")
    dimensions: dict[str, str] = Field(
        min_length=1,
        description="All dimensions under which it is stored: a part of them finds nothing.",
    )
    stat: str = Field("Sum", pattern=r"^[A-Za-z0-9.%:()]{1,40}$", description="Statistic: Sum for counts.")
    unit: Literal["s", "ms"] = Field("s", description="Unit of a latency as it is stored.")

    @property
    def per_arm(self) -> bool:
        """Whether it tells the arms apart."""
        return any("{arm}" in value for value in self.dimensions.values())


class CloudWatchExtra(Extra):
    """A figure of the plan's own."""

    query: Metric


class CloudWatchSpec(StoreSpec):
    """Figures of live traffic from CloudWatch, in whole finished minutes."""

    kind: Literal["cloudwatch"]
    connection: ConnectionId = Field(description="AWS connection; its region is the metrics'.")
    preset: Literal["alb"] | None = Field(
        None, description="`alb`: the target groups of an Application Load Balancer; needs `load_balancer`, and `arms`."
    )
    load_balancer: str | None = Field(
        None,
        pattern=r"^app/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$",
        description="The last part of the load balancer's ARN, as app/docs/50dc6c495c0c9188.",
    )
    figures: dict[CountName, Metric | list[Metric]] = Field(
        default_factory=dict, description="Metrics by figure; several are added up."
    )
    p95_ms: dict[Stage, Metric] = Field(default_factory=dict, description="Latency by stage; shown, not judged.")
    extra: list[CloudWatchExtra] = Field(default_factory=list, description="Figures of the plan's own, with bounds.")
    period_s: Literal[60, 300] = Field(60, description="Seconds of one period.")
    late_s: float = Field(
        120, ge=0, json_schema_extra=at_most(900), description="Seconds after which a period can be read whole."
    )

    @model_validator(mode="after")
    def _whole(self) -> CloudWatchSpec:
        if (self.preset == "alb") != (self.load_balancer is not None):
            raise ValueError("preset alb and load_balancer: allowed: both or none")
        for name, word in self.arms.items() if self.preset else ():
            if not word.startswith("targetgroup/"):
                raise ValueError(f"arms.{name}: found {word!r}; allowed: the end of an ARN, targetgroup/NAME/ID")
        if self.preset and not self.arms:
            raise ValueError("arms: missing; preset alb needs the target group of each arm, as targetgroup/NAME/ID")
        requests = self.metrics.get("requests")
        if requests and not any(each.per_arm for each in requests):
            raise ValueError("figures.requests: no metric holds {arm}; then both arms would be one")
        return self

    @property
    def metrics(self) -> dict[str, list[Metric]]:
        """The metrics of each count, the preset's and the plan's."""
        given: dict[str, list[Metric]] = {}
        if self.load_balancer is not None:
            usual = presets.alb(self.load_balancer)
            given = {name: [Metric(**each) for each in found] for name, found in usual.items() if name != P95}
        own = {str(name): found if isinstance(found, list) else [found] for name, found in self.figures.items()}
        return {name: found for name in COUNTS if (found := {**given, **own}.get(name))}

    @property
    def latencies(self) -> dict[Stage, Metric]:
        """The metric of each stage, the preset's and the plan's."""
        usual: dict[Stage, Metric] = {}
        if self.load_balancer is not None:
            usual = {"total": Metric(**presets.alb(self.load_balancer)[P95][0])}
        return {**usual, **self.p95_ms}

    @property
    def has(self) -> Collection[str]:
        """See :class:`SignalsSpec`."""
        return [*self.metrics, *([P95] if self.latencies else [])]

    @property
    def step_s(self) -> float:
        """See :class:`SignalsSpec`."""
        return float(self.period_s)

    @property
    def lag_s(self) -> float:
        """See :class:`SignalsSpec`."""
        return self.late_s

    def build(self, edge: Edge, *, arms: Collection[str]) -> CloudWatchSource:
        """See :class:`SignalsSpec`."""
        where = f"cloudwatch {self.connection!r}"
        service = aws_calls.service(edge, "cloudwatch", self.connection, where=where, page="docs/signals.md")
        return CloudWatchSource(spec=self, service=service)


class CloudWatchSource:
    """See :class:`Source`. All figures of a look are one GetMetricData."""

    def __init__(self, *, spec: CloudWatchSpec, service: aws_calls.Service) -> None:
        self._spec = spec
        self._service = service
        self._metrics, self._latencies = spec.metrics, {str(name): each for name, each in spec.latencies.items()}
        self._extras = {each.name: each.query for each in spec.extra}
        self.where = f"cloudwatch {spec.connection!r}"
        self.counts: Collection[str] = [name for name in spec.gives if name != P95]
        self.stages: Collection[str] = list(self._latencies) if P95 in spec.gives else []
        self.extras: Collection[str] = self._extras
        self.step_s, self.lag_s, self.stale_s = spec.step_s, spec.lag_s, spec.stale

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        """See :class:`Source`."""
        period = self._spec.period_s
        # A whole period more than asked for at the beginning: whether the store is fresh must be seen at the flip, too.
        start = moment(since.timestamp() // period * period - self.stale_s // period * period)
        end = moment(until.timestamp() // period * period)
        start = max(start, end - timedelta(seconds=MOST_PERIODS * period))
        wanted = {
            f"m{n}_{part}": self._query(f"m{n}_{part}", metric, ask.arm)
            for n, ask in enumerate(asks)
            for part, metric in enumerate(self._of(ask))
        }
        answer, why = self._data(list(wanted.values()), start=start, end=end)
        return [
            self._found(ask, [(id, wanted[id]) for id in wanted if id.startswith(f"m{n}_")], answer, why, since, until)
            for n, ask in enumerate(asks)
        ]

    def never(self, ask: Ask) -> str:
        """See :class:`Source`. CloudWatch lists a metric only when it had a value: that says nothing."""
        return ""

    def _of(self, ask: Ask) -> list[Metric]:
        if ask.what == "p95":
            return [self._latencies[ask.figure]]
        if ask.what == "extra":
            return [self._extras[ask.figure]]
        return [each for each in self._metrics[ask.figure] if ask.live or each.per_arm]

    def _query(self, id: str, metric: Metric, arm: str) -> dict[str, Any]:
        word = self._spec.word_of(arm)
        dimensions = [{"Name": n, "Value": v.replace("{arm}", word)} for n, v in metric.dimensions.items()]
        stored = {"Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": dimensions}
        return {"Id": id, "MetricStat": {"Metric": stored, "Period": self._spec.period_s, "Stat": metric.stat}}

    def _data(
        self, queries: list[dict[str, Any]], *, start: datetime, end: datetime
    ) -> tuple[dict[str, list[Mapping[str, Any]]], str]:
        """The results by id, all pages together; or why there are none."""
        given: dict[str, Any]
        given = {"MetricDataQueries": queries, "StartTime": start, "EndTime": end, "ScanBy": "TimestampAscending"}

        def pages() -> dict[str, list[Mapping[str, Any]]]:
            found: dict[str, list[Mapping[str, Any]]] = {}
            token: dict[str, str] = {}
            for _ in range(PAGES):
                page = self._service.call("get_metric_data", **given, **token)
                messages = page.get("Messages") or [m for r in page["MetricDataResults"] for m in r.get("Messages", ())]
                if messages:
                    raise NoValue(f"the store warns: {str(messages[0].get('Value') or messages[0])[:200]}")
                for result in page["MetricDataResults"]:
                    found.setdefault(result["Id"], []).append(result)
                if not page.get("NextToken"):
                    return found
                token = {"NextToken": page["NextToken"]}
            raise NoValue(f"more than {PAGES} pages; allowed: fewer metrics or a shorter hold")

        try:
            return bounded.within(LOOK_S, self.where, pages), ""
        except (NoValue, SwitchoverError) as error:
            return {}, str(error).removeprefix(f"{self.where}: ")
        except (KeyError, TypeError, AttributeError) as error:
            return {}, f"the answer has another shape than CloudWatch's ({type(error).__name__})"

    def _found(
        self,
        ask: Ask,
        queries: Sequence[tuple[str, Mapping[str, Any]]],
        answer: Mapping[str, Sequence[Mapping[str, Any]]],
        why: str,
        since: datetime,
        until: datetime,
    ) -> Found:
        shown = " + ".join(_shown(query["MetricStat"]) for _, query in queries)
        step = self.step_s

        def figure() -> Count | float:
            if why:
                raise NoValue(why)
            series = [_series(answer.get(id, ())) for id, _ in queries]
            if ask.what == "count":
                return summed(series, since=_ceil(since.timestamp(), step), until=until.timestamp(), step=step)
            finished = [
                Series(labels=each.labels, points=[p for p in each.points if p[0] + step <= until.timestamp()])
                for each in series
            ]
            at, value = only(finished)
            factor = 1000.0 if ask.what == "p95" and self._latencies[ask.figure].unit == "s" else 1.0
            return Count(value=value * factor, newest=at + step)

        raw = json.dumps([result for id, _ in queries for result in answer.get(id, ())], default=str)
        return read(shown, figure, raw=raw)


def _series(results: Sequence[Mapping[str, Any]]) -> Series:
    """The points of one metric, all pages together. ``NoValue`` unless each page is complete, and of one series."""
    codes = {str(each.get("StatusCode")) for each in results}
    # The parts of a result that goes on in the next page are PartialData; the last one says whether all came.
    if results and results[-1].get("StatusCode") != "Complete":
        raise NoValue(f"StatusCode is {results[-1].get('StatusCode')}; allowed: Complete")
    if codes - {"Complete", "PartialData"}:
        raise NoValue(f"StatusCode is {sorted(codes)[0]}; allowed: Complete")
    labels = {str(each.get("Label", "")) for each in results}
    if len(labels) > 1:
        raise NoValue(f"{len(labels)} series where one is allowed: {', '.join(sorted(labels)[:2])}, …")
    points: list[tuple[float, float]] = []
    for each in results:
        times, values = each["Timestamps"], each["Values"]
        if len(times) != len(values):
            raise NoValue(f"{len(times)} times and {len(values)} values")
        points += [(_time(at), float(value)) for at, value in zip(times, values, strict=True)]
    if len({at for at, _ in points}) < len(points):
        raise NoValue("two values for one period")
    return Series(labels={"metric": labels.pop() if labels else ""}, points=sorted(points))


def _time(at: Any) -> float:
    if not isinstance(at, datetime):
        raise NoValue(f"{str(at)[:40]!r} is no time")
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def _shown(stat: Mapping[str, Any]) -> str:
    """A metric as people write it."""
    metric = stat["Metric"]
    dimensions = ", ".join(f"{each['Name']}={each['Value']}" for each in metric["Dimensions"])
    return f"{metric['Namespace']} {metric['MetricName']} {{{dimensions}}} {stat['Stat']} by {stat['Period']} s"


def _ceil(seconds: float, step: float) -> float:
    """The first whole period that begins at ``seconds`` or later: a part of one is not the arm's alone."""
    return -(-seconds // step) * step
