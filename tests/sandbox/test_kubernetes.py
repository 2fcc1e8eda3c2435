"""A Kubernetes API in the sandbox: the real one and the emulator start, keep their objects and leave nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.sandbox.test_servers import listening
from tests.servers import short_lived_keeper

from sandbox import servers
from sandbox.errors import NotHere
from sandbox.processes import leftovers, ports
from sandbox.servers import kubernetes
from switchover.edge import clients
from switchover.edge.connection import Connection


def call(server: Any, method: str, path: str, body: Any = None) -> Any:
    connection = Connection(id="cluster", conn_type="kubernetes", extra=server.connection["extra"])
    return clients.kubernetes(connection).call_api(
        path,
        method,
        header_params={"Accept": "application/json"},
        body=body,
        response_types_map=dict.fromkeys((200, 201), "object"),
        auth_settings=["BearerToken"],
        _return_http_data_only=True,
        _request_timeout=30,
    )


@pytest.mark.parametrize("real", [True, False], ids=["real", "emulator"])
def test_a_kubernetes_api_keeps_its_objects_over_a_restart_and_leaves_nothing(real: bool) -> None:
    if real and not kubernetes.is_built():
        pytest.skip("no API server has been built; run `make kube-apiserver`")
    with short_lived_keeper() as keeper:
        server = servers.start_kubernetes_api(keeper, real=real)
        assert ("real API server" in server.describe) == real
        service = {"metadata": {"name": "docs"}, "spec": {"selector": {"arm": "blue"}, "ports": [{"port": 80}]}}
        call(server, "POST", "/api/v1/namespaces", {"metadata": {"name": "search"}})
        made = call(server, "POST", "/api/v1/namespaces/search/services", service)
        assert call(server, "GET", "/apis/gateway.networking.k8s.io/v1/namespaces/search/httproutes")["items"] == []
        pid = server.pid
        assert listening([psutil.Process(each) for each in keeper.pids().values()]) == {ports.HOST}
        server.restart()
        assert not psutil.pid_exists(pid)
        assert call(server, "GET", "/api/v1/namespaces/search/services/docs") == made, "the restart lost data"
        state = keeper.state
    assert leftovers.ours(state) == []


def test_a_cluster_that_a_kubeconfig_names_is_its_current_context(tmp_path: Path) -> None:
    config = kubernetes.kube_config("https://here.example:6443", token="t")
    config["clusters"].append({"name": "other", "cluster": {"server": "https://there.example:6443"}})
    config["contexts"].append({"name": "there", "context": {"cluster": "other", "user": "sandbox"}})
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({**config, "current-context": "there"}))
    named = kubernetes.named_cluster(path)
    assert named.describe == "the cluster 'other' of a kubeconfig"
    assert (named.connection["host"], named.connection["port"]) == ("there.example", 6443)
    assert [each["name"] for each in json.loads(named.connection["extra"]["kube_config"])["clusters"]] == ["other"]


@pytest.mark.parametrize("text", [None, "a: [b", "{}", "current-context: x\ncontexts: []"])
def test_a_kubeconfig_that_cannot_be_used_is_not_here(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NotHere, match="kubectl config view --raw --flatten"):
        kubernetes.named_cluster(path)
