"""A Kubernetes API: a real API server where one has been built, otherwise an emulator.

``make kube-apiserver`` builds the real one (kube-apiserver, etcd and the controllers of EndpointSlices and
namespaces; no nodes, so no pod ever runs) into ``.servers/kubernetes``. Pods of tests say themselves that they
are ready.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.errors import NotHere, ServiceFailed
from sandbox.processes import ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient, Spec
from sandbox.servers.base import FETCHED, Server, answers, data_directory, lasting_port, launch, output_of
from switchover.text import first_line

BUILT = FETCHED / "kubernetes"
APISERVER, CONTROLLERS, ETCD = BUILT / "kube-apiserver", BUILT / "kube-controller-manager", BUILT / "etcd"
HTTP_ROUTES = BUILT / "httproutes.yaml"
_START_S = 120.0
_INSTALL_S = 30.0
_USER = "sandbox"


def is_built() -> bool:
    """Whether a real API server can be started."""
    return all(os.access(path, os.R_OK) for path in (APISERVER, CONTROLLERS, ETCD, HTTP_ROUTES))


def start_kubernetes_api(keeper: KeeperClient, *, real: bool | None = None) -> Server:
    """Start the real API server if it has been built, otherwise the emulator; ``real`` asks for one of them.

    Raises
        ServiceFailed  it did not start; the message ends with its log
    """
    if real or (real is None and is_built()):
        return _start_real(keeper)
    return _start_emulator(keeper)


def _start_emulator(keeper: KeeperClient) -> Server:
    data, port = data_directory(keeper, "kubernetes"), lasting_port()
    url = f"http://{ports.HOST}:{port}"
    options = ("--port", str(port), "--data", str(data))
    return launch(
        keeper,
        name="kubernetes",
        port=port,
        argv=[sys.executable, "-m", "sandbox.servers.kubernetes_emulator", *options],
        connection=connection(kube_config(url)),
        describe="our emulator of the Kubernetes API",
        data=data,
        ready=answers(f"{url}/readyz"),
    )


def _start_real(keeper: KeeperClient) -> Server:
    data, port = data_directory(keeper, "kubernetes"), lasting_port()
    token, certificates, key = secrets.token_hex(16), data / "certificates", data / "service-accounts.key"
    url, etcd_url = f"https://{ports.HOST}:{port}", f"http://{ports.HOST}:{lasting_port()}"
    (data / "tokens.csv").write_text(f'{token},{_USER},{_USER},"system:masters"\n')
    key.write_bytes(_private_key())
    _start(keeper, "kubernetes-etcd", ETCD, _etcd_options(data / "etcd", etcd_url), stop_order=1)
    options = {
        "etcd-servers": etcd_url,
        "bind-address": ports.HOST,
        "advertise-address": ports.HOST,
        "secure-port": port,
        "cert-dir": certificates,  # it makes an authority and a certificate of its own
        "token-auth-file": data / "tokens.csv",
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "service-cluster-ip-range": "10.96.0.0/16",
        "endpoint-reconciler-type": "none",  # it would refuse to announce a loopback address
        "disable-admission-plugins": "ServiceAccount",  # pods that never run need no account
    }
    authority = certificates / "apiserver.crt"
    api = Api(url=url, token=token, authority=authority)
    server = launch(
        keeper,
        name="kubernetes",
        port=port,
        argv=_argv(APISERVER, options),
        connection={},
        describe=f"Kubernetes {output_of(str(APISERVER), '--version').split()[-1]}, real API server without nodes",
        data=data,
        ready=api.is_ready,
        start_s=_START_S,
    )
    config = kube_config(url, token=token, authority=authority.read_bytes())
    (data / "kubeconfig").write_text(json.dumps(config))
    controllers = {
        "kubeconfig": data / "kubeconfig",
        "controllers": "endpointslice-controller,namespace-controller",
        "leader-elect": "false",
        "secure-port": 0,
        "kube-api-qps": 500,
        "kube-api-burst": 500,
    }
    _start(keeper, "kubernetes-controllers", CONTROLLERS, controllers)
    api.install(HTTP_ROUTES)
    return dataclasses.replace(server, connection=connection(config))


@dataclass(frozen=True, kw_only=True)
class NamedCluster:
    """A cluster that somebody else runs; as much of a :class:`Server` as can be said of it."""

    connection: Mapping[str, Any]
    describe: str


def named_cluster(path: Path) -> NamedCluster:
    """The current context of a kubeconfig file, in which certificates and keys are not other files.

    Raises
        NotHere  it cannot be read, or has no current context
    """
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster, user = _named(config["clusters"], context["cluster"]), _named(config["users"], context["user"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        reason = first_line(f"{type(error).__name__}: {error}")
        raise NotHere(f"kubeconfig {path}: {reason}; write it with `kubectl config view --raw --flatten`") from None
    alone = {**config, "contexts": [{"name": _USER, "context": context}], "current-context": _USER}
    return NamedCluster(
        connection=connection({**alone, "clusters": [cluster], "users": [user]}),
        describe=f"the cluster {cluster['name']!r} of a kubeconfig",
    )


def _named(entries: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next(each for each in entries if each["name"] == name)


def connection(config: Mapping[str, Any]) -> dict[str, Any]:
    """An Airflow connection from a kubeconfig."""
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    extra = {"kube_config": json.dumps(config)}
    return {"conn_type": "kubernetes", "host": server.hostname, "port": server.port, "extra": extra}


def kube_config(url: str, *, token: str = "", authority: bytes = b"") -> dict[str, Any]:
    """A kubeconfig of one cluster and one user."""
    cluster = {"server": url}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _USER, "cluster": cluster}],
        "users": [{"name": _USER, "user": {"token": token} if token else {}}],
        "contexts": [{"name": _USER, "context": {"cluster": _USER, "user": _USER}}],
        "current-context": _USER,
    }


@dataclass(frozen=True, kw_only=True)
class Api:
    """What the start needs of the API server; ``authority`` is a file that it makes."""

    url: str
    token: str
    authority: Path

    def is_ready(self) -> bool:
        """Whether it has all its parts."""
        if not self.authority.exists():
            return False
        try:
            return self._call("GET", "/readyz").is_success
        except (httpx.TransportError, ssl.SSLError):  # the file is not whole yet
            return False

    def install(self, manifest: Path) -> None:
        """Add one CustomResourceDefinition and wait until its objects can be made."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        answer = self._call("POST", path, content=manifest.read_bytes(), headers={"Content-Type": "application/yaml"})
        answer.raise_for_status()
        spec = answer.json()["spec"]
        group, version, plural = spec["group"], spec["versions"][0]["name"], spec["names"]["plural"]
        deadline = time.monotonic() + _INSTALL_S
        while not self._call("GET", f"/apis/{group}/{version}/{plural}").is_success:
            if time.monotonic() > deadline:
                raise ServiceFailed(f"kubernetes does not serve {group} {_INSTALL_S:.0f} s after it was installed")
            time.sleep(0.1)

    def _call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        context = ssl.create_default_context(cafile=str(self.authority))
        return httpx.request(
            method, self.url + path, headers=headers, verify=context, trust_env=False, timeout=_START_S, **more
        )


def _start(keeper: KeeperClient, name: str, program: Path, options: Mapping[str, Any], *, stop_order: int = 0) -> None:
    """Start a part that nobody else talks to; who needs it waits for it."""
    argv = _argv(program, options)
    keeper.start(Spec(name=name, argv=argv, env=base_environment(), stop_order=stop_order))


def _argv(program: Path, options: Mapping[str, Any]) -> list[str]:
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


def _etcd_options(data: Path, url: str) -> dict[str, Any]:
    peer = f"http://{ports.HOST}:{lasting_port()}"
    return {
        "name": _USER,
        "data-dir": data,
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{_USER}={peer}",
        "unsafe-no-fsync": "true",  # nothing here outlives the machine
        "log-level": "warn",
    }


def _private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
