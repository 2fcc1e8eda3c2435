"""A real Elasticsearch: a single node of the smallest distribution, with users and roles."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from sandbox.processes import accounts, ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers import jvm
from sandbox.servers.base import Server, data_directory, lasting_port, launch
from sandbox.servers.single_node import LOGGING, single_node

HEAP_MB = 512
USER = "sandbox"
_ROUNDS = 10_000


def start_elasticsearch(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start it. The connection's login may do everything; there is no TLS.

    More users and roles are written into the files `users`, `users_roles` and `roles.yml` of ``data / "config"``;
    the interface for them is not in this distribution.

    Raises
        NotHere        there is no Java that fits, or `make servers` has not fetched Elasticsearch
        ServiceFailed  it did not start; the message ends with its log
    """
    java = Path(jvm.java("elasticsearch"))
    home = next(jvm.fetched("elasticsearch").glob("elasticsearch-*"))
    data = data_directory(keeper, "elasticsearch")
    account = accounts.unprivileged()  # Elasticsearch refuses to run as root
    port, password = lasting_port(), secrets.token_urlsafe(16)
    settings = {
        **single_node(data, port),
        "xpack.security.enabled": "true",
        "xpack.security.autoconfiguration.enabled": "false",
        "xpack.security.http.ssl.enabled": "false",
        "xpack.security.transport.ssl.enabled": "false",
        "resource.reload.interval.high": "1s",  # of the files of users and roles
    }
    files = {
        "elasticsearch.yml": "".join(f"{name}: {value}\n" for name, value in settings.items()),
        "jvm.options": "\n".join([*jvm.options(heap_mb=HEAP_MB), "-Djava.io.tmpdir=${ES_TMPDIR}"]) + "\n",
        "log4j2.properties": LOGGING,
        "users": f"{USER}:{hashed(password)}\n",
        "users_roles": f"superuser:{USER}\n",
        "roles.yml": "",
    }
    _prepare(data, files, account)
    if account:
        for path in (java.resolve(), home, keeper.state):
            accounts.let_pass(path)
    return launch(
        keeper,
        name="elasticsearch",
        port=port,
        argv=["bash", str(home / "bin" / "elasticsearch")],
        connection={"conn_type": "elasticsearch", "login": USER, "password": password, "extra": {}},
        describe=f"Elasticsearch {home.name.partition('-')[2]}, real server",
        data=data,
        ready=_is_yellow(port, password),
        env={
            **(env if env is not None else base_environment()),
            "ES_JAVA_HOME": str(java.resolve().parents[1]),
            "ES_PATH_CONF": str(data / "config"),
            "ES_TMPDIR": str(data / "tmp"),
        },
        user=account,
    )


def _prepare(data: Path, files: Mapping[str, str], account: str | None) -> None:
    """Make the directories that it writes to, and its configuration."""
    folders = [data / name for name in ("config", "data", "logs", "tmp")]
    for folder in folders:
        folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in files.items():
        (data / "config" / name).write_text(text)
    if account:
        for path in (data, *folders, *(data / "config" / name for name in files)):
            accounts.give(path, account)


def hashed(password: str) -> str:
    """A password as the file `users` keeps it."""
    salt = secrets.token_bytes(32)
    found = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, 32)
    return f"{{PBKDF2}}{_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def _is_yellow(port: int, password: str) -> Callable[[], bool]:
    """Every index has its primary shard; a single node never has more."""
    url = f"http://{ports.HOST}:{port}/_cluster/health?wait_for_status=yellow&timeout=1s"

    def check() -> bool:
        try:
            return httpx.get(url, auth=(USER, password), timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    return check
