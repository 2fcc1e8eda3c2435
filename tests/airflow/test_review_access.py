"""Who may see which switchover: the real Airflow API server's app, its tokens, its auth manager, our plugin in it."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from sandbox.processes.postgres import Postgres
from switchover.edge.connection import parse_connection
from switchover.edge.postgres import engine_for
from switchover.ledger import Ledger
from switchover.planfile.load import load_plan
from tests.airflow.conftest import ROOT

RUN = "docs:manual__2026-11-26T10:00:00+00:00"
MARKUP = "<script>alert(1)</script>"
PATHS = ["/", f"/runs/{quote(RUN)}", f"/runs/{quote(RUN)}/bundle.zip", "/dags/switchover__docs/runs/manual__1"]


@pytest.fixture(scope="module")
def ledger(pg_server: Postgres) -> Iterator[Ledger]:
    """A ledger with one run, behind the connection that the plans name."""
    pg_server.create_database("review")
    text = pg_server.airflow_connection("review")
    engine = engine_for(parse_connection("switchover_ledger", text))
    found = Ledger(engine=engine)
    found.create_tables()
    plan = load_plan(ROOT / "include" / "plans" / "docs.yaml").model_copy(update={"description": MARKUP})
    found.runs.open(id=RUN, plan=plan, pointer="p", blue="docs_v1", green="docs_v2", hold_minutes=20)
    found.journal.say(RUN, MARKUP, actor=MARKUP)
    os.environ["AIRFLOW_CONN_SWITCHOVER_LEDGER"] = text
    yield found
    engine.dispose()
    del os.environ["AIRFLOW_CONN_SWITCHOVER_LEDGER"]


@pytest.fixture(scope="module")
def client(airflow_db: None, ledger: Ledger) -> Iterator[TestClient]:
    """Airflow's own app with our plugin, and an auth manager with rights on single DAGs."""
    from airflow.api_fastapi import app as airflow_app

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "sandbox.processes.auth_manager.SandboxAuthManager")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin,guest:viewer")
        airflow_app.purge_cached_app()
        yield TestClient(airflow_app.create_app(), raise_server_exceptions=False)
        airflow_app.purge_cached_app()


def as_user(name: str, role: str) -> dict[str, str]:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", PATHS)
def test_without_login_there_is_nothing(client: TestClient, path: str) -> None:
    answer = client.get(f"/switchover{path}")
    assert answer.status_code == 401
    assert "docs_v1" not in answer.text


@pytest.mark.parametrize("path", PATHS[1:])
def test_rights_on_another_dag_are_no_rights(client: TestClient, path: str) -> None:
    answer = client.get(f"/switchover{path}", headers=as_user("guest", "viewer"))
    assert answer.status_code == 403
    assert client.get("/switchover/runs/docs:nobody", headers=as_user("guest", "viewer")).status_code == 403


def test_the_list_shows_what_may_be_seen(client: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    seen = {"admin": {"switchover__docs", "docs_ingest"}, "guest": {"docs_ingest"}}
    monkeypatch.setattr(get_auth_manager(), "get_authorized_dag_ids", lambda *, user, method: seen[user.username])
    assert "docs_v1" in client.get("/switchover/", headers=as_user("admin", "admin")).text
    guest = client.get("/switchover/", headers=as_user("guest", "viewer"))
    assert guest.status_code == 200
    assert "docs_v1" not in guest.text


def test_a_page_shows_markup_as_text_and_allows_no_foreign_script(client: TestClient) -> None:
    answer = client.get(f"/switchover/runs/{quote(RUN)}", headers=as_user("admin", "admin"))
    assert answer.status_code == 200
    assert MARKUP not in answer.text
    assert answer.text.count("&lt;script&gt;alert(1)") >= 3
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert " style=" not in answer.text and " onclick" not in answer.text


def test_what_is_not_there_is_not_found(client: TestClient) -> None:
    admin = as_user("admin", "admin")
    assert client.get("/switchover/runs/docs:nobody", headers=admin).status_code == 404
    tab = client.get("/switchover/dags/switchover__docs/runs/nobody", headers=admin)
    assert (tab.status_code, "No switchover yet" in tab.text) == (200, True)
    assert "is not a switchover" in client.get("/switchover/dags/docs_ingest/runs/x", headers=admin).text
    assert client.get("/switchover/static/review.css").headers["content-type"].startswith("text/css")
    assert client.get("/switchover/static/app.py").status_code == 404


def test_the_tab_and_the_bundle_are_those_of_the_run(client: TestClient) -> None:
    admin = as_user("admin", "admin")
    tab = client.get(f"/switchover/dags/switchover__docs/runs/{quote(RUN.partition(':')[2])}", headers=admin)
    assert "docs_v2" in tab.text
    answer = client.get(f"/switchover/runs/{quote(RUN)}/bundle.zip", headers=admin)
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert json.loads(archive.read("summary.json"))["id"] == RUN
    assert {"report.html", "report.md", "summary.json"} <= set(archive.namelist())


def test_the_page_only_reads(client: TestClient) -> None:
    from switchover_airflow.review.ledgers import open_ledger

    with pytest.raises(Exception, match="read-only"):
        open_ledger("switchover_ledger").journal.say(RUN, "written", actor="page")


def test_a_ledger_that_is_down_is_one_line(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from switchover_airflow.review import app

    def down(*_: Any) -> Ledger:
        return Ledger(engine=sa.create_engine("postgresql+psycopg://127.0.0.1:1/none"))

    monkeypatch.setattr(app, "ledger_of", down)
    answer = client.get(f"/switchover/runs/{quote(RUN)}", headers=as_user("admin", "admin"))
    assert (answer.status_code, "did not answer" in answer.text) == (503, True)


def test_airflow_knows_the_views() -> None:
    from airflow.plugins_manager import _get_ui_plugins

    views = {view["url_route"]: view["destination"] for view in _get_ui_plugins()[0]}
    assert views == {"switchovers": "nav", "switchover": "dag_run"}
