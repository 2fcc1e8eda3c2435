"""A real OpenSearch: a single node of the smallest distribution, without the security plugin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox.processes import accounts, ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers import jvm
from sandbox.servers.base import Server, answers, data_directory, lasting_port, launch
from sandbox.servers.single_node import LOGGING, single_node

HEAP_MB = 512
# What the distribution's own start script says; without the last two it hangs for 30 s when it is stopped.
_PROPERTIES = {
    "java.security.manager": "allow",
    "java.awt.headless": "true",
    "jna.nosys": "true",
    "opensearch.distribution.type": "zip",
    "log4j.shutdownHookEnabled": "false",
    "log4j2.disable.jmx": "true",
}


def start_opensearch(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start it. It has no users and no TLS, and holds text only: the k-NN plugin is not in it.

    Raises
        NotHere        there is no Java that fits, or `make servers` has not fetched OpenSearch
        ServiceFailed  it did not start; the message ends with its log
    """
    java = jvm.java("opensearch")
    home = next(jvm.fetched("opensearch").glob("opensearch-*"))
    data = data_directory(keeper, "opensearch")
    account = accounts.unprivileged()  # OpenSearch refuses to run as root
    _prepare(data, account)
    if account:
        for path in (Path(java).resolve(), home, keeper.state):
            accounts.let_pass(path)
    port = lasting_port()
    properties = {
        **_PROPERTIES,
        "java.io.tmpdir": data / "tmp",
        "opensearch.path.home": home,
        "opensearch.path.conf": data / "config",
    }
    settings = single_node(data, port)
    url = f"http://{ports.HOST}:{port}"
    return launch(
        keeper,
        name="opensearch",
        port=port,
        argv=[
            java,
            *jvm.options(heap_mb=HEAP_MB),
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp",
            f"{home}/lib/*",
            "org.opensearch.bootstrap.OpenSearch",
            *(f"-E{name}={value}" for name, value in settings.items()),
        ],
        connection={"conn_type": "opensearch", "extra": {"use_ssl": False, "verify_certs": False}},
        describe=f"OpenSearch {home.name.partition('-')[2]}, real server",
        data=data,
        # Yellow: every index has its primary shard; a single node never has more.
        ready=answers(f"{url}/_cluster/health?wait_for_status=yellow&timeout=1s"),
        env=env,
        user=account,
    )


def _prepare(data: Path, account: str | None) -> None:
    """Make the directories that it writes to, and its logging to the keeper's log."""
    folders = [data / name for name in ("config", "data", "logs", "tmp")]
    for folder in folders:
        folder.mkdir(mode=0o700, exist_ok=True)
    files = {"opensearch.yml": "", "log4j2.properties": LOGGING}
    for name, text in files.items():
        (data / "config" / name).write_text(text)
    if account:
        for path in (data, *folders, *(data / "config" / name for name in files)):
            accounts.give(path, account)
