"""Writers that are not resumed with the others: a contract that does not hold, a change by somebody else."""

from __future__ import annotations

import json
from typing import Any

import httpx
import psycopg
import pytest

from switchover.cli.entry import main
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.report.summary import markdown, summarise
from switchover.steps import finish, staleness
from switchover.steps.flip import flip
from switchover.steps.frozen import held_lines, unresumed
from switchover.steps.switch import Switch
from switchover.writers.queue import WriteQueue
from switchover.writers.write_gate import WriteGateSpec
from tests.steps.conftest import World

SECOND = "second writer"
INGEST = "ingest process"


@pytest.fixture
def call(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    for name, value in world.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["writers", *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def pins_of(world: World, arm: str) -> dict[str, str]:
    answer = httpx.get(f"{world.service}/version", headers={"X-Switchover-Arm": arm})
    pins: dict[str, str] = answer.json()["pins"]
    return pins


def plan_with(world: World, **contract: Any) -> Plan:
    """The plan with a second writer; the first has a contract."""
    world.sql("INSERT INTO switchover_fence (fence) VALUES ('second') ON CONFLICT DO NOTHING")
    second = WriteGateSpec(kind="sql_fence", name=SECOND, connection="docs_db", fence="second")
    first = WriteGateSpec.model_validate({**world.plan.writers[0].model_dump(), **contract})
    return world.plan.model_copy(update={"writers": [first, second]})


def accepted(world: World, plan: Plan) -> Switch:
    """A run whose hold has passed and whose gate has decided to promote."""
    switch = world.warmed(plan=plan)
    flip(switch)
    passed = {"rule": "error_rate", "outcome": "PASS", "detail": ""}
    world.ledger.journal.judged(switch.id, gate="hold", tick=3, verdicts=[passed])
    assert finish.promote_or_roll_back(switch) is Decision.PROMOTE
    return world.again(switch)


def second_frozen(world: World) -> bool:
    return bool(world.sql("SELECT frozen FROM switchover_fence WHERE fence = 'second'")[0][0])


def test_a_writer_with_blue_s_pins_stays_frozen_and_the_promotion_stands(world: World, call: Any) -> None:
    blue, green = pins_of(world, "docs_v1"), pins_of(world, "docs_v2")
    assert blue["EMBED_SCHEMA"] != green["EMBED_SCHEMA"]
    switch = accepted(world, plan_with(world, pins={"EMBED_SCHEMA": blue["EMBED_SCHEMA"]}))
    assert finish.unfreeze(switch) == [SECOND], "the others are resumed"
    assert switch.read().state is State.PROMOTED
    assert (world.live, world.frozen, second_frozen(world)) == ("docs_v2", True, False)
    (line,) = held_lines(switch)
    assert f"EMBED_SCHEMA is {blue['EMBED_SCHEMA']}, the live arm 'docs_v2' has {green['EMBED_SCHEMA']}" in line
    assert line.endswith("next: switchover writers resume docs:1 'ingest process'")
    assert unresumed(switch) == []
    assert finish.restore(world.again(switch)).startswith("promoted"), "the teardown changes nothing"
    assert world.frozen

    code, told = call("resume", "docs:1", INGEST)
    assert code != 0 and "EMBED_SCHEMA is" in told and len(told.splitlines()) == 1
    assert call("resume", "docs:1", INGEST, "--pin", f"EMBED_SCHEMA={green['EMBED_SCHEMA']}")[0] == 0
    assert not world.frozen
    code, told = call("resume", "docs:1", INGEST)
    assert (code, "was resumed already, on 'docs_v2'; nothing was changed" in told) == (0, True)


@pytest.mark.parametrize("promoted", [True, False])
def test_pins_that_the_writer_reports_are_asked_for(world: World, promoted: bool) -> None:
    """The sandbox's service stands for a writer that follows the pointer: what it reports is the live arm's."""
    contract = {"pins": {"INDEX_HASH": "reported"}, "reports": {"connection": "docs_service"}}
    plan = plan_with(world, **contract)
    if promoted:
        assert sorted(finish.unfreeze(accepted(world, plan))) == [INGEST, SECOND]
    else:
        switch = world.warmed(plan=plan)
        flip(switch)
        assert sorted(finish.rollback(world.again(switch))) == [INGEST, SECOND]
    assert not world.frozen


def test_a_rollback_holds_a_writer_that_has_green_s_pins(world: World) -> None:
    green = pins_of(world, "docs_v2")
    switch = world.warmed(plan=plan_with(world, pins={"EMBED_SCHEMA": green["EMBED_SCHEMA"]}))
    flip(switch)
    assert finish.rollback(world.again(switch)) == [SECOND]
    assert (switch.read().state, world.live, world.frozen) == (State.ROLLED_BACK, "docs_v1", True)


def test_a_writer_that_does_not_report_is_not_resumed_and_can_be_later(world: World) -> None:
    contract = {"pins": {"INDEX_HASH": "reported"}, "reports": {"connection": "docs_service", "path": "/nowhere"}}
    switch = accepted(world, plan_with(world, **contract))
    with pytest.raises(Exception, match="GET /nowhere: answered 404"):
        finish.unfreeze(switch)
    assert (switch.read().state, world.frozen, second_frozen(world)) == (State.PROMOTED, True, False)
    assert unresumed(switch) == [INGEST]


@pytest.mark.parametrize("flag", ["--keep", "--overwrite"])
def test_a_writer_that_somebody_started_in_the_hold_is_said_and_left(world: World, call: Any, flag: str) -> None:
    switch = accepted(world, plan_with(world))
    world.sql("UPDATE switchover_fence SET frozen = false WHERE fence = 'docs_ingest'")
    assert finish.unfreeze(switch) == [SECOND]
    assert switch.read().state is State.PROMOTED
    (line,) = held_lines(switch)
    assert line.startswith("writer 'ingest process': frozen is False, this run set True: somebody changed it")
    finish.restore(world.again(switch))
    assert held_lines(switch) == [line], "a repeat does not take it for its own doing"
    code, told = call("resume", "docs:1", INGEST)
    assert code != 0 and "somebody changed it" in told
    assert "somebody changed it" in call("show", "docs:1")[1]
    assert call("resume", "docs:1", INGEST, flag)[0] == 0
    assert held_lines(switch) == []
    assert not world.frozen


def test_a_crash_between_the_resume_and_its_record_is_no_foreign_change(world: World) -> None:
    switch = accepted(world, plan_with(world))
    world.ledger.journal.resuming(switch.id, INGEST, on="docs_v2")
    world.sql("UPDATE switchover_fence SET frozen = false WHERE fence = 'docs_ingest'")
    assert sorted(finish.unfreeze(switch)) == [INGEST, SECOND]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("docs:1", "nobody"), "froze no writer 'nobody'; allowed: ingest process"),
        (("docs:2", INGEST), "docs:2"),
        (("docs:1", INGEST, "--pin", "EMBED"), "allowed: PIN=VALUE"),
        (("docs:1", INGEST), "is warmed; its writers are resumed when it has ended"),
    ],
)
def test_what_cannot_be_resumed_is_one_line(world: World, call: Any, arguments: tuple[str, ...], told: str) -> None:
    world.warmed()
    code, line = call("resume", *arguments)
    assert code != 0 and told in line and len(line.splitlines()) == 1
    assert world.frozen
    assert json.dumps(line)


