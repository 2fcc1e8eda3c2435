"""Two stand-ins of JSON APIs: one answers points as Datadog does, the other one number a question as New Relic does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from tests.contract.signals.base import StandIn, Told, WebWorld

Points = list[list[Any]]


class SeriesApi(StandIn):
    """``points``: by figure and arm, [milliseconds, value] of a period each."""

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[tuple[str, str], list[Points]] = {}
        self.more: dict[str, Any] = {}
        self.shape: Any = None

    def answer(self, path: str, query: Mapping[str, str], body: bytes) -> Any:
        """See :class:`StandIn`."""
        if self.shape is not None:
            return self.shape
        figure, _, arm = query["query"].partition("/")
        found = self.points.get((figure, arm), [])
        return {"status": "ok", "series": [{"pointlist": each} for each in found], **self.more}

    def refusal(self) -> bytes:
        """See :class:`StandIn`."""
        return b'{"errors": ["in the words of the store"]}'


class HttpJsonWorld(WebWorld):
    """Counts by period, in an answer that a JMESPath reads."""

    kind = "http_json"
    against = "a stand-in that answers as Datadog's query API does"
    step_s = 10.0
    not_here: ClassVar[Mapping[str, str]] = {
        "restart": "counts come by the period; there is no counter that could begin again",
    }
    plan: ClassVar[dict[str, Any]] = {
        "request": {
            "path": "api/v1/query",
            "query": {"from": "{since_s}", "to": "{until_s}", "query": "{figure}"},
        },
        "points": "series[].pointlist",
        "times": "ms",
        "warnings": "message",
        "complete": "status == 'ok'",
        "figures": {"requests": "requests/{arm}", "errors_5xx": "errors/{arm}", "failures": "failures/{arm}"},
        "p95_ms": {"total": "latency/{arm}"},
        "extra": [{"name": "depth", "query": "depth/{arm}", "accept": 10, "stop": 20}],
        "every_s": 10,
        "late_s": 0,
    }

    server: SeriesApi

    def __init__(self) -> None:
        super().__init__()
        second = self.now.second // 10 * 10
        self.now = self.now.replace(second=second) + timedelta(seconds=3)
        self.flip = self.now - timedelta(seconds=303)
        self.server = SeriesApi()

    def show(self, told: Told) -> None:
        """See :class:`SignalsWorld`."""
        starts = [int(1000 * (self.flip.timestamp() + 10 * n)) for n in range(30)]

        def counts(total: int) -> list[Points]:
            points: Points = [[at, total // 30 + (n < total % 30)] for n, at in enumerate(starts)]
            return [points] if total else []

        level: Points = [[starts[-1], 3.0]]
        self.server.points = {
            ("requests", "green"): counts(told.requests),
            ("errors", "green"): counts(told.errors_5xx),
            ("failures", "green"): counts(told.errors_5xx),
            ("requests", "blue"): counts(told.elsewhere),
            **{(name, arm): [level] for name in ("latency", "depth") for arm in ("blue", "green")},
        }

    def _last(self, value: Any) -> None:
        self._all(lambda at, old: [at, value])

    def _all(self, change: Any) -> None:
        self.server.points = {
            key: [[change(at, value) for at, value in points] for points in found]
            for key, found in self.server.points.items()
        }

    def no_data(self) -> None:
        """Nothing at all."""
        self.server.points = {}

    def not_a_number(self) -> None:
        """NaN, as a text: JSON has none."""
        self._last("NaN")

    def infinity(self) -> None:
        """+Inf."""
        self._last("Infinity")

    def minus_infinity(self) -> None:
        """-Inf."""
        self._last("-Infinity")

    def two_series(self) -> None:
        """Where one is allowed."""
        self.server.points["depth", "green"] *= 2

    def warning(self) -> None:
        """The answer has a message."""
        self.server.more["message"] = "query took too long and was cut"

    def partial(self) -> None:
        """It says that it is not complete."""
        self.server.more["status"] = "partial"

    def stale(self) -> None:
        """The newest period is ten minutes old."""
        self._all(lambda at, value: [at - 600_000, value])

    def future(self) -> None:
        """Periods that are not there yet."""
        self._all(lambda at, value: [at + 600_000, value])

    def wrong_arm(self) -> None:
        """There are figures of another arm alone."""
        self.server.points = {(name, "blue"): found for (name, arm), found in self.server.points.items()}

    def nonsense(self) -> None:
        """A body of another shape."""
        self.server.shape = {"status": "ok", "series": [{"pointlist": [{"x": 1}]}]}

    def errors_unreadable(self) -> None:
        """Requests can be read, the 5xx cannot."""
        at = int(1000 * self.flip.timestamp())
        self.server.points["errors", "green"] = [[[at, "many"]]]

    def other_arm_unreadable(self) -> None:
        """Green can be read, Blue cannot."""
        at = int(1000 * self.flip.timestamp())
        self.server.points["requests", "blue"] = [[[at, "many"]]]

    def no_5xx_series(self) -> None:
        """No series of 5xx: there was none."""
        del self.server.points["errors", "green"], self.server.points["failures", "green"]

    def new_process(self) -> None:
        """Half of the traffic comes in a series of its own."""
        for key in (("requests", "green"), ("errors", "green"), ("failures", "green")):
            (points,) = self.server.points[key]
            self.server.points[key] = [points[:15], points[15:]]

    def unfinished(self) -> None:
        """The newest whole period is not there yet, the one that goes on is."""
        newest = max(at for at, _ in self.server.points["requests", "green"][0])
        self._all(lambda at, value: [at + 10_000, 10_000] if at == newest else [at, value])
