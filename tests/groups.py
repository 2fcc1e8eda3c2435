"""Which tests stay together when two processes share the suite (``pytest -n 2``): those that use one server.

Everything that runs a whole Airflow is one group and begins first: two at once would starve each other. A group is
told from a test's id alone, because that is all that the process which hands them out knows.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.group_servers import GroupServer

WHOLE_AIRFLOW = "whole airflow"
FOLDERS = {"demo": WHOLE_AIRFLOW, "browser": WHOLE_AIRFLOW} | {each: each for each in ("airflow", "schedules")}
HALVES = (
    "steps: a to m",
    "steps: n to z",
)  # one folder, by the first letter after test_: each half makes its own world
# What a file's tests use when no parameter says it: the server's fixture, by how the file's name begins.
FILES = {
    "test_alb": "moto_server",
    "test_aws": "moto_server",
    "test_cache": "redis",
    "test_index_of_arms": "chroma",
    "test_k8s": "kubernetes_api",
    "test_kafka": "kafka",
    "test_kubernetes": "kubernetes_api",
    "test_kv_dynamodb": "moto_server",
    "test_kv_etcd": "etcd",
    "test_live": "etcd",
    "test_milvus": "milvus",
    "test_opensearch": "opensearch",
    "test_pgbouncer": "pgbouncer",
    "test_qdrant": "qdrant",
    "test_route53": "moto_server",
    "test_search": "elasticsearch",
    "test_ssm": "moto_server",
    "test_signals_prometheus": "prometheus",
    "test_storm": "kafka",
    "test_weaviate": "weaviate",
}
# The groups that take longest, so that none of them is left for the end.
FIRST = (
    WHOLE_AIRFLOW,
    *HALVES,
    "schedules",
    "elasticsearch",
    "opensearch",
    "airflow",
    "moto_server",
    "kafka",
    "milvus",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand out group after group, in the order of the tests."""
    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test of a group, and when pytest has put away what that test had."""
    if nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid):
        GroupServer.end_all()


class Groups(LoadScopeScheduling):
    """Hands a whole group to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long groups first; within a group, and after those, the order stays."""
    rank = {group: number for number, group in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(group_of(item.nodeid), len(FIRST)))


def group_of(nodeid: str) -> str:
    """A folder whose tests share one world, else a server, else the file."""
    file, _, test = nodeid.partition("::")
    path = PurePosixPath(file)
    fixtures = [fixture for part in test.partition("[")[2].rstrip("]").split("-") if (fixture := _server(part))]
    if "airflow" in fixtures:
        return WHOLE_AIRFLOW
    if path.parent.name in FOLDERS:
        return FOLDERS[path.parent.name]
    if path.parent.name == "steps":
        return HALVES[path.name.removeprefix("test_") > "n"]
    by_file = [server for name, server in FILES.items() if path.name.startswith(name)]
    return next(iter(fixtures + by_file), file)


def _server(param: str) -> str | None:
    """The server of a world that a test is parametrised with, or of a parameter that is its fixture."""
    from tests.contract.worlds import WORLDS
    from tests.contract.worlds.fences import FENCES
    from tests.contract.writers import WRITERS

    for worlds in (WORLDS, FENCES, WRITERS):
        if param in worlds:
            return str(worlds[param].fixture)
    return param if param in FILES.values() or param in FIRST else None
