"""A small storm, one without the fence, and proof that each count can tell what is wrong."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from sandbox.service import tables
from sandbox.writers import consumer
from switchover.fence import Fence
from tests.writers import boundaries, counts, load, report, storm
from tests.writers.scene import BLUE, GREEN

Conn = psycopg.Connection[Any]


@pytest.fixture
def settings(kafka: Any) -> dict[str, Any]:
    return dict(kafka.connection["extra"])


def test_a_storm_loses_and_doubles_nothing(
    settings: dict[str, Any], fresh_db_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = storm.run(settings, fresh_db_url, size=storm.Size(messages=2_000, switchovers=2, rate=200))
    assert report.problems(found) == []
    assert report.told(found) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ok"] is True
    assert found["messages"]["sent"] >= 2_000 and found["rows"]["sent"] > 0
    assert found["queue"]["queued"] > 0 and found["queue"]["repeated"] > 0
    assert (found["switchovers"]["promoted"], found["switchovers"]["rolled_back"]) == (1, 1)
    every = {name for places in boundaries.PHASES for name in boundaries.named(places)}
    assert found["kills"] == dict.fromkeys(every, 2)


def test_without_the_fence_a_storm_shows_duplicates(
    settings: dict[str, Any], fresh_db_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    size = storm.Size(messages=500, switchovers=0, rate=200)
    found = storm.run(settings, fresh_db_url, size=size, fenced=False)
    assert report.told(found) == 1
    assert found["missed"] == [] and found["other_deaths"] == 0
    assert found["messages"]["duplicated"] > 0 and found["messages"]["lost"] == 0
    assert found["calls"]["duplicated"] > 0 and found["calls"]["lost"] == 0
    assert f"NOT AS IT MUST BE: messages: duplicated {found['messages']['duplicated']}" in capsys.readouterr().out
    assert Fence.once_many.__module__ == "switchover.fence.once", "it is switched off in the storm's processes alone"


def test_a_boundary_where_nobody_died_and_a_death_elsewhere_are_problems() -> None:
    every = [name for places in boundaries.PHASES for name in boundaries.named(places)]
    kills = {**dict.fromkeys(every, 1), "ingest: at freeze": 0}
    found = {kind: dict.fromkeys(counts.WRONG, 0) for kind in counts.KINDS}
    queue = {"left": 0, "refused": 0, "on_the_wrong_arm": 0}
    ends = {"promoted": 1, "rolled_back": 0, "effects_while_frozen": 0}
    rest = {"kills": kills, "other_deaths": 1, "missed": ["not in time"]}
    problems = report.problems({**found, "queue": queue, "switchovers": ends, **rest})
    assert problems == ["0 killed at 'ingest: at freeze', of 1", "1 died elsewhere", "not in time"]


@pytest.fixture
def conn(fresh_db_url: str) -> Any:
    """The stores after a storm of four messages, two rows and two calls, one of them queued; Green is live."""
    with psycopg.connect(fresh_db_url, autocommit=True) as conn:
        tables.create(conn)
        for table in (consumer.TABLE, load.ANSWERS, counts.MOVES):
            conn.execute(table)
        for arm in (BLUE, GREEN):
            conn.execute(f"CREATE TABLE {arm} (id text)")
        conn.execute("INSERT INTO switchover_alias (alias, target, actor) VALUES ('docs', 'docs_v2', 'test')")
        for offset, (key, seq) in enumerate([("a", 1), ("a", 2), ("b", 1), ("a", 3)]):
            conn.execute(
                "INSERT INTO consumed (arm, topic, part, at_offset, key, value) VALUES ('docs_v2', 't', 0, %s, %s, %s)",
                [offset, key, json.dumps({"seq": seq})],
            )
        for seq, (stream, key) in enumerate([("process", "k"), ("http", "c@1"), ("process", "k"), ("http", "c@2")], 1):
            conn.execute("INSERT INTO ingest_source (stream, key, text) VALUES (%s, %s, 'xyz')", [stream, key])
            conn.execute(f"INSERT INTO {GREEN} VALUES ('ingest/{seq}:0-3')")
            conn.execute("INSERT INTO ingest_effect (seq, effect, target) VALUES (%s, 'index', %s)", [seq, GREEN])
            conn.execute("INSERT INTO ingest_effect (seq, effect, target) VALUES (%s, 'notify', '*')", [seq])
        conn.execute("INSERT INTO storm_answer (key, revision, status, how) VALUES ('c', 1, 200, 'applied')")
        conn.execute("INSERT INTO storm_answer (key, revision, status, how) VALUES ('c', 2, 503, NULL)")
        conn.execute("INSERT INTO storm_answer (key, revision, status, how) VALUES ('c', 2, 202, 'queued')")
        conn.execute("INSERT INTO storm_move VALUES (0, true, 'docs_v2', now(), 9, now(), 9)")
        conn.execute(
            "INSERT INTO switchover_intent (stream, key, revision, payload, applied_at, applied_on)"
            " VALUES ('http', 'c', 2, '{}', clock_timestamp(), 'docs_v2')"
        )
        yield conn


def test_a_store_where_all_is_well_has_nothing_wrong(conn: Conn) -> None:
    found = counts.count(conn, sent=4)
    assert counts.wrong(found) == []
    assert found["messages"] == {"sent": 4, "effects": 4, "lost": 0, "duplicated": 0, "out_of_order": 0}
    assert found["rows"] == found["calls"] == {"sent": 2, "effects": 2, "lost": 0, "duplicated": 0, "out_of_order": 0}
    assert found["queue"]["queued"] == found["queue"]["told_to_wait"] == 1


@pytest.mark.parametrize(
    ("harm", "shown"),
    [
        ("DELETE FROM consumed WHERE at_offset = 3", ["messages: lost 1"]),
        ("DELETE FROM consumed WHERE at_offset = 1", ["messages: lost 1"]),
        (
            "INSERT INTO consumed (arm, topic, part, at_offset, key, value)"
            " SELECT arm, topic, part, at_offset, key, value FROM consumed WHERE at_offset = 3",
            ["messages: duplicated 1"],
        ),
        ("UPDATE consumed SET id = 99 WHERE at_offset = 1", ["messages: out of order 1"]),
        ("DELETE FROM docs_v2 WHERE id LIKE 'ingest/1:%'", ["rows: lost 1"]),
        ("DELETE FROM ingest_effect WHERE seq = 3 AND effect = 'notify'", ["rows: lost 1"]),
        ("DELETE FROM ingest_effect WHERE seq = 4 AND effect = 'index'", ["calls: lost 1"]),
        ("INSERT INTO ingest_effect (seq, effect, target) VALUES (3, 'notify', '*')", ["rows: duplicated 1"]),
        ("UPDATE ingest_effect SET id = 99 WHERE seq = 1 AND effect = 'notify'", ["rows: out of order 1"]),
        ("INSERT INTO storm_answer (key, revision, status, how) VALUES ('c', 3, 200, 'applied')", ["calls: lost 1"]),
        ("UPDATE ingest_source SET key = 'c@1' WHERE seq = 4", ["calls: lost 1", "calls: duplicated 1"]),
        (
            "UPDATE ingest_source SET key = CASE key WHEN 'c@1' THEN 'c@2' ELSE 'c@1' END WHERE stream = 'http'",
            ["calls: out of order 1"],
        ),
        ("UPDATE switchover_intent SET applied_on = 'docs_v1'", ["queue: on the wrong arm 1"]),
        ("UPDATE switchover_intent SET applied_at = NULL", ["queue: left 1"]),
        ("UPDATE switchover_intent SET refused = 'conflict'", ["queue: refused 1"]),
        ("UPDATE storm_move SET effects_open = 11", ["switchovers: effects while frozen 2"]),
    ],
)
def test_every_count_can_tell(conn: Conn, harm: str, shown: list[str]) -> None:
    assert conn.execute(harm).rowcount > 0
    assert counts.wrong(counts.count(conn, sent=4)) == shown
