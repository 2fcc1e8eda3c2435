"""Metric names of usual servers and proxies. A preset is a start: each figure can be replaced in the plan."""

from __future__ import annotations

# The label that tells the arms apart, the counter, the label of the status, success, 5xx; the histogram and its unit.
PROMETHEUS: dict[str, tuple[str, str, str, str, str, str | None, str]] = {
    "otel": (
        "service_version",
        "http_server_request_duration_seconds_count",
        "http_response_status_code",
        '!~"2.."',
        '=~"5.."',
        "http_server_request_duration_seconds_bucket",
        "s",
    ),
    "istio": (
        "destination_version",
        "istio_requests_total",
        "response_code",
        '!~"2.."',
        '=~"5.."',
        "istio_request_duration_milliseconds_bucket",
        "ms",
    ),
    "envoy": (
        "envoy_cluster_name",
        "envoy_cluster_upstream_rq_xx",
        "envoy_response_code_class",
        '!="2"',
        '="5"',
        "envoy_cluster_upstream_rq_time_bucket",
        "ms",
    ),
    "nginx": (
        "service",
        "nginx_ingress_controller_requests",
        "status",
        '!~"2.."',
        '=~"5.."',
        "nginx_ingress_controller_request_duration_seconds_bucket",
        "s",
    ),
}
# Istio counts a request at both ends; only one of them may be taken.
ALWAYS = {"istio": 'reporter="destination"'}


def prometheus(name: str, *, arm_label: str | None, labels: str) -> dict[str, list[str]]:
    """The selectors of each count."""
    arm, counter, status, failed, server, _, _ = PROMETHEUS[name]
    common = _matchers(name, arm_label or arm, labels)
    return {
        "requests": [f"{counter}{{{common}}}"],
        "errors_5xx": [f"{counter}{{{common}, {status}{server}}}"],
        "failures": [f"{counter}{{{common}, {status}{failed}}}"],
    }


def buckets(name: str, *, arm_label: str | None, labels: str) -> tuple[str, str] | None:
    """The histogram of the whole request, and its unit."""
    arm, *_, histogram, unit = PROMETHEUS[name]
    return None if histogram is None else (f"{histogram}{{{_matchers(name, arm_label or arm, labels)}}}", unit)


def _matchers(name: str, arm_label: str, labels: str) -> str:
    return ", ".join(filter(None, (f'{arm_label}="{{arm}}"', ALWAYS.get(name, ""), labels.strip().strip(","))))


def alb(load_balancer: str) -> dict[str, list[dict[str, object]]]:
    """The metrics of a target group, which are stored under the pair (LoadBalancer, TargetGroup).

    What the load balancer itself answers with a 5xx has no target group: it counts against the live arm.
    """
    balancer = {"LoadBalancer": load_balancer}
    pair = {**balancer, "TargetGroup": "{arm}"}

    def of(metric: str, dimensions: dict[str, str], stat: str = "Sum") -> dict[str, object]:
        return {"namespace": "AWS/ApplicationELB", "metric": metric, "dimensions": dimensions, "stat": stat}

    own = of("HTTPCode_ELB_5XX_Count", balancer)
    server, client = of("HTTPCode_Target_5XX_Count", pair), of("HTTPCode_Target_4XX_Count", pair)
    redirected = of("HTTPCode_Target_3XX_Count", pair)
    return {
        "requests": [of("RequestCount", pair), own],
        "errors_5xx": [server, own],
        "failures": [redirected, client, server, own],
        "p95_ms": [of("TargetResponseTime", pair, "p95")],
    }
