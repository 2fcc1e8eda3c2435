"""The dry run makes every read that the run will make, is red when one fails, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import InvariantBroken, SwitchoverError
from switchover.plan import Plan
from switchover.steps import finish
from switchover.steps.breakglass import break_glass
from switchover.steps.flip import flip
from switchover.steps.preflight import Route, preflight
from tests.steps.conftest import World

TABLES = ("alias", "fence", "run", "lease", "event", "check", "evidence", "step", "rehearsal", "manifest")


def state(world: World) -> list[object]:
    return [world.sql(f"SELECT * FROM switchover_{table}") for table in TABLES]


def dry(world: World, plan: Plan | None = None) -> str:
    """What it says; nothing is changed by it, whether it fails or not."""
    places = {"AIRFLOW_CONN_NOWHERE": "http://127.0.0.1:9"}
    gone = json.dumps({"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x", "schema": "x"})
    edge = Edge(connections=environment_connections({**world.environ, **places, "AIRFLOW_CONN_NO_DB": gone}))
    before = state(world)
    try:
        found = preflight(plan=plan or world.plan, edge=edge, id="docs:dry", actor="test", dry_run=True)
        assert found.route is Route.DRY_RUN
        return "\n".join(found.lines)
    finally:
        edge.close()
        assert state(world) == before


def changed(plan: Plan, change: Callable[[Any], object]) -> Plan:
    body = plan.model_dump(mode="json")
    change(body)
    return Plan.model_validate(body)


def test_it_tells_every_read_and_every_intended_change(world: World) -> None:
    told = dry(world)
    for part in (
        "read    watchdog: ",
        "looser than the contract: rules.flips_vs_blue.margin 0.05 (contract: 0)",
        "read    other switchovers: none is open",
        "read    pointer ",
        "'docs_v1' is live",
        "would move from 'docs_v1' to 'docs_v2'",
        "read    Green index docs_v2: filled",
        "read    build of docs_v2: INDEX_HASH ",
        "read    Green INDEX_HASH: ",
        "read    Green encoder: lowest cosine 1.0000",
        "read    readers: ",
        "read    arm 'docs_v2': says what it is, encoder wordllama",
        "read    question to Blue: 5 hits in ",
        "read    question to Green: 5 hits in ",
        "read    judge encoder: wordllama-l2-supercat, 256 dimensions",
        "read    gold set: ",
        "read    signals answer: fresh data",
        "read    writer 'ingest process': found {'frozen': False",
        "would   freeze writer 'ingest process'",
        "would   hold and watch for 20 min",
    ):
        assert part in told
    assert "FAILED" not in told


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda plan: plan["pointer"].update(connection="no_db"), "did not answer"),
        (lambda plan: plan["index"].update(connection="no_db"), "Green index docs_v2"),
        (lambda plan: plan["signals"].update(connection="no_db"), "signals answer"),
        (lambda plan: plan["gold"].update(corpus="no_db"), "gold set"),
        (lambda plan: plan["readers"][0].update(connection="nowhere"), "readers: "),
        (lambda plan: plan["arms"]["docs_v2"].update(connection="nowhere"), "question to Green"),
        (lambda plan: plan["writers"][0].update(connection="no_db"), "writer 'ingest process'"),
        (lambda plan: plan["readers"][0].update(path="/healthz"), "readers: "),
        (lambda plan: plan["arms"]["docs_v2"].update(ask="/none"), "question to Green: HTTP 404"),
        (lambda plan: plan["arms"]["docs_v2"].update(version="/none"), "Green arm"),
        (lambda plan: plan["signals"].update(table="no_such_table"), "signals answer"),
        (lambda plan: plan["writers"][0].update(fence="no_such_fence"), "writer 'ingest process'"),
        (lambda plan: plan["gold"].update(path="/nowhere/gold.jsonl"), "gold set"),
        (lambda plan: plan.update(watchdog="required"), "watchdog"),
        (lambda plan: plan.update(secrets=["NO_SUCH_SECRET"]), "Green secrets: absent: NO_SUCH_SECRET"),
    ],
)
def test_it_is_red_when_a_read_of_the_run_would_fail(world: World, change: Callable[[Any], object], named: str) -> None:
    with pytest.raises(SwitchoverError) as raised:
        dry(world, changed(world.plan, change))
    assert named in str(raised.value)


def test_every_failed_read_is_named_and_the_log_has_all_lines(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def two(plan: Any) -> None:
        plan["arms"]["docs_v2"]["ask"] = "/none"
        plan["signals"]["table"] = "no_such_table"

    with caplog.at_level("INFO", logger="switchover"), pytest.raises(InvariantBroken) as raised:
        dry(world, changed(world.plan, two))
    assert "4 of " in str(raised.value)
    assert caplog.text.count("FAILED  ") == 4
    assert "read    question to Blue: 5 hits" in caplog.text
    assert "would   hold and watch" in caplog.text


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DROP TABLE docs_v2", "Green index docs_v2: absent"),
        ("DELETE FROM docs_v2 WHERE ctid = (SELECT min(ctid) FROM docs_v2)", "Green count: "),
        (
            "UPDATE switchover_manifest SET manifest = jsonb_set(manifest, '{encoder,name}', '\"unknown\"')"
            " WHERE target = 'docs_v2'",
            "question to Green: HTTP 503",
        ),
    ],
)
def test_it_is_red_when_green_is_not_what_it_should_be(world: World, statement: str, named: str) -> None:
    world.sql(statement)
    with pytest.raises(InvariantBroken) as raised:
        dry(world)
    assert named in str(raised.value)


def test_it_is_red_for_what_preflight_refuses(world: World) -> None:
    open_run = world.open("docs:1")
    with pytest.raises(InvariantBroken, match="other switchovers: .*'docs:1' is still planned"):
        dry(world)
    finish.restore(open_run)
    flip(world.warmed("docs:2"))
    break_glass(plan=world.plan, edge=world.edge, actor="test", person="kim")
    with pytest.raises(InvariantBroken, match="build of docs_v2: .* 'docs:2' took back"):
        dry(world)


def test_a_late_dry_run_is_still_a_dry_run(world: World) -> None:
    due = world.ledger.now().replace(year=2020)
    found = preflight(plan=world.plan, edge=world.edge, id="docs:1", actor="test", dry_run=True, due=due)
    assert found.route is Route.DRY_RUN
    assert Path(world.plan.gold.path).is_file()
