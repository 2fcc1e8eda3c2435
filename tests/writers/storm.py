"""Consumers and a writer under load through promote and roll back, killed at every boundary: what is lost?

    python -m tests.writers.storm [--messages 100000] [--seconds 120]

A real Kafka and a real PostgreSQL. Messages are produced all the time; two consumers an arm (the sandbox's
reference) apply them through the fence, a process writer behind the SQL fence applies rows to the live index.
Meanwhile a switchover promotes Green, another one rolls back, and so on, with the product's own writers and
pointers. Processes die by SIGKILL at every boundary. Then everything is counted: exit 1 unless lost, duplicated
and out of order are 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox import build, consumer, ingest, tables
from switchover.fence.postgres import PostgresStore
from switchover.pointers import Change
from switchover.pointers.kafka_group import KafkaGroupPointer, KafkaGroupSpec
from switchover.pointers.pgvector import PgvectorPointer
from switchover.writers.base import Writer
from switchover.writers.kafka_group import KafkaGroupWriter, KafkaGroupWriterSpec
from switchover.writers.sql_fence import SqlFenceSpec, SqlFenceWriter
from tests.writers import crashing
from tests.writers.workers import Workers, start

BLUE, GREEN = "docs_v1", "docs_v2"
FENCE = "consumers"
KEYS, PARTITIONS = 64, 4
WAIT_S = 240.0


class Storm:
    """One storm in one database of a PostgreSQL and in topics of its own."""

    def __init__(self, *, settings: dict[str, Any], db_url: str, messages: int, writes: int, seconds: float) -> None:
        self.settings = settings
        self.db_url = db_url
        self.messages = messages
        self.writes = writes
        self.seconds = seconds
        self.workers = Workers()
        self.epoch = 0
        self.produced = 0
        self.name = f"storm-{uuid.uuid4().hex[:8]}"
        self.topic, control = f"{self.name}-documents", f"{self.name}-control"
        groups = {arm: f"{self.name}-{arm}" for arm in (BLUE, GREEN)}
        self.spec = KafkaGroupSpec(
            kind="kafka_group", connection="kafka", control=control, key="docs", topics=[self.topic], targets=groups
        )
        self.pointer = KafkaGroupPointer(settings=settings, spec=self.spec)
        self.engine = sa.create_engine(db_url.replace("postgresql:", "postgresql+psycopg:", 1))
        self.alias = PgvectorPointer(engine=self.engine, alias="docs")

    def set_up(self, *, lives: int) -> None:
        """Topics, tables, both indexes, both pointers on Blue, and the processes; ``lives``: deaths a process."""
        admin = AdminClient(self.settings)
        compacted = NewTopic(self.spec.control, 1, 1, config={"cleanup.policy": "compact"})
        for made in admin.create_topics([compacted, NewTopic(self.topic, PARTITIONS, 1)]).values():
            made.result(10)
        with psycopg.connect(self.db_url, autocommit=True) as conn:
            for spec in (build.DOCS_V1, build.DOCS_V2):
                build.build(conn, spec)
            build.point(conn, alias="docs", target=BLUE)
            conn.execute(consumer.TABLE)
            conn.execute("INSERT INTO switchover_fence (fence) VALUES (%s)", [FENCE])
            PostgresStore(conn).create_table()
        self.pointer._write(self.pointer.read(), BLUE, 0)
        for arm in (BLUE, GREEN):
            for number in range(2):
                self._add_consumer(arm, shift=number, lives=lives)
        boundaries = [f"{name}:{n}" for n, name in zip(itertools.cycle((2, 5)), crashing.INGEST)]
        env = {"DOCS_DB_URL": self.db_url, "DOCS_PLAN": ""}
        self.workers.add("ingest", ["--stream", "process"], env=env, dies=itertools.islice(boundaries, lives))

    def _add_consumer(self, arm: str, *, shift: int, lives: int) -> None:
        words = {
            "bootstrap": self.settings["bootstrap.servers"],
            "arm": arm,
            "group": self.spec.targets[arm],
            "topic": self.topic,
            "fence": FENCE,
            "control": self.spec.control,
            "key": self.spec.key,
        }
        arguments = [part for name, value in words.items() for part in (f"--{name}", value)]
        order = crashing.CONSUMER[shift:] + crashing.CONSUMER[:shift]
        dies = [f"{name}:{3 + shift}" for name in order][:lives]
        self.workers.add("consumer", arguments, env={"DOCS_DB_URL": self.db_url}, dies=dies)

    @contextmanager
    def load(self) -> Iterator[None]:
        """Produce and write all the time in ``seconds``; the block ends when all has been produced."""
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(self._produce), pool.submit(self._write)]
            try:
                yield
            except BaseException:
                self.seconds = 0.0  # what is left is sent at once
                raise
            for job in jobs:
                job.result()

    def _produce(self) -> None:
        producer = Producer({**self.settings, "enable.idempotence": True, "linger.ms": 5})
        sequence = [0] * KEYS
        for upto in self._paced(self.messages):
            for number in range(self.produced, upto):
                key = number * 7 % KEYS
                sequence[key] += 1
                value = json.dumps({"key": key, "seq": sequence[key]})
                producer.produce(self.topic, key=str(key), value=value)
                producer.poll(0)
            self.produced = upto
        assert producer.flush(30) == 0, "messages were not delivered to Kafka"

    def _write(self) -> None:
        done = 0
        with psycopg.connect(self.db_url, autocommit=True) as conn:
            for upto in self._paced(self.writes):
                conn.execute(
                    "INSERT INTO ingest_source (stream, key, text)"
                    " SELECT 'process', 'k' || n %% 8, 'Row ' || n || ' of the storm.'"
                    " FROM generate_series(%s::int, %s) AS n",
                    [done + 1, upto],
                )
                done = upto

    def _paced(self, total: int) -> Iterator[int]:
        """How many should be done by now, twenty times a second, up to ``total``."""
        began = time.monotonic()
        done = 0
        while done < total:
            time.sleep(0.05)
            done = min(total, int(total * (time.monotonic() - began) / max(self.seconds, 1e-9)))
            yield done

    def joined(self) -> None:
        """Wait until Blue's consumers are members of their group."""
        group = self.spec.targets[BLUE]
        self._until(lambda: self.pointer._members()[group] == 2, "both consumers joined")

    def reached(self, share: float) -> None:
        """Wait until this share of the messages has been produced."""
        self._until(lambda: self.produced >= share * self.messages, f"{share:.0%} produced")

    def move(self, before: str, after: str) -> None:
        """One switchover's way: freeze, drain, hand over (the first mover dies in it), hold, resume."""
        self.epoch += 1
        writers: list[Writer] = [
            *(
                SqlFenceWriter(
                    engine=self.engine, spec=SqlFenceSpec(kind="sql_fence", name=name, connection="db", fence=name)
                )
                for name in (FENCE, tables.FENCE)
            ),
            KafkaGroupWriter(
                settings=self.settings,
                spec=KafkaGroupWriterSpec(
                    kind="kafka_consumer_group", name="group", connection="kafka", group=self.spec.targets[before]
                ),
            ),
        ]
        found = [writer.find() for writer in writers]
        for writer in writers:
            writer.freeze(epoch=self.epoch)
        self.workers.kill("consumer" if self.epoch % 2 else "ingest", "during freeze")
        for writer in writers:
            self._until(lambda writer=writer: writer.drained().done, f"{writer.name} drained")  # type: ignore[misc]
        taken = self._count("SELECT count(*) FROM consumed")
        change = Change(before=before, after=after, epoch=self.epoch, actor="storm")
        self.pointer.fence(self.epoch)
        self._mover_dies(change)
        assert self.pointer.apply(change).changed
        self.alias.fence(self.epoch)
        assert self.alias.apply(change).changed
        self.workers.kill("ingest" if self.epoch % 2 else "consumer", "while frozen")
        time.sleep(1.0)  # the hold: everything stands still
        assert self._count("SELECT count(*) FROM consumed") == taken, "a frozen consumer had an effect"
        for writer, state in zip(writers[:2], found, strict=False):
            writer.resume(state, epoch=self.epoch, proven=True)
        self.workers.kill("ingest", "after resume")

    def _mover_dies(self, change: Change) -> None:
        values = [self.settings, self.spec.model_dump(), vars(change)]
        process = start(f"{crashing.MOVER}:1", "mover", [json.dumps(value) for value in values], {})
        _, told = process.communicate(timeout=WAIT_S)
        assert process.returncode == -9, f"the mover was not killed: {told.decode()[-400:]}"
        self.workers.kills[f"mover, {crashing.MOVER}"] += 1

    def settle(self) -> None:
        """Wait until everything that was produced and written has been taken in."""
        query = "SELECT count(DISTINCT (part, at_offset)) FROM consumed"
        self._until(lambda: self._count(query) >= self.messages, "every message consumed")
        with psycopg.connect(self.db_url, autocommit=True) as conn:
            self._until(lambda: ingest.lag(conn) == 0, "every row ingested")

    def counts(self) -> dict[str, Any]:
        """What became of it all."""
        ordered = (
            "SELECT count(*) FROM (SELECT seq <= lag(seq) OVER (PARTITION BY key ORDER BY id) AS wrong FROM ({})"
            " AS rows) AS found WHERE wrong"
        )
        consumed = "SELECT id, key, (value ->> 'seq')::int AS seq FROM consumed"
        rows = "SELECT e.id, s.key || e.target AS key, e.seq FROM ingest_effect e JOIN ingest_source s USING (seq)"
        rows += " WHERE e.effect = 'index'"
        with psycopg.connect(self.db_url, autocommit=True) as conn:
            written = ingest.count_effects(conn)
        distinct = self._count("SELECT count(DISTINCT (key, value ->> 'seq')) FROM consumed")
        effects = self._count("SELECT count(*) FROM consumed")
        return {
            "messages": {
                "sent": self.messages,
                "effects": effects,
                "lost": self.messages - distinct,
                "duplicated": effects - distinct,
                "out_of_order": self._count(ordered.format(consumed)),
            },
            "writes": {
                "sent": self.writes,
                "effects": written["written"],
                "lost": max(written["lost"], self.writes - written["written"]),
                "duplicated": written["duplicated"],
                "out_of_order": self._count(ordered.format(rows)),
            },
        }

    def _count(self, query: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(sa.text(query.replace(":", "\\:"))).scalar_one())

    def _until(self, check: Any, what: str) -> None:
        deadline = time.monotonic() + WAIT_S + self.seconds
        while not check():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not in time: {what}; {self.workers.failed}")
            time.sleep(0.1)


