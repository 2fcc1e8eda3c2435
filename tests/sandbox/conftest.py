"""A database of its own for each test module, with both builds where a module asks for them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy as sa
from tests.sandbox.index_world import World

from sandbox.service import build, tables

Conn = psycopg.Connection[Any]


@pytest.fixture(scope="session")
def new_database(pg_url: str) -> Callable[[], str]:
    """Creates an empty database on the session's server and gives its libpq URL."""

    def create() -> str:
        name = f"sandbox_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(pg_url, autocommit=True) as conn:
            conn.execute(f'CREATE DATABASE "{name}"')
        parts = urlsplit(pg_url)
        return urlunsplit(parts._replace(path=f"/{name}"))

    return create


@pytest.fixture(scope="module")
def built_url(new_database: Callable[[], str]) -> str:
    """A database with both good builds and the pointer ``docs`` on Blue."""
    url = new_database()
    with psycopg.connect(url, autocommit=True) as conn:
        build.build(conn, build.DOCS_V1)
        build.build(conn, build.DOCS_V2)
        build.point(conn, alias="docs", target="docs_v1")
    return url


@pytest.fixture
def built(built_url: str) -> Iterator[Conn]:
    """A connection to the module's database; pointer, fence and ingest tables are put back before the test."""
    with psycopg.connect(built_url, autocommit=True) as conn:
        conn.execute("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
        conn.execute("UPDATE switchover_fence SET frozen = false")
        conn.execute("TRUNCATE ingest_source, ingest_position, ingest_effect, request_log RESTART IDENTITY")
        conn.execute("TRUNCATE switchover_intent, switchover_effects")
        for target in ("docs_v1", "docs_v2"):
            conn.execute(f"DELETE FROM {target} WHERE revision > 1")
        conn.execute("DELETE FROM documents WHERE revision > 1")
        yield conn


@pytest.fixture
def empty(new_database: Callable[[], str]) -> Iterator[Conn]:
    """A connection to a database that has the tables and nothing in them."""
    with psycopg.connect(new_database(), autocommit=True) as conn:
        tables.create(conn)
        yield conn


@pytest.fixture
def world(fresh_db_url: str, fresh_db: str) -> Iterator[World]:
    engine = sa.create_engine(fresh_db)
    with psycopg.connect(fresh_db_url, autocommit=True) as conn:
        tables.create(conn)
        world = World(conn=conn, engine=engine)
        for number in range(12):
            world.write(f"doc-{number:02d}", 1)
        yield world
    engine.dispose()
