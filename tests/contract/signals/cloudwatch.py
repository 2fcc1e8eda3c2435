"""A stand-in of CloudWatch's GetMetricData, written after its API model: the emulator at hand has no percentiles.

boto3 is real: it checks each request against the model, and reads the answers by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from switchover.edge.connection import Connection
from tests.contract.signals.base import StandIn, Told, WebWorld
from tests.contract.worlds.aws import aws_connection

NAMESPACE = "Docs"
Points = list[tuple[float, float]]


def metric(name: str, **more: Any) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "metric": name, "dimensions": {"Service": "docs", "Arm": "{arm}"}, **more}


class GetMetricData(StandIn):
    """``points``: by metric and arm, a minute each; a time is the minute's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "1"}
        self.points: dict[tuple[str, str], Points] = {}
        self.code, self.messages = "Complete", list[dict[str, str]]()
        self.codes: dict[str, str] = {}
        self.labels: dict[str, list[str]] = {}
        self.shape: Any = None
        self.error = ("InternalServiceFault", "in the words of the store")
        self.bodies: list[Any] = []

    def answer(self, path: str, query: Mapping[str, str], body: bytes) -> Any:
        """See :class:`StandIn`."""
        asked = json.loads(body)
        self.bodies.append(asked)
        if self.shape is not None:
            return self.shape
        results = []
        for each in asked["MetricDataQueries"]:
            stored = each["MetricStat"]["Metric"]
            name, arm = stored["MetricName"], {d["Name"]: d["Value"] for d in stored["Dimensions"]}["Arm"]
            points = [
                (at, value)
                for at, value in self.points.get((name, arm), [])
                if asked["StartTime"] <= at and (at < asked["EndTime"] or at > asked["EndTime"] + 60)
            ]
            for label in self.labels.get(name, [name]):
                results.append(
                    {
                        "Id": each["Id"],
                        "Label": label,
                        "StatusCode": self.codes.get(f"{name} {arm}", self.code),
                        "Timestamps": [at for at, _ in points],
                        "Values": [value if math.isfinite(value) else _word(value) for _, value in points],
                    }
                )
        return {"MetricDataResults": results, "Messages": self.messages}

    def refusal(self) -> bytes:
        """See :class:`StandIn`."""
        code, text = self.error
        return json.dumps({"__type": f"com.amazonaws.cloudwatch#{code}", "message": text}).encode()


class CloudWatchWorld(WebWorld):
    """Counts by whole finished minute."""

    kind = "cloudwatch"
    against = "a stand-in, written after the API model of GetMetricData"
    step_s = 60.0
    not_here: ClassVar[Mapping[str, str]] = {
        "restart": "counts come by the minute; there is no counter that could begin again",
        "new_process": "a metric is one series, whoever writes it",
    }
    plan: ClassVar[dict[str, Any]] = {
        "figures": {"requests": metric("Requests"), "errors_5xx": metric("Errors"), "failures": metric("Failures")},
        "p95_ms": {"total": metric("Latency", stat="p95", unit="s")},
        "extra": [{"name": "depth", "query": metric("Depth", stat="Maximum"), "accept": 10, "stop": 20}],
        "late_s": 0,
    }

    server: GetMetricData

    def __init__(self) -> None:
        super().__init__()
        minute = self.now.replace(second=0)
        self.now, self.flip = minute + timedelta(seconds=20), minute - timedelta(minutes=5)
        self.server = GetMetricData()

    def connection(self) -> Connection:
        """See :class:`SignalsWorld`."""
        return aws_connection(f"http://127.0.0.1:{self.server.port}")

    def show(self, told: Told) -> None:
        """See :class:`SignalsWorld`."""
        minutes = [self.flip.timestamp() + 60 * n for n in range(5)]

        def counts(total: int) -> Points:
            return [(at, float(total // 5 + (n < total % 5))) for n, at in enumerate(minutes)] if total else []

        self.server.points = {
            ("Requests", "green"): counts(told.requests),
            ("Errors", "green"): counts(told.errors_5xx),
            ("Failures", "green"): counts(told.errors_5xx),
            ("Requests", "blue"): counts(told.elsewhere),
            **{("Latency", arm): [(minutes[-1], 0.2)] for arm in ("blue", "green")},
            **{("Depth", arm): [(minutes[-1], 3.0)] for arm in ("blue", "green")},
        }

    def _all(self, change: Callable[[float, float], tuple[float, float]]) -> None:
        self.server.points = {k: [change(at, v) for at, v in found] for k, found in self.server.points.items()}

    def no_data(self) -> None:
        """Nothing at all."""
        self.server.points = {}

    def not_a_number(self) -> None:
        """A value is NaN."""
        self._all(lambda at, value: (at, math.nan))

    def infinity(self) -> None:
        """It is +Inf."""
        self._all(lambda at, value: (at, math.inf))

    def minus_infinity(self) -> None:
        """It is -Inf."""
        self._all(lambda at, value: (at, -math.inf))

    def two_series(self) -> None:
        """Two results under one id."""
        self.server.labels["Depth"] = ["Depth a", "Depth b"]

    def warning(self) -> None:
        """The answer has a message."""
        self.server.messages.append({"Code": "MaxMetricsExceeded", "Value": "not all metrics were read"})

    def partial(self) -> None:
        """The answer is not complete."""
        self.server.code = "PartialData"

    def unauthorised(self) -> None:
        """The key is not valid."""
        self.server.status, self.server.error = 403, ("UnrecognizedClientException", "The security token is invalid.")

    def forbidden(self) -> None:
        """No right to ask."""
        self.server.status, self.server.error = 403, ("AccessDeniedException", "not authorized to perform this")

    def too_many(self) -> None:
        """Throttled."""
        self.server.status, self.server.error = 400, ("ThrottlingException", "Rate exceeded")

    def stale(self) -> None:
        """The newest minute is ten minutes old."""
        self._all(lambda at, value: (at - 600, value))

    def future(self) -> None:
        """Minutes that are not there yet."""
        self._all(lambda at, value: (at + 600, value))

    def wrong_arm(self) -> None:
        """There are figures of another arm alone."""
        self.server.points = {(name, "blue"): found for (name, arm), found in self.server.points.items()}

    def nonsense(self) -> None:
        """More times than values."""
        result = {"Label": "x", "StatusCode": "Complete", "Timestamps": [self.flip.timestamp()], "Values": []}
        ids = [f"m{n}_0" for n in range(9)]
        self.server.shape = {"MetricDataResults": [{**result, "Id": id} for id in ids], "Messages": []}

    def errors_unreadable(self) -> None:
        """Requests can be read, the 5xx cannot."""
        self.server.codes["Errors green"] = "InternalError"

    def other_arm_unreadable(self) -> None:
        """Green can be read, Blue cannot."""
        self.server.codes["Requests blue"] = "InternalError"

    def no_5xx_series(self) -> None:
        """No datum of 5xx: there was none."""
        del self.server.points["Errors", "green"], self.server.points["Failures", "green"]

    def unfinished(self) -> None:
        """The newest whole minute is not there yet, the one that goes on is."""
        self._all(lambda at, value: (at + 60, 10_000.0) if at >= self.now.timestamp() - 90 else (at, value))


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
