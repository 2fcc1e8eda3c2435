"""The servers that the pointers are proven on: each is started when a test first asks for it, once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import servers
from sandbox.keeper_client import KeeperClient
from sandbox.servers import Server
from tests.contract.recorder import OPTION, Recorder
from tests.servers import here, short_lived_keeper


@pytest.fixture(scope="session")
def keeper() -> Iterator[KeeperClient]:
    """The owner of this session's servers."""
    with short_lived_keeper() as keeper:
        yield keeper


@pytest.fixture(scope="session")
def etcd(keeper: KeeperClient) -> Server:
    """A real etcd."""
    return here(servers.start_etcd, keeper)


@pytest.fixture(scope="session")
def moto_server(keeper: KeeperClient) -> Server:
    """An emulator of the AWS APIs."""
    return here(servers.start_moto, keeper)


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Keeps what was measured; written at the end of the session if ``--capabilities`` names a file."""
    recorder = Recorder()
    yield recorder
    path = request.config.getoption(OPTION, default=None)
    if path is not None:
        recorder.write(path)


@pytest.fixture(scope="session")
def milvus(keeper: KeeperClient) -> Server:
    """A real Milvus Lite server."""
    return here(servers.start_milvus, keeper)


@pytest.fixture(scope="session")
def chroma(keeper: KeeperClient) -> Server:
    """A real Chroma server."""
    return here(servers.start_chroma, keeper)


@pytest.fixture(scope="session")
def envoy(keeper: KeeperClient) -> Server:
    """A real Envoy proxy that follows ``routes.json`` and ``clusters.json`` in its data directory."""
    return here(servers.start_envoy, keeper)


@pytest.fixture(scope="session")
def opensearch(keeper: KeeperClient) -> Server:
    """A real OpenSearch, a single node without users and TLS."""
    return here(servers.start_opensearch, keeper)


@pytest.fixture(scope="session")
def kafka(keeper: KeeperClient) -> Server:
    """A real Kafka, one broker."""
    return here(servers.start_kafka, keeper)
