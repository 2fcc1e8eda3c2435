"""What became of everything: counted by Kafka and PostgreSQL, whatever the storm's processes believe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from tests.writers.scene import ALIAS

MOVES = """CREATE TABLE storm_move (
    number int PRIMARY KEY, promoted boolean NOT NULL, lives text NOT NULL, drained_at timestamptz NOT NULL,
    effects_drained bigint NOT NULL, opens_at timestamptz, effects_open bigint)"""
EFFECTS = "SELECT (SELECT count(*) FROM consumed) + (SELECT count(*) FROM ingest_effect)"

_MESSAGES = """WITH keys AS (
    SELECT count(*) AS effects, count(DISTINCT seq) AS messages, max(seq) AS last FROM
        (SELECT key, (value ->> 'seq')::int AS seq FROM consumed) AS rows GROUP BY key)
SELECT coalesce(sum(effects), 0)::int, coalesce(sum(effects - messages), 0)::int,
    greatest(%(sent)s - (SELECT count(DISTINCT (part, at_offset)) FROM consumed),
        coalesce(sum(last - messages), 0))::int,
    (SELECT count(*) FROM (SELECT seq < max(seq) OVER (PARTITION BY key ORDER BY id) AS late
        FROM (SELECT id, key, (value ->> 'seq')::int AS seq FROM consumed) AS rows) AS found WHERE late)
FROM keys"""
# A row is where it belongs when the live index holds it, with its effect there and one notification.
_ROWS = """WITH source AS (SELECT seq, key, format('ingest/%%s:0-%%s', seq, length(text)) AS id
    FROM ingest_source WHERE stream = %(stream)s),
effects AS (SELECT e.id, e.seq, e.effect, e.target, split_part(source.key, '@', 1) AS key
    FROM ingest_effect e JOIN source USING (seq))
SELECT (SELECT count(*) FROM source),
    (SELECT count(*) FROM effects WHERE effect = 'index' AND target = %(live)s),
    (SELECT coalesce(sum(n - 1), 0)::int FROM (SELECT count(*) AS n FROM effects GROUP BY seq, effect, target) AS each),
    (SELECT count(*) FROM source WHERE NOT (
        id IN (SELECT id FROM {live})
        AND seq IN (SELECT seq FROM effects WHERE effect = 'index' AND target = %(live)s)
        AND seq IN (SELECT seq FROM effects WHERE effect = 'notify'))),
    (SELECT count(*) FROM (SELECT seq < max(seq) OVER (PARTITION BY effect, target, key ORDER BY id) AS late
        FROM effects) AS found WHERE late)"""
# A call becomes one row of the log, named KEY@REVISION.
_CALLS = """WITH taken AS (SELECT DISTINCT key || '@' || revision AS name FROM storm_answer WHERE status < 300),
source AS (SELECT seq, key AS name, split_part(key, '@', 1) AS key, split_part(key, '@', 2)::int AS revision
    FROM ingest_source WHERE stream = 'http')
SELECT (SELECT count(*) FROM taken), (SELECT count(*) - count(DISTINCT name) FROM source),
    (SELECT count(*) FROM taken WHERE NOT EXISTS (SELECT 1 FROM source WHERE source.name = taken.name)),
    (SELECT count(*) FROM (SELECT revision < max(revision) OVER (PARTITION BY key ORDER BY seq) AS late
        FROM source) AS found WHERE late)"""
_QUEUE = """SELECT count(*), count(*) FILTER (WHERE applied_at IS NULL), count(*) FILTER (WHERE refused IS NOT NULL),
    count(*) FILTER (WHERE applied_on <> (SELECT lives FROM storm_move
        WHERE opens_at <= applied_at ORDER BY number DESC LIMIT 1)),
    (SELECT count(*) FROM storm_answer WHERE status = 503), (SELECT count(*) FROM storm_answer WHERE how = 'repeated')
FROM switchover_intent"""
_SWITCHOVERS = """SELECT count(*) FILTER (WHERE promoted), count(*) FILTER (WHERE NOT promoted),
    coalesce(sum(effects_open - effects_drained), 0)::int FROM storm_move"""

KINDS = ("messages", "rows", "calls")
WRONG = ("lost", "duplicated", "out_of_order")


def count(conn: psycopg.Connection[Any], *, sent: int) -> dict[str, Any]:
    """Counts by kind; ``sent``: the end offsets of the topic. Offsets of a topic without transactions have no gaps."""
    (live,) = _one(conn, "SELECT target FROM switchover_alias WHERE alias = %s", [ALIAS])
    effects, twice, lost, late = _one(conn, _MESSAGES, {"sent": sent})
    messages = _kind(sent, effects, lost, twice, late)
    written, indexed, twice, lost, late = _rows(conn, live, "process")
    rows = _kind(written, indexed, lost, twice, late)
    _, indexed, twice, lost, late = _rows(conn, live, "http")
    taken, repeats, absent, mixed = _one(conn, _CALLS)
    calls = _kind(taken, indexed, lost + absent, twice + repeats, late + mixed)
    queue = ("queued", "left", "refused", "on_the_wrong_arm", "told_to_wait", "repeated")
    ends = ("promoted", "rolled_back", "effects_while_frozen")
    return {
        **dict(zip(KINDS, (messages, rows, calls), strict=True)),
        "queue": dict(zip(queue, _one(conn, _QUEUE), strict=True)),
        "switchovers": dict(zip(ends, _one(conn, _SWITCHOVERS), strict=True)),
    }


def wrong(found: Mapping[str, Any]) -> list[str]:
    """Which counts are not 0 and must be."""
    parts = [(kind, name) for kind in KINDS for name in WRONG]
    parts += [("queue", "left"), ("queue", "refused"), ("queue", "on_the_wrong_arm")]
    parts += [("switchovers", "effects_while_frozen")]
    return [f"{part}: {name.replace('_', ' ')} {found[part][name]}" for part, name in parts if found[part][name]]


def _kind(sent: int, effects: int, lost: int, duplicated: int, out_of_order: int) -> dict[str, int]:
    return {"sent": sent, "effects": effects, "lost": lost, "duplicated": duplicated, "out_of_order": out_of_order}


def _rows(conn: psycopg.Connection[Any], live: str, stream: str) -> tuple[int, ...]:
    query = sql.SQL(_ROWS).format(live=sql.Identifier(live))
    return _one(conn, query, {"stream": stream, "live": live})


def _one(conn: psycopg.Connection[Any], query: Any, values: Any = None) -> Any:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row
