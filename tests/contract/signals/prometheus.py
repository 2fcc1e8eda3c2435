"""A stand-in of Prometheus' query API: it shows what no real one does on demand. The real one has a file of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.contract.signals.base import StandIn, Told, WebWorld, spread

Series = list[tuple[dict[str, str], list[tuple[float, float]]]]


class QueryApi(StandIn):
    """``series``: by what is asked (requests, errors, failures, depth) and arm."""

    def __init__(self) -> None:
        super().__init__()
        self.series: dict[tuple[str, str], Series] = {}
        self.more: dict[str, Any] = {}
        self.shape: Any = None

    def answer(self, path: str, query: Mapping[str, str], body: bytes) -> Any:
        """See :class:`StandIn`."""
        if self.shape is not None:
            return self.shape
        text, at = query["query"], float(query.get("time") or math.inf)
        if text.startswith("count("):
            found = [({}, [(0.0, 1.0)])] if any(self.series.values()) else []
        else:
            arm = re.search(r'arm="(\w+)"', text)
            found = self.series.get((self.asked_for(text), arm[1] if arm else ""), [])
        matrix = text.endswith("]")
        result = [
            {"metric": labels, "values" if matrix else "value": (kept if matrix else kept[-1])}
            for labels, points in found
            if (kept := [[t, _text(v)] for t, v in points if t <= at or math.isinf(at) or self.more.get("ahead")])
        ]
        data = {"resultType": "matrix" if matrix else "vector", "result": result}
        return {"status": "success", "data": data, **{k: v for k, v in self.more.items() if k != "ahead"}}

    def asked_for(self, text: str) -> str:
        """Which figure a query is about."""
        if "depth" in text:
            return "depth"
        return "errors" if '=~"5' in text else "failures" if '!~"2' in text else "requests"

    def refusal(self) -> bytes:
        """See :class:`StandIn`."""
        return b'{"status":"error","errorType":"unavailable","error":"in the words of the store"}'


class PrometheusWorld(WebWorld):
    """Counters by series, raw."""

    kind = "prometheus"
    against = "a stand-in of the query API, and a real Prometheus"
    plan: ClassVar[dict[str, Any]] = {
        "figures": {
            "requests": 'requests_total{arm="{arm}"}',
            "errors_5xx": 'requests_total{arm="{arm}", code=~"5.."}',
            "failures": 'requests_total{arm="{arm}", code!~"2.."}',
        },
        "extra": [{"name": "depth", "query": 'queue_depth{arm="{arm}"}', "accept": 10, "stop": 20}],
        "scrape_s": 15,
        "late_s": 0,
    }

    server: QueryApi

    def __init__(self) -> None:
        super().__init__()
        self.server = QueryApi()

    def show(self, told: Told) -> None:
        """See :class:`SignalsWorld`."""
        since, until = self.flip.timestamp(), self.now.timestamp()

        def counter(count: int, before: float = 0.0, **labels: str) -> Series:
            return [(labels, [(at, before + n) for at, n in spread(count, since=since, until=until, step=self.step_s)])]

        good = told.requests - told.errors_5xx
        errors = counter(told.errors_5xx, code="503", pod="a")
        self.server.series = {
            ("requests", "green"): [*counter(good, code="200", pod="a"), *errors],
            ("errors", "green"): errors,
            ("failures", "green"): errors,
            ("requests", "blue"): counter(told.elsewhere, 1_000_000.0, code="200", pod="b"),
            ("depth", "green"): [({"pod": "a"}, [(until - 1, 3.0)])],
            ("depth", "blue"): [({"pod": "b"}, [(until - 1, 3.0)])],
        }

    def _points(self, key: tuple[str, str]) -> list[tuple[float, float]]:
        return self.server.series[key][0][1]

    def _all(self, change: Any) -> None:
        self.server.series = {
            key: [(labels, [change(at, value) for at, value in points]) for labels, points in found]
            for key, found in self.server.series.items()
        }

    def no_data(self) -> None:
        """Nothing at all."""
        self.server.series = {}

    def not_a_number(self) -> None:
        """The newest value is NaN."""
        self._last(math.nan)

    def infinity(self) -> None:
        """It is +Inf."""
        self._last(math.inf)

    def minus_infinity(self) -> None:
        """It is -Inf."""
        self._last(-math.inf)

    def _last(self, value: float) -> None:
        at = self.now.timestamp()
        self._all(lambda when, old: (when, value if when >= at - self.step_s else old))

    def two_series(self) -> None:
        """Where one is allowed."""
        self.server.series["depth", "green"] *= 2

    def warning(self) -> None:
        """The store warns."""
        self.server.more["warnings"] = ["one of its parts did not answer in time"]

    def partial(self) -> None:
        """The answer is of a part of the store, as VictoriaMetrics says it."""
        self.server.more["isPartial"] = True

    def stale(self) -> None:
        """The newest sample is three minutes old."""
        self._all(lambda at, value: (at - 180, value))

    def future(self) -> None:
        """The store's clock is ahead."""
        self.server.more["ahead"] = True
        self._all(lambda at, value: (at + 120, value))

    def wrong_arm(self) -> None:
        """There are figures of another arm alone."""
        self.server.series = {
            (figure, "blue"): found for (figure, arm), found in self.server.series.items() if arm == "green"
        }

    def nonsense(self) -> None:
        """A body of another shape."""
        self.server.shape = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}}]}}

    def errors_unreadable(self) -> None:
        """Requests can be read, the 5xx cannot."""
        self.server.series["errors", "green"] = [({"code": "503"}, [(self.now.timestamp() - 1, math.nan)])]

    def other_arm_unreadable(self) -> None:
        """Green can be read, Blue cannot."""
        self.server.series["requests", "blue"] = [({"code": "200"}, [(self.now.timestamp() - 1, math.nan)])]

    def no_5xx_series(self) -> None:
        """Requests, and no series of 5xx: there was none."""
        del self.server.series["errors", "green"], self.server.series["failures", "green"]

    def restart(self) -> None:
        """Half way the process began again at 0."""
        middle = self.flip.timestamp() + (self.now - self.flip).total_seconds() / 2

        def fallen(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
            base = max((value for at, value in points if at <= middle), default=0.0)
            return [(at, value if at <= middle else value - base) for at, value in points]

        self.server.series = {
            key: [(labels, fallen(points) if key[1] == "green" else points) for labels, points in found]
            for key, found in self.server.series.items()
        }

    def new_process(self) -> None:
        """Half of the traffic comes from a process that began after the flip."""
        middle = self.flip.timestamp() + (self.now - self.flip).total_seconds() / 2
        for key in (("requests", "green"), ("errors", "green"), ("failures", "green")):
            split: Series = []
            for labels, points in self.server.series[key]:
                base = max((value for at, value in points if at <= middle), default=0.0)
                split.append((labels, [(at, min(value, base)) for at, value in points]))
                split.append(({**labels, "pod": "new"}, [(at, value - base) for at, value in points if at > middle]))
            self.server.series[key] = split

    def unfinished(self) -> None:
        """The scrape of this moment is not there yet: what is read ends before it."""
        self._all(lambda at, value: (at, value))
        for found in self.server.series.values():
            for _, points in found:
                if len(points) > 2:
                    points[-1] = (points[-1][0] + self.step_s, points[-1][1] + 10_000)


def _text(value: float) -> str:
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf") if math.isinf(value) else f"{value:g}"
