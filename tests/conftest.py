"""One real PostgreSQL for a session (for each worker, if there are several); each test takes a database of it.

The server belongs to a keeper, so it ends with the session in whatever way the session ends, and its
directory with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest_plugins = ["tests.contract.recorder", "tests.servers"]

if TYPE_CHECKING:
    from sandbox.postgres import Postgres


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Postgres]:
    """The session's server."""
    from tests.servers import throwaway_postgres  # a plugin: not before pytest has it

    with throwaway_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def pg_url(pg_server: Postgres) -> str:
    """libpq URL of a database with pgvector that the whole session shares."""
    pg_server.create_database("tests", vector=True)
    return pg_server.url("tests")


@pytest.fixture
def fresh_db_url(pg_server: Postgres) -> Iterator[str]:
    """libpq URL of an empty database with pgvector for one test."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    pg_server.create_database(name, vector=True)
    yield pg_server.url(name)
    pg_server.drop_database(name)


@pytest.fixture
def fresh_db(fresh_db_url: str) -> str:
    """SQLAlchemy URL of an empty database with pgvector for one test."""
    return fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1)
