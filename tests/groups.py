"""Which tests stay together when two processes share the suite (``pytest -n 2``): those that use one server.

Everything that runs a whole Airflow is one group and begins first: two at once would starve each other.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
WHOLE_AIRFLOW = "demo"
# The dearest to start first; a test that uses two goes with the first of them.
SERVERS = (
    "elasticsearch",
    "opensearch",
    "kafka",
    "milvus",
    "weaviate",
    "kubernetes_api",
    "moto_server",
    "chroma",
    "qdrant",
    "etcd",
    "redis",
    "envoy",
)
FIRST = (WHOLE_AIRFLOW, "steps", "airflow", *SERVERS)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in this hook too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its group, and let the long groups begin first."""
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    rank = {group: number for number, group in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(groups[item], len(FIRST)))  # a stable sort: the rest stays in its order


def group_of(item: pytest.Item) -> str:
    """A folder whose tests share one world, else a server, else the file."""
    place = item.path.relative_to(HERE)
    used = {*getattr(item, "fixturenames", ()), *_asked_for(item)}
    if place.parts[0] in ("demo", "browser") or (place.parts[0] == "contract" and "airflow" in used):
        return WHOLE_AIRFLOW
    if place.parts[0] in ("steps", "airflow"):
        return place.parts[0]
    return next((server for server in SERVERS if server in used), str(place))


def _asked_for(item: pytest.Item) -> set[str]:
    """The server of a world that a test is parametrised with."""
    from tests.contract.worlds import WORLDS
    from tests.contract.worlds.fences import FENCES
    from tests.contract.writers import WRITERS

    params = getattr(getattr(item, "callspec", None), "params", {}).values()
    worlds = {**WORLDS, **FENCES} if item.path.name != "test_writers.py" else WRITERS
    return {param for param in params if param in SERVERS} | {
        worlds[param].fixture for param in params if isinstance(param, str) and param in worlds
    }
