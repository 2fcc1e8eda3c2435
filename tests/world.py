"""A whole small world for the step functions: database, two builds, the service, steady load. No Airflow."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from sandbox.service import build
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.protocol import State
from switchover.signals import Signals, signals_of
from switchover.steps.freeze import freeze
from switchover.steps.preflight import preflight
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from tests.group_servers import GroupServer, group_server

ROOT = Path(__file__).parents[1]
GOLD = ROOT / "include" / "gold" / "python_reference.jsonl"


@dataclass(frozen=True, kw_only=True)
class World:
    """Where everything is, and the edge to it."""

    db_url: str
    service: str
    environ: dict[str, str]
    edge: Edge
    ledger: Ledger
    plan: Plan

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement on the retrieval database."""
        with psycopg.connect(self.db_url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @property
    def live(self) -> str:
        """Where the pointer is."""
        return str(self.sql("SELECT target FROM switchover_alias WHERE alias = 'docs'")[0][0])

    @property
    def frozen(self) -> bool:
        """Whether the fence is closed."""
        return bool(self.sql("SELECT frozen FROM switchover_fence WHERE fence = 'docs_ingest'")[0][0])

    def green_build(self) -> list[tuple[object, ...]]:
        """Differs as soon as a row of Green's index or its manifest is written or gone, whatever is written."""
        if self.sql("SELECT to_regclass('docs_v2')") == [(None,)]:
            return []
        rows = self.sql("SELECT md5(string_agg(ctid || ' ' || xmin, ',' ORDER BY ctid)) FROM docs_v2")
        return rows + self.sql("SELECT xmin::text FROM switchover_manifest WHERE target = 'docs_v2'")

    def open(self, id: str = "docs:1", plan: Plan | None = None, **options: object) -> Switch:
        """A run after preflight."""
        preflight(plan=plan or self.plan, edge=self.edge, id=id, actor="test", **options)  # type: ignore[arg-type]
        return Switch.open(edge=self.edge, ledger=self.plan.ledger, id=id, actor="test")

    def warmed(self, id: str = "docs:1", plan: Plan | None = None) -> Switch:
        """A run whose acceptance gate has passed: frozen and verified for real, the verdict written by hand."""
        switch = self.open(id, plan)
        self.warm(switch)
        return switch

    def warm(self, switch: Switch) -> None:
        """Bring an open run to where its acceptance gate has passed."""
        freeze(switch)
        verify(switch)
        body = {"rule": "by_hand", "outcome": "PASS", "detail": ""}
        self.ledger.journal.judged(switch.id, gate="acceptance", tick=0, verdicts=[body])
        switch.move(State.WARMED)

    def flipping(self, switch: Switch, *, moved: bool = True) -> None:
        """A flip that has died: its intent is written down, and the pointer has moved or not."""
        switch.leadership.take()
        switch.move(State.FLIPPING)
        pointer, row, epoch = switch.pointer, switch.read(), switch.leadership.lease.epoch
        switch.ledger.journal.intend_flip(
            switch.id,
            pointer=pointer.key,
            before=row.blue,
            after=row.green,
            epoch=epoch,
            actor="test",
        )
        if moved:
            self.sql("UPDATE switchover_alias SET target = 'docs_v2', version = version + 1 WHERE alias = 'docs'")

    def again(self, switch: Switch) -> Switch:
        """The same run, opened by another process: nothing but the ledger is remembered."""
        return Switch.open(edge=self.edge, ledger=self.plan.ledger, id=switch.id, actor="another process")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connection(url: str) -> str:
    parts = urlsplit(url)
    host = parse_qs(parts.query)["host"][0]
    login = parts.username or "postgres"
    return json.dumps({"conn_type": "postgres", "host": host, "login": login, "schema": parts.path[1:]})


@pytest.fixture(scope="session")
def world_while_used(pg_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupServer[World]]:
    """Its service under load takes a sixth of a core, whether a test looks or not."""
    with group_server(lambda: small_world(pg_url, tmp_path_factory.mktemp("load") / "traffic.json")) as server:
        yield server


@contextmanager
def small_world(pg_url: str, traffic: Path) -> Iterator[World]:
    """Database, builds, service and load; they end with the block."""
    with psycopg.connect(pg_url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS steps WITH (FORCE)")
        admin.execute("CREATE DATABASE steps")
    db_url = pg_url.replace("/tests", "/steps")
    with psycopg.connect(db_url, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION vector")
        build.build(conn, build.DOCS_V1)
        build.build(conn, build.DOCS_V2)
        build.point(conn, alias="docs", target="docs_v1")
    port = free_port()
    service = f"http://127.0.0.1:{port}"
    environ = {
        **os.environ,
        "DOCS_DB_URL": db_url,
        "DOCS_SERVICE_TOKEN": "present",
        "AIRFLOW_CONN_DOCS_DB": connection(db_url),
        "AIRFLOW_CONN_SWITCHOVER_LEDGER": connection(db_url),
        "AIRFLOW_CONN_DOCS_SERVICE": service,
    }
    processes = [subprocess.Popen([sys.executable, "-m", "sandbox.service.service", "--port", str(port)], env=environ)]
    try:
        wait_for(service)
        arguments = ["--url", service, "--rate", "20", "--out", str(traffic), "--gold", str(GOLD)]
        processes.append(subprocess.Popen([sys.executable, "-m", "sandbox.demo.load", *arguments], env=environ))
        edge = Edge(connections=environment_connections(environ))
        plan = load_plan(ROOT / "include" / "plans" / "docs.yaml")
        wait_for_traffic(signals_of(plan.signals, edge, arms=plan.arms))
        fence_only = [writer for writer in plan.writers if writer.kind == "sql_fence"]
        ledger = Ledger(engine=edge.sql(plan.ledger))
        ledger.create_tables()
        plan = plan.model_copy(update={"writers": fence_only})
        yield World(db_url=db_url, service=service, environ=environ, edge=edge, ledger=ledger, plan=plan)
        edge.close()
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(timeout=15)


def wait_for_traffic(signals: Signals) -> None:
    """Until the request log answers as verify will ask it."""
    deadline = time.monotonic() + 60
    while (wrong := signals.is_online()) is not None:
        if time.monotonic() > deadline:
            pytest.fail(f"the load's requests are not in the log after 60 s: {wrong}")
        time.sleep(0.2)


def wait_for(service: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{service}/healthz/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail("the service did not become ready in 120 s")


@pytest.fixture
def world(world_while_used: GroupServer[World]) -> Iterator[World]:
    """The group's world, put back: pointer on Blue, fence open, no runs, no faults."""
    world = world_while_used.get()
    world.sql("UPDATE switchover_alias SET target = 'docs_v1', epoch = 0, version = 1 WHERE alias = 'docs'")
    world.sql("UPDATE switchover_fence SET frozen = false, epoch = 0")
    world.sql("TRUNCATE switchover_run CASCADE")
    apart = ("lease", "rehearsal", "watchdog", "receipt", "audit")  # tables that no run takes with it
    world.sql(f"TRUNCATE {', '.join(f'switchover_{name}' for name in apart)}")
    green = world.green_build()
    yield world
    httpx.post(f"{world.service}/sandbox/fault", json={"target": "docs_v2", "kind": "none"})
    if world.green_build() == green:
        return
    with psycopg.connect(world.db_url, autocommit=True) as conn:
        conn.execute("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
        conn.execute("UPDATE switchover_manifest SET index_hash = manifest -> 'pins' ->> 'INDEX_HASH'")
        conn.execute("DROP TABLE IF EXISTS docs_v2")
        build.build(conn, build.DOCS_V2)
