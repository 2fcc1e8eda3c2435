"""``switchover pointer`` on a real PostgreSQL: with a plan and without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from switchover.cli.entry import main
from switchover.ledger import Ledger
from switchover.pointers import kv_sql, pgvector

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
KEY = ["--kind", "kv_sql", "--set", "connection=docs_db", "--set", "key=docs"]


@pytest.fixture
def engine(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    engine = sa.create_engine(fresh_db)
    kv_sql.create_table(engine)
    pgvector.create_tables(engine)
    Ledger(engine=engine).create_tables()
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO switchover_key (key, target) VALUES ('docs', 'docs_v1')"))
        connection.execute(sa.text("INSERT INTO switchover_alias (alias, target) VALUES ('docs', 'docs_v1')"))
        for target in ("docs_v1", "docs_v2"):
            connection.execute(sa.text("INSERT INTO switchover_manifest VALUES (:t, :t, '{}', now())"), {"t": target})
    text = json.dumps(
        {
            "conn_type": "postgres",
            "host": engine.url.query["host"],
            "login": engine.url.username,
            "schema": engine.url.database,
        }
    )
    monkeypatch.setenv("AIRFLOW_CONN_DOCS_DB", text)
    monkeypatch.setenv("AIRFLOW_CONN_SWITCHOVER_LEDGER", text)
    yield engine
    engine.dispose()


def live(engine: sa.Engine, table: str = "switchover_key") -> str:
    with engine.connect() as connection:
        return str(connection.execute(sa.text(f"SELECT target FROM {table}")).scalar_one())


def test_read_swap_verify_without_a_plan(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pointer", "read", "--json", *KEY]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "docs_v1"
    assert main(["pointer", "verify", *KEY, "--arm", "docs_v2"]) == 1
    assert main(["pointer", "swap", "--json", *KEY, "--expect", "docs_v1", "--to", "docs_v2"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n", 1)[1])["changed"] is True
    assert main(["pointer", "verify", *KEY, "--arm", "docs_v2"]) == 0
    assert live(engine) == "docs_v2"


def test_a_repeat_changes_nothing_and_is_well(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    swap = ["pointer", "swap", *KEY, "--expect", "docs_v1", "--to", "docs_v2"]
    assert main(swap) == 0
    assert main(swap) == 0
    assert "was on 'docs_v2' already; nothing was changed" in capsys.readouterr().out


def test_dry_run_says_and_leaves(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pointer", "swap", *KEY, "--expect", "docs_v1", "--to", "docs_v2", "--dry-run"]) == 0
    assert "would move from 'docs_v1' to 'docs_v2'" in capsys.readouterr().out
    assert live(engine) == "docs_v1"


def test_somewhere_else_is_exit_5(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pointer", "swap", *KEY, "--expect", "other", "--to", "docs_v2"]) == 5
    assert "expected 'other', found 'docs_v1'; nothing was changed" in capsys.readouterr().err
    assert live(engine) == "docs_v1"


def test_a_plan_s_pointer_is_moved_under_its_lease(engine: sa.Engine) -> None:
    swap = ["pointer", "swap", "--plan", str(PLAN), "--expect", "docs_v1", "--to", "docs_v2"]
    assert main(swap) == 0
    assert live(engine, "switchover_alias") == "docs_v2"
    with engine.connect() as connection:
        epoch = connection.execute(sa.text("SELECT epoch FROM switchover_alias")).scalar_one()
    assert epoch == 1, "the lease's epoch was carried into the store"


def test_a_lease_that_another_holds_is_exit_5(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pointer", "read", "--json", "--plan", str(PLAN)]) == 0
    key = json.loads(capsys.readouterr().out)["pointer"]
    Ledger(engine=engine).leases.take(key, holder="docs:running", seconds=60)
    swap = ["pointer", "swap", "--plan", str(PLAN), "--expect", "docs_v1", "--to", "docs_v2"]
    assert main(swap) == 5
    assert "held by 'docs:running'" in capsys.readouterr().err
    assert live(engine, "switchover_alias") == "docs_v1"


def test_a_target_without_its_build_is_exit_1(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    alias = ["--kind", "pgvector", "--set", "connection=docs_db", "--set", "alias=docs"]
    assert main(["pointer", "swap", *alias, "--expect", "docs_v1", "--to", "docs_v9"]) == 1
    assert "'docs_v9' has INDEX_HASH none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kind", "nosuch", "--set", "connection=docs_db"], "pointer: kind: found 'nosuch'; allowed: alb, elastic"),
        (["--kind", "kv_sql", "--set", "connection=docs_db"], "key: missing"),
        (["--kind", "kv_sql", "--set", "connection"], "--set 'connection': allowed: KEY=VALUE"),
        ([*KEY, "--set", "alias=x"], "alias: unknown key for kind 'kv_sql'"),
        (["--plan", str(PLAN), "--set", "alias=x"], "--set: belongs to --kind"),
        (["--kind", "kv_sql", "--set", "connection=nowhere", "--set", "key=x"], "AIRFLOW_CONN_NOWHERE"),
        (["--kind", "kv_etcd", "--set", "connection=docs_db", "--set", "key=x"], "is of type 'postgres'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    engine: sa.Engine, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["pointer", "read", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_an_arm_that_the_plan_does_not_know(engine: sa.Engine, capsys: pytest.CaptureFixture[str]) -> None:
    swap = ["pointer", "swap", "--plan", str(PLAN), "--expect", "docs_v1", "--to", "docs_v9"]
    assert main(swap) == 2
    arms = ", ".join(yaml.safe_load(PLAN.read_text())["arms"])
    assert f"allowed: {arms}" in capsys.readouterr().err
