"""The session's servers, as fixtures for every test: each is started when a test first asks for it, once.

All tests of a session share them: who writes, writes under a name of its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import servers
from sandbox.demo.stack import Stack
from sandbox.processes import leftovers, postgres
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.processes.postgres import Postgres
from sandbox.servers import NotHere, Server
from sandbox.servers.kubernetes import NamedCluster, named_cluster
from tests.group_servers import GroupServer, group_server


def here(start: Callable[[KeeperClient], Server], keeper: KeeperClient) -> Server:
    """The started server. Where it cannot run the test is skipped with the reason; in CI it fails."""
    try:
        return start(keeper)
    except NotHere as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}", pytrace=False)
        pytest.skip(str(reason))


@contextmanager
def short_lived_keeper() -> Iterator[KeeperClient]:
    """A keeper with a directory of its own; leaving the block ends its servers, surely, and deletes their data."""
    # A short name of our own: pytest's directories are too long for the sockets of some servers.
    with tempfile.TemporaryDirectory(prefix="switchover-servers-", ignore_cleanup_errors=True) as directory:
        with KeeperClient(state=Path(directory) / "state") as keeper:
            yield keeper
        assert leftovers.ours(keeper.state) == []


@contextmanager
def throwaway_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that ends with the block, in whatever way it ends, and its data with it."""
    # A short name of our own: pytest's directories are closed to PostgreSQL's account when root runs the tests.
    with KeeperClient(state=Path(tempfile.mkdtemp(prefix="switchover-pg-"))) as keeper:
        yield postgres.start(keeper, env=base_environment(), databases=(), throwaway=True)


@pytest.fixture(scope="session")
def servers_keeper() -> Iterator[KeeperClient]:
    """The owner of this session's servers."""
    with short_lived_keeper() as keeper:
        yield keeper


@pytest.fixture(scope="session")
def etcd(servers_keeper: KeeperClient) -> Server:
    """A real etcd."""
    return here(servers.start_etcd, servers_keeper)


@pytest.fixture(scope="session")
def redis(servers_keeper: KeeperClient) -> Server:
    """A real Redis or Valkey."""
    return here(servers.start_redis, servers_keeper)


@pytest.fixture(scope="session")
def pgbouncer(servers_keeper: KeeperClient, pg_server: Postgres) -> Server:
    """A real PgBouncer before the session's PostgreSQL, in transaction mode."""
    return here(lambda keeper: servers.start_pgbouncer(keeper, pg_server), servers_keeper)


@pytest.fixture(scope="session")
def moto_server(servers_keeper: KeeperClient) -> Server:
    """An emulator of the AWS APIs."""
    return here(servers.start_moto, servers_keeper)


@pytest.fixture(scope="session")
def milvus(servers_keeper: KeeperClient) -> Server:
    """A real Milvus Lite server."""
    return here(servers.start_milvus, servers_keeper)


@pytest.fixture(scope="session")
def chroma(servers_keeper: KeeperClient) -> Server:
    """A real Chroma server."""
    return here(servers.start_chroma, servers_keeper)


@pytest.fixture(scope="session")
def envoy(servers_keeper: KeeperClient) -> Server:
    """A real Envoy proxy that follows ``routes.json`` and ``clusters.json`` in its data directory."""
    return here(servers.start_envoy, servers_keeper)


@pytest.fixture(scope="session")
def opensearch(servers_keeper: KeeperClient) -> Server:
    """A real OpenSearch, a single node without users and TLS."""
    return here(servers.start_opensearch, servers_keeper)


@pytest.fixture(scope="session")
def elasticsearch(servers_keeper: KeeperClient) -> Server:
    """A real Elasticsearch, a single node with users and without TLS."""
    return here(servers.start_elasticsearch, servers_keeper)


@pytest.fixture(scope="session")
def kafka(servers_keeper: KeeperClient) -> Server:
    """A real Kafka, one broker."""
    return here(servers.start_kafka, servers_keeper)


@pytest.fixture(scope="session")
def prometheus(servers_keeper: KeeperClient) -> Server:
    """A real Prometheus, which scrapes what a test asks it to."""
    return here(lambda keeper: servers.start_prometheus(keeper, scrape_s=0.5), servers_keeper)


@pytest.fixture(scope="session")
def qdrant(servers_keeper: KeeperClient) -> Server:
    """An emulator of Qdrant: its client's local mode behind HTTP."""
    return here(servers.start_qdrant, servers_keeper)


@pytest.fixture(scope="session")
def weaviate(servers_keeper: KeeperClient) -> Server:
    """A real Weaviate, where it was built: that takes minutes, so its absence is a skip in CI too."""
    try:
        return servers.start_weaviate(servers_keeper)
    except NotHere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kubernetes_api(servers_keeper: KeeperClient) -> Server | NamedCluster:
    """A Kubernetes API: a real API server where one has been built, otherwise our emulator.

    The variable KUBERNETES asks for one: ``real``, ``emulator``, or ``kubeconfig``, the cluster that KUBECONFIG names.
    KUBECONFIG alone is no wish: the tests make namespaces there, and a node that is only a name.
    """
    asked = os.environ.get("KUBERNETES", "")
    if asked == "kubeconfig":
        return named_cluster(Path(os.environ["KUBECONFIG"]))
    return servers.start_kubernetes_api(servers_keeper, real={"real": True, "emulator": False, "": None}[asked])


@pytest.fixture(scope="session")
def airflow_while_used() -> Iterator[GroupServer[Stack]]:
    """A whole Airflow at rest takes a fifth of a core."""
    with group_server(_airflow) as server:
        yield server


@pytest.fixture
def airflow(airflow_while_used: GroupServer[Stack]) -> Stack:
    """A real Airflow with one DAG that writes."""
    return airflow_while_used.get()


@contextmanager
def _airflow() -> Iterator[Stack]:
    from tests.contract.writers.airflow import start_airflow

    with tempfile.TemporaryDirectory(prefix="switchover-airflow-", ignore_cleanup_errors=True) as directory:
        stack = start_airflow(Path(directory))
        yield stack
        stack.close()