def run(
    settings: dict[str, Any], db_url: str, *, messages: int, writes: int, seconds: float, moves: int, lives: int
) -> dict[str, Any]:
    """One storm with so many switchovers, to Green and back by turns; its counts."""
    storm = Storm(settings=settings, db_url=db_url, messages=messages, writes=writes, seconds=seconds)
    began = time.monotonic()
    try:
        storm.set_up(lives=lives)
        storm.workers.start()
        storm.joined()
        with storm.load():
            for number, (before, after) in zip(range(moves), itertools.cycle([(BLUE, GREEN), (GREEN, BLUE)])):
                storm.reached((number + 1) / (moves + 1))
                storm.move(before, after)
        storm.settle()
    finally:
        storm.workers.end()
        storm.engine.dispose()
    kills = dict(sorted(storm.workers.kills.items()))
    failed = storm.workers.failed
    taken = round(time.monotonic() - began, 1)
    return {**storm.counts(), "switchovers": moves, "kills": kills, "ended_by_error": failed, "seconds": taken}


def problems(found: dict[str, Any]) -> list[str]:
    """What is not 0 and must be."""
    wrong = [
        f"{what}: {name} {found[what][name]}"
        for what in ("messages", "writes")
        for name in ("lost", "duplicated", "out_of_order")
        if found[what][name]
    ]
    every = [f"consumer, {name}" for name in crashing.CONSUMER] + [f"ingest, {name}" for name in crashing.INGEST]
    every.append(f"mover, {crashing.MOVER}")
    return wrong + [f"no kill {name}" for name in every if not found["kills"].get(name)]


