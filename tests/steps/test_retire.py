"""Blue goes only when it was left for good, was kept long enough, and nothing leads to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import BadInput, LeaseLost, StateConflict, TargetRefused, Unreachable
from switchover.indexes.base import Health
from switchover.indexes.pgvector import PgvectorIndex
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.arm_checks import about_arms, read_facts
from switchover.steps.flip import flip
from switchover.steps.retire import retire
from switchover.steps.switch import Switch
from tests.steps.conftest import World

MANIFESTS = "SELECT target FROM switchover_manifest ORDER BY target"


def promoted(world: World, *, hours_ago: float = 73) -> Switch:
    switch = world.warmed()
    flip(switch)
    switch.decide(Decision.PROMOTE, reason="by hand")
    finish.unfreeze(switch)
    finish.restore(switch)
    world.sql(f"UPDATE switchover_run SET ended_at = ended_at - interval '{hours_ago} hours'")
    return switch


def gone(world: World) -> str:
    return retire(plan=world.plan, edge=world.edge, index="docs_v1", actor="test, by hand")


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """A Blue of its own, which may go."""
    world.sql("ALTER TABLE docs_v1 RENAME TO docs_v1_kept")
    world.sql("CREATE TABLE docs_v1 AS SELECT * FROM docs_v1_kept")
    world.sql("CREATE TABLE kept_manifest AS SELECT * FROM switchover_manifest WHERE target = 'docs_v1'")
    yield world
    world.sql("DROP VIEW IF EXISTS on_blue")
    world.sql("DROP TABLE IF EXISTS docs_v1")
    world.sql("ALTER TABLE docs_v1_kept RENAME TO docs_v1")
    world.sql("INSERT INTO switchover_manifest SELECT * FROM kept_manifest ON CONFLICT DO NOTHING")
    world.sql("DROP TABLE kept_manifest")


def test_blue_is_removed_with_its_manifest_and_that_is_written_down(world: World) -> None:
    switch = promoted(world)
    assert "index 'docs_v1' is removed; 'docs_v2' has been live since" in gone(world)
    assert world.sql("SELECT to_regclass('docs_v1')") == [(None,)]
    assert [record.kind for record in world.ledger.audit.records(run=switch.id)] == ["end", "retire", "retire"]
    assert world.sql(MANIFESTS) == [("docs_v2",)]
    told = [(row["actor"], row["text"]) for row in world.ledger.journal.events(switch.id)]
    assert ("test, by hand", "removing index 'docs_v1' for good") in told
    assert "is gone already" in gone(world), "a repeat changes nothing"
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None and not lease.alive


def test_nothing_was_promoted(world: World) -> None:
    with pytest.raises(StateConflict, match="only Blue of a promoted switchover can be retired; none was"):
        gone(world)


def test_the_arm_that_is_live_is_never_retired(world: World) -> None:
    promoted(world)
    with pytest.raises(StateConflict, match="the newest promotion went from 'docs_v1' to 'docs_v2'"):
        retire(plan=world.plan, edge=world.edge, index="docs_v2", actor="test")


def test_it_is_kept_for_the_plan_s_time(world: World) -> None:
    promoted(world, hours_ago=71)
    with pytest.raises(StateConflict, match="is kept for 72 h after the promotion, until .* nothing was removed"):
        gone(world)


def test_a_pointer_that_somebody_moved_back_keeps_it(world: World) -> None:
    promoted(world)
    world.sql("UPDATE switchover_alias SET target = 'docs_v1'")
    with pytest.raises(TargetRefused, match="the pointer is on 'docs_v1'; nothing was removed"):
        gone(world)


class StaleReader(BaseHTTPRequestHandler):
    """A reader that never noticed the flip."""

    def do_GET(self) -> None:
        body = json.dumps({"arm": "docs_v1", "pins": {"INDEX_HASH": "x"}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_reader_on_it_keeps_it(world: World) -> None:
    promoted(world)
    server = HTTPServer(("127.0.0.1", 0), StaleReader)
    threading.Thread(target=server.handle_request, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    edge = Edge(connections=environment_connections({**world.environ, "AIRFLOW_CONN_STALE": url}))
    stale = world.plan.readers[0].model_copy(update={"name": "stale", "connection": "stale"})
    plan = world.plan.model_copy(update={"readers": [*world.plan.readers, stale]})
    with server, pytest.raises(TargetRefused, match="reader 'stale' still serves it; nothing was removed"):
        retire(plan=plan, edge=edge, index="docs_v1", actor="test")
    edge.close()
    assert world.sql(MANIFESTS) == [("docs_v1",), ("docs_v2",)]


def test_a_reader_that_does_not_answer_keeps_it(world: World) -> None:
    promoted(world)
    dead = world.plan.readers[0].model_copy(update={"name": "dead", "path": "/no/such/path"})
    plan = world.plan.model_copy(update={"readers": [*world.plan.readers, dead]})
    with pytest.raises(Unreachable, match="dead"):
        retire(plan=plan, edge=world.edge, index="docs_v1", actor="test")
    assert world.sql(MANIFESTS) == [("docs_v1",), ("docs_v2",)]


def test_an_open_run_keeps_its_rollback_target(world: World) -> None:
    promoted(world)
    back = world.plan.model_copy(update={"green": "docs_v1"})
    open_run = world.open("docs:2", plan=back, green="docs_v1")
    assert open_run.read().state is State.PLANNED
    with pytest.raises((StateConflict, LeaseLost), match="docs:2"):
        gone(world)
    finish.abort(open_run)


def test_a_view_on_it_keeps_it(world: World) -> None:
    promoted(world)
    world.sql("CREATE VIEW on_blue AS SELECT id FROM docs_v1")
    with pytest.raises(TargetRefused, match="view on_blue depends on table docs_v1; nothing was removed"):
        gone(world)
    assert world.sql(MANIFESTS) == [("docs_v1",), ("docs_v2",)]


def test_a_name_that_is_no_arm_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="index 'other': is no arm of plan 'docs'; allowed: docs_v1, docs_v2"):
        retire(plan=world.plan, edge=world.edge, index="other", actor="test")


def test_an_index_that_is_another_arm_s_too_is_kept(world: World) -> None:
    """By where the names lead: the live arm is the same table under another name."""
    promoted(world)
    world.sql("UPDATE switchover_alias SET target = 'public.docs_v1'")
    arms = {"docs_v1": world.plan.arms["docs_v1"], "public.docs_v1": world.plan.arms["docs_v2"]}
    plan = world.plan.model_copy(update={"arms": arms, "green": "public.docs_v1", "readers": []})
    with pytest.raises(TargetRefused, match="is also the index of 'public.docs_v1'.*; nothing was removed"):
        retire(plan=plan, edge=world.edge, index="docs_v1", actor="test")
    assert world.sql(MANIFESTS) == [("docs_v1",), ("docs_v2",)]
    assert world.sql("SELECT count(*) > 0 FROM docs_v1") == [(True,)]


def test_no_message_says_that_nothing_happened_once_the_removal_was_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(world)
    looked: list[str] = []

    def health(self: PgvectorIndex, target: str) -> Health:
        looked.append(target)
        if len(looked) > 1:
            raise BadInput("index: permission denied; nothing was changed")
        return asked(self, target)

    asked = PgvectorIndex.health
    monkeypatch.setattr(PgvectorIndex, "health", health)
    with pytest.raises(Unreachable, match="its removal was sent; whether it is gone is not known, run this again"):
        gone(world)
    monkeypatch.undo()
    assert "is gone already; nothing was removed" in gone(world)


def test_two_arms_on_one_index_need_a_change_that_the_plan_names(world: World) -> None:
    """By where the names lead: a flip between two names of one table would move nothing."""
    switch = world.warmed()
    facts, _ = read_facts(switch, switch.read())
    arms = switch.plan.arms
    other = arms["docs_v2"].model_copy(update={"ready": None})
    switch.plan = switch.plan.model_copy(update={"arms": {**arms, "public.docs_v1": other}})
    one = SimpleNamespace(blue="docs_v1", green="public.docs_v1")
    named = [check for check in about_arms(switch, facts, one) if check.name == "the arms differ"]  # type: ignore[arg-type]
    assert [check.ok for check in named] == [bool(switch.plan.changes)]
    assert not [check for check in about_arms(switch, facts, switch.read()) if check.name == "the arms differ"]
    switch.plan = switch.plan.model_copy(update={"changes": []})
    named = [check for check in about_arms(switch, facts, one) if check.name == "the arms differ"]  # type: ignore[arg-type]
    assert [(check.ok, check.found) for check in named] == [(False, "one index; no pin of `changes` differs")]
    finish.abort(switch)
