"""How PostgreSQL is reached: one place builds engines, nothing outlives a transaction, TLS is as asked for."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from switchover.edge.connection import environment_connections, parse_connection
from switchover.edge.edge import Edge
from switchover.edge.postgres import engine_for, libpq
from switchover.errors import BadInput

ROOT = Path(__file__).parents[2]
PRODUCT = [path for part in ("include/switchover", "plugins", "dags") for path in sorted((ROOT / part).rglob("*.py"))]
#: What outlives a transaction on the server's connection, and would be found there by another client of a pooler.
SESSION = re.compile(
    r"\bSET\s+(?!LOCAL\b)(?:SESSION\s+)?\w+\s*(?:=|TO\b)\s*'|\b(?:UN)?LISTEN\b|\bCREATE\s+TEMP|WITH\s+HOLD"
    r"|\bpg_(?:try_)?advisory_lock|set_config\([^)]*false\)|^\s*PREPARE\b"
)


def texts(path: Path) -> list[str]:
    """Every text of a module that is no docstring."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    skipped = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _documented(node)}  # type: ignore[attr-defined]
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [str(node.value) for node in found if id(node) not in skipped]


def _documented(node: ast.AST) -> bool:
    return ast.get_docstring(node) is not None  # type: ignore[arg-type]


def test_one_place_builds_engines_and_opens_connections() -> None:
    opening = re.compile(r"create_(async_)?engine\(|psycopg\.connect\(|Connection\.connect\(|ConnectionPool\(")
    found = {path.name for path in PRODUCT if opening.search(path.read_text())}
    assert found == {"postgres.py", "database.py", "kafka.py"}, "other databases, only read; a team's own program"


def test_no_statement_leaves_anything_behind_its_transaction() -> None:
    left = {f"{path.name}: {text[:60]}" for path in PRODUCT for text in texts(path) if SESSION.search(text)}
    assert left == set()
    for bad in ("SET statement_timeout = '5s'", "LISTEN moved", "SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE t ()"):
        assert SESSION.search(bad)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "postgresql://u:p@db:5432/x?sslmode=verify-full&sslrootcert=%2Fca.pem",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "port": "5432"},
        ),
        ("postgresql://u:p@db/x?options=-csearch_path%3Dsearch", {"options": "-csearch_path=search"}),
        ("postgresql://u:p@db1,db2/x?target_session_attrs=read-write", {"host": "db1,db2"}),
        ("postgresql://u:p@/x?host=%2Frun%2FPG", {"host": "/run/PG", "dbname": "x"}),
        ("postgresql://u:p@%2Frun%2FPG/x", {"host": "/run/PG"}),
        ("postgresql://u:p@db/x?__extra__=%7B%22sslmode%22%3A+%22require%22%7D", {"sslmode": "require"}),
        ("postgresql://u:p@db/x?connect_timeout=2", {"connect_timeout": "2"}),
        ('{"conn_type": "postgres", "host": "db", "extra": {"sslcert": "/c", "sslkey": "/k"}}', {"sslkey": "/k"}),
        ('{"conn_type": "postgres", "host": "db", "extra": {"keepalives": false}}', {"keepalives": "0"}),
        ('{"conn_type": "postgres", "host": "db", "extra": {"cursor": "dictcursor"}}', {"host": "db"}),
        ("postgresql://u:p@db/x", {"user": "u", "password": "p", "connect_timeout": "5", "dbname": "x"}),
    ],
)
def test_libpq_is_told_every_word_of_the_connection(text: str, told: dict[str, str]) -> None:
    found = libpq(parse_connection("db", text))
    assert {name: found.get(name) for name in told} == told
    assert "cursor" not in found
    assert "p@" not in str(engine_for(parse_connection("db", text)).url)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"ssl_mode": "require"}, "extra 'ssl_mode' is not used here; allowed: connection parameters of libpq"),
        ({"sslmode": ["require"]}, "extra 'sslmode' is not used here"),
        ({"iam": True}, "extra 'iam' is not used here"),
        ({"user": "other"}, "'user' is said twice"),
    ],
)
def test_a_word_that_libpq_does_not_know_is_refused_not_ignored(extra: dict[str, object], said: str) -> None:
    told = {"conn_type": "postgres", "host": "db", "login": "u", "password": "SECRET", "extra": extra}
    with pytest.raises(BadInput, match=f"connection 'db': {said}") as refused:
        engine_for(parse_connection("db", json.dumps(told)))
    assert "SECRET" not in str(refused.value)


@contextlib.contextmanager
def server_without_tls() -> Iterator[tuple[int, list[bytes]]]:
    """Offers no TLS and asks for the password in clear; keeps what it is sent."""
    sent: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                with contextlib.suppress(OSError, ValueError), listening.accept()[0] as client:
                    client.settimeout(5)
                    while True:
                        packet = client.recv(int.from_bytes(client.recv(4), "big") - 4)
                        if packet[:4] not in (struct.pack("!I", 80877103), struct.pack("!I", 80877104)):
                            break  # neither "TLS?" nor "GSS?"
                        client.send(b"N")
                    sent.append(packet)
                    client.send(b"R" + struct.pack("!II", 8, 3))
                    sent.append(client.recv(1_000))
                if listening.fileno() < 0:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], sent


@pytest.mark.parametrize(
    "form", ["?sslmode=require", "?sslmode=verify-full", "?__extra__=%7B%22sslmode%22%3A%22require%22%7D"]
)
def test_no_password_goes_to_a_server_without_the_tls_that_the_connection_asks_for(form: str) -> None:
    with server_without_tls() as (port, sent):
        text = f"postgresql://u:SECRET@127.0.0.1:{port}/ledger"
        for given in (text + form, text):
            edge = Edge(connections=environment_connections({"AIRFLOW_CONN_DB": given}))
            with contextlib.closing(edge), pytest.raises(sa.exc.OperationalError) as refused:
                edge.sql("db").connect()
            assert "SECRET" not in str(refused.value)
            if given != text:
                assert sent == [], "what asked for TLS has sent something in clear"
        assert any(b"SECRET" in each for each in sent), "the server can see a password at all"