def main() -> int:
    """The long storm."""
    from sandbox import servers
    from tests.servers import short_lived_keeper, throwaway_postgres

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000, help="Kafka messages (default: 100000)")
    parser.add_argument("--writes", type=int, default=5_000, help="rows for the writer (default: 5000)")
    parser.add_argument("--seconds", type=float, default=120, help="how long they are sent (default: 120)")
    options = parser.parse_args()
    with short_lived_keeper() as keeper, throwaway_postgres() as postgres:
        postgres.create_database("storm", vector=True)
        settings = dict(servers.start_kafka(keeper).connection["extra"])
        found = run(settings, postgres.url("storm"), moves=4, lives=4, **vars(options))
    print(f"{'':10}{'sent':>9}{'effects':>9}{'lost':>6}{'duplicated':>12}{'out of order per key':>22}")
    for what in ("messages", "writes"):
        sent, effects, lost, twice, order = found[what].values()
        print(f"{what:10}{sent:>9}{effects:>9}{lost:>6}{twice:>12}{order:>22}")
    print(f"\n{found['switchovers']} switchovers (promote, roll back, by turns); killed with SIGKILL:")
    for where, times in found["kills"].items():
        print(f"{times:>5} x {where}")
    wrong = problems(found)
    for problem in (*wrong, *found["ended_by_error"]):
        print(f"NOT AS IT MUST BE: {problem}")
    print(json.dumps(found))
    return 1 if wrong or found["ended_by_error"] else 0


if __name__ == "__main__":
    sys.exit(main())