def test_the_gauge_tells_what_waits_and_who_is_not_frozen_any_more(world: World) -> None:
    with psycopg.connect(world.db_url, autocommit=True) as conn:
        WriteQueue.create_table(conn)
        conn.execute("TRUNCATE switchover_intent")
    plan = plan_with(world, queue={"connection": "docs_db", "stream": "http"})
    switch = world.warmed(plan=plan)
    assert staleness.look(switch, 0).line == "writers frozen, no write waits"
    world.sql("INSERT INTO switchover_intent (stream, key, revision, payload) VALUES ('http', 'a', 1, '1')")
    found = staleness.look(switch, 1)
    assert (found.waiting, found.doubts) == (1, [])
    assert found.line.startswith("writers frozen, 1 write waiting")
    world.sql("UPDATE switchover_fence SET frozen = false WHERE fence = 'second'")
    assert "writer 'second writer' is NOT frozen any more: frozen is False, this run set True" in (
        staleness.look(switch, 2).line
    )
    world.sql("DROP TABLE switchover_intent")
    assert "writer 'ingest process': its queue: " in staleness.look(switch, 3).line
    kept = [row["body"]["waiting"] for row in world.ledger.journal.staleness(switch.id)]
    assert kept == [0, 1, 1, 0]
    assert "## What Blue would have lacked" in markdown(summarise(world.ledger, switch.id))
    finish.abort(switch)
    world.sql("UPDATE switchover_fence SET frozen = false WHERE fence = 'second'")
