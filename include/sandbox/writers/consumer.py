"""The sandbox's Kafka consumer: the product's fenced consumer, and a row a message as its effect.

``python -m sandbox.writers.consumer --arm docs_v1 --group indexer-v1 ...`` consumes while its arm is live and waits
while it is not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import psycopg

from switchover.consumers.kafka import Apply, FencedConsumer, Place, run_until_told

TABLE = """CREATE TABLE IF NOT EXISTS consumed (
    id bigserial PRIMARY KEY, arm text NOT NULL, topic text NOT NULL, part int NOT NULL, at_offset bigint NOT NULL,
    key text NOT NULL, value jsonb NOT NULL)"""


def insert(conn: psycopg.Connection[Any], arm: str, messages: Sequence[Any]) -> list[dict[str, int]]:
    """The sandbox's effect: a row a message. There is no unique constraint: one that came twice must be seen."""
    rows = [
        (arm, m.topic(), m.partition(), m.offset(), (m.key() or b"").decode(), m.value().decode()) for m in messages
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 6
    conn.execute(
        "INSERT INTO consumed (arm, topic, part, at_offset, key, value) SELECT * FROM unnest("
        "%s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[]::jsonb[])",
        columns,
    )
    return [{"offset": row[3]} for row in rows]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m sandbox.writers.consumer", description="Consume while the arm is live."
    )
    for name in ("bootstrap", "arm", "group", "topic", "fence", "control", "key"):
        made.add_argument(f"--{name}", required=True)
    return made


def consumer_of(options: argparse.Namespace, *, apply: Apply | None = None) -> FencedConsumer:
    """The consumer that a command line describes; needs DOCS_DB_URL."""
    place = Place(
        arm=options.arm,
        group=options.group,
        topics=[options.topic],
        fence=options.fence,
        control=options.control,
        key=options.key,
    )
    return FencedConsumer(
        settings={"bootstrap.servers": options.bootstrap},
        db_url=os.environ["DOCS_DB_URL"],
        place=place,
        apply=apply or (lambda conn, messages: insert(conn, options.arm, messages)),
    )


def main() -> int:
    """One consumer."""
    options = parser().parse_args()
    if not os.environ.get("DOCS_DB_URL"):
        sys.exit("consumer: DOCS_DB_URL is not set; give the libpq URL of the database with the effects")
    run_until_told(consumer_of(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
