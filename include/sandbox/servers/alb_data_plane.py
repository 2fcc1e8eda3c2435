"""What an Application Load Balancer does with requests: a real Envoy that follows the ELBv2 API's listener.

The API is an emulator's and moves no traffic of its own. ``python -m sandbox.servers.alb_data_plane`` looks
every 50 ms at what one listener forwards to, and gives the target groups to Envoy as clusters and their
weights as its route. Without an answer of the API the last routes stay, as with a real load balancer.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import Server, data_directory
from sandbox.servers.envoy import (
    CLUSTER_TYPE,
    CLUSTERS,
    ROUTES,
    ROUTES_TYPE,
    always,
    follow_files,
    publish,
    routes,
    start_envoy,
)
from switchover.edge import clients
from switchover.edge.connection import environment_connections
from switchover.errors import SwitchoverError

LOOK_S = 0.05
# Targets are looked at less often: a real load balancer takes seconds, too, to use a new one.
TARGETS_EVERY = 20
IDLE_S = 60  # after this long Envoy closes a connection; a target must keep it longer


class Listener:
    """The listener ``arn``, by the ELBv2 client ``api``. Its rules are not followed, only its default action."""

    def __init__(self, *, api: Any, arn: str) -> None:
        self._api = api
        self._arn = arn

    def weights(self) -> dict[str, int]:
        """Target group ARN -> weight of the default action; empty when it does not forward."""
        (listener,) = self._api.describe_listeners(ListenerArns=[self._arn])["Listeners"]
        action = listener["DefaultActions"][-1]
        groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
        if not groups and "TargetGroupArn" in action:
            groups = [{"TargetGroupArn": action["TargetGroupArn"]}]
        return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}

    def targets(self, group: str) -> list[tuple[str, int]]:
        """Address and port of each healthy target of a group."""
        found = self._api.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return sorted(
            (each["Target"]["Id"], int(each["Target"]["Port"]))
            for each in found
            if each["TargetHealth"]["State"] == "healthy"
        )


class Follower:
    """Publishes to Envoy's two files what the listener says, when it says something new."""

    def __init__(self, *, listener: Listener, out: Path) -> None:
        self._listener = listener
        self._out = out
        self._looks = 0
        self._targets: dict[str, list[tuple[str, int]]] = {}
        self._weights: dict[str, int] | None = None

    def look(self) -> None:
        """Look once. New clusters are published one look before the first route to them."""
        weights = self._listener.weights()
        if self._looks % TARGETS_EVERY == 0 or set(weights) != set(self._targets):
            targets = {group: self._listener.targets(group) for group in weights}
            if targets != self._targets:
                self._targets = targets
                publish(self._out / CLUSTERS, CLUSTER_TYPE, [cluster(*each) for each in targets.items()])
                return
        self._looks += 1
        if weights != self._weights:
            self._weights = weights
            publish(self._out / ROUTES, ROUTES_TYPE, [routes(forward(weights))])


def cluster(name: str, targets: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Envoy's form of a target group."""
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
        for address, port in targets
    ]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "common_http_protocol_options": {"idle_timeout": f"{IDLE_S}s"},
    }


def forward(weights: Mapping[str, int]) -> dict[str, Any]:
    """Envoy's form of a forward action: every request goes to one group, chosen by weight."""
    chosen = [{"name": name, "weight": weight} for name, weight in weights.items() if weight > 0]
    if not chosen:
        return always(503, "the listener forwards to no target group")
    return {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": chosen}}}


def start_proxy(keeper: KeeperClient, *, port: int) -> Server:
    """Start the Envoy that listens on ``port``, with 503 for every request until a listener was read."""
    data = data_directory(keeper, "envoy")
    publish(data / CLUSTERS, CLUSTER_TYPE, [])
    publish(data / ROUTES, ROUTES_TYPE, [routes(always(503, "the listener was not read yet"))])
    return start_envoy(keeper, bootstrap=follow_files(data, port))


def look_until_ended(look: Callable[[], None], *, silence: tuple[type[Exception], ...], name: str) -> None:
    """Look again and again until SIGTERM or SIGINT. ``silence``: the API did not answer; it is asked again."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    silent = False
    while not stop.wait(LOOK_S):
        try:
            look()
            silent = False
        except silence as error:
            if not silent:
                print(f"{name}: {error}; the last routes stay", file=sys.stderr, flush=True)
            silent = True


def main() -> None:
    """Follow until SIGTERM or SIGINT; an API that does not answer is asked again."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servers.alb_data_plane", description="Follow a listener.")
    parser.add_argument("--connection", required=True, help="id of the aws connection (AIRFLOW_CONN_<ID>)")
    parser.add_argument("--listener", required=True, metavar="ARN")
    parser.add_argument("--out", type=Path, required=True, help="Envoy's directory")
    args = parser.parse_args()
    try:
        api = clients.aws(environment_connections()(args.connection), "elbv2")
    except SwitchoverError as error:
        sys.exit(f"alb_data_plane: {error}")
    follower = Follower(listener=Listener(api=api, arn=args.listener), out=args.out)
    look_until_ended(follower.look, silence=(BotoCoreError, ClientError), name="alb_data_plane")


if __name__ == "__main__":
    main()
