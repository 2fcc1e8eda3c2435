"""Writers under constant load through promotions and rollbacks, killed at every boundary: what is lost?

    python -m tests.writers.storm [--messages 100000] [--without-fence]

A real Kafka and a real PostgreSQL. Messages go to consumers of two groups (the sandbox's reference), rows to the
process writer behind the SQL fence, calls to two replicas of the sandbox's service, which queues them while it is
frozen. Switchovers promote and roll back by turns, with the product's own writers and pointers, and in each one
every boundary of ``boundaries.py`` sees a process die by SIGKILL. Then the stores are asked what became of it all:
exit 1 unless lost, duplicated and out of order are 0 everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox.processes import ports
from sandbox.service import build
from sandbox.writers import consumer, ingest
from tests.writers import boundaries, counts, report
from tests.writers.boundaries import Places
from tests.writers.load import ANSWERS, Load
from tests.writers.scene import ALIAS, BLUE, FENCE, GREEN, Scene
from tests.writers.workers import Workers, repeated

PARTITIONS = 4
CONSUMERS, REPLICAS = 2, 2
SWITCHOVERS = 6
WAIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """At least how much of it; both go on until there is enough of the other. ``rate``: messages a second."""

    messages: int
    switchovers: int
    rate: float = 500.0


class Storm:
    """One storm in one database of a PostgreSQL and in topics of its own."""

    def __init__(self, *, scene: Scene, size: Size, say: Callable[[str], None]) -> None:
        self.scene = scene
        self.size = size
        self.live, self.epoch, self.switchovers, self.began = BLUE, 0, 0, time.monotonic()
        self.missed: list[str] = []
        self.killed = 0
        self.workers = Workers(scene=scene)
        self.ports = [ports.free_port() for _ in range(REPLICAS)]
        self.load = Load(scene=scene, services=[f"http://{ports.HOST}:{port}" for port in self.ports], rate=size.rate)
        self.conn = psycopg.connect(scene.db_url, autocommit=True)
        self._say = say

    def set_up(self) -> None:
        """Topics, tables, both indexes, and both pointers on Blue."""
        spec = self.scene.group_spec
        compacted = NewTopic(spec.control, 1, 1, config={"cleanup.policy": "compact"})
        admin = AdminClient(dict(self.scene.kafka))  # kept: its answers end with it
        made = admin.create_topics([compacted, NewTopic(self.scene.topic, PARTITIONS, 1)])
        for topic in made.values():
            topic.result(10)
        for arm in (build.DOCS_V1, build.DOCS_V2):
            build.build(self.conn, arm)
        build.point(self.conn, alias=ALIAS, target=BLUE)
        for table in (consumer.TABLE, ANSWERS, counts.MOVES):
            self.conn.execute(table)
        self.conn.execute("INSERT INTO switchover_fence (fence) VALUES (%s)", [FENCE])
        pointer: Any = self.scene.group_pointer
        pointer._write(pointer.read(), BLUE, 0)
        # A partition that Blue has not come to yet has no offset that could be handed over.
        blue = Consumer({**self.scene.kafka, "group.id": spec.targets[BLUE]})
        begin = [TopicPartition(self.scene.topic, number, 0) for number in range(PARTITIONS)]
        blue.commit(offsets=begin, asynchronous=False)
        blue.close()

    def run(self) -> None:
        """All of it; what did not happen in time is in ``missed``, and the counts tell the rest."""
        consumers = [("consumer", arm) for arm in (BLUE, GREEN) for _ in range(CONSUMERS)]
        services = [("service", str(port)) for port in self.ports]
        with self.workers.running(*consumers, ("ingest",), *services):
            with self.load.running():
                if not self.size.switchovers:
                    self.strike(UNFENCED, "while all is open")
                    self.until(self.has_sent_enough, "enough messages sent")
                while self.switchovers < self.size.switchovers or not self.has_sent_enough():
                    self.strike(boundaries.WHILE_OPEN, "while all is open", nth=1 + self.switchovers % 4)
                    self.switch_over()
            self.until(self.is_settled, "everything taken in")

    def has_sent_enough(self) -> bool:
        """Whether as many messages were sent as are asked for, or there is no more use in sending."""
        return bool(self.missed) or self.load.messages >= self.size.messages

    def switch_over(self) -> None:
        """Freeze, drain, hand over; hold; there or back again; resume. Each step is killed at its boundaries."""
        before, after = self.live, GREEN if self.live == BLUE else BLUE
        promoted = self.switchovers % 2 == 0
        found = [dict(writer.find()) for writer in self.scene.writers(before)]
        tickets = self.scene.kills
        tickets.lay(boundaries.AT_FREEZE)
        self.epoch += 1
        self.step("freeze", live=before, epoch=self.epoch)
        drained = self.number(counts.EFFECTS)
        self.conn.execute(
            "INSERT INTO storm_move (number, promoted, lives, drained_at, effects_drained)"
            " VALUES (%s, %s, %s, clock_timestamp(), %s)",
            [self.switchovers, promoted, after if promoted else before, drained],
        )
        tickets.lay(boundaries.AT_FLIP)
        self.step("flip", before=before, after=after, epoch=self.epoch, actor="storm")
        self.strike(boundaries.WHILE_FROZEN, "while frozen")
        if promoted:
            self.live = after
        else:
            self.epoch += 1
            self.step("flip", before=after, after=before, epoch=self.epoch, actor="storm")
        self.conn.execute(
            "UPDATE storm_move SET effects_open = %s, opens_at = clock_timestamp() WHERE number = %s",
            [self.number(counts.EFFECTS), self.switchovers],
        )
        tickets.lay({**boundaries.AT_RESUME, "switchover": ()})
        tickets.lay({"switchover": boundaries.AT_RESUME["switchover"]}, nth=2)
        self.step("resume", live=before, epoch=self.epoch, found=found, proven=True)
        self.died("in the switchover")
        self.switchovers += 1
        self.say(f"switchover {self.switchovers} {'promoted' if promoted else 'rolled back'}")

    def step(self, verb: str, **words: Any) -> None:
        """One step, repeated from its beginning as often as it dies."""
        again = ("switchover", verb, json.dumps({**words, **({"proven": False} if "proven" in words else {})}))
        self.killed += repeated(self.scene, "switchover", verb, json.dumps(words), again=again, seconds=WAIT_S)
        self.say(verb)

    def strike(self, places: Places, when: str, *, nth: int = 1) -> None:
        """One death at each of these boundaries."""
        self.scene.kills.lay(places, nth=nth)
        self.died(when)

    def died(self, when: str) -> None:
        """Wait until every ticket is taken; one that is not is missed and taken back."""
        tickets = self.scene.kills
        self.until(lambda: not tickets.left(), f"every death {when}")
        tickets.withdraw()
        self.say(f"killed {when}")

    def is_settled(self) -> bool:
        """Whether group, log and queue have all been taken in."""
        done, sent = self.offsets()
        queue = "SELECT count(*) FROM switchover_intent WHERE applied_at IS NULL"
        return done == sent and ingest.lag(self.conn) == 0 and self.number(queue) == 0

    def offsets(self) -> tuple[int, int]:
        """Messages that the live group has committed, and those in the topic, by Kafka."""
        partitions = [TopicPartition(self.scene.topic, number) for number in range(PARTITIONS)]
        reader = Consumer({**self.scene.kafka, "group.id": self.scene.group_spec.targets[self.live]})  # joins nothing
        committed = [max(0, each.offset) for each in reader.committed(partitions, timeout=10)]
        ends = [reader.get_watermark_offsets(each, timeout=10)[1] for each in partitions]
        reader.close()
        return sum(committed), sum(ends)

    def number(self, query: str) -> int:
        """One number from the database."""
        row = self.conn.execute(query).fetchone()
        return int(row[0]) if row else 0

    def until(self, check: Callable[[], Any], what: str, *, at_most: float = WAIT_S) -> None:
        """Wait for it; what does not come is missed."""
        deadline = time.monotonic() + at_most
        while not check():
            if self.workers.failed or time.monotonic() > deadline:
                self.missed.append(f"not in time: {what}: {', '.join(self.scene.kills.left())}")
                return
            time.sleep(0.1)

    def say(self, what: str) -> None:
        """Progress."""
        kills = self.scene.kills.kills().total()
        seconds = time.monotonic() - self.began
        self._say(
            f"{seconds:6.1f} s  {what}; {self.load.messages:,} messages sent, {self.number(counts.EFFECTS):,} effects,"
            f" {kills} kills"
        )


#: Where the fence alone keeps a repeat from being a second effect.
UNFENCED: Places = {
    "consumer": ("after commit, before offsets",),
    "service": ("write, after commit, before answer",),
}


def run(
    kafka: dict[str, Any], db_url: str, *, size: Size, fenced: bool = True, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """One storm, and what the stores say of it."""
    with tempfile.TemporaryDirectory(prefix="storm-") as tickets:
        name = f"storm-{uuid.uuid4().hex[:8]}"
        scene = Scene(name=name, kafka=kafka, db_url=db_url, tickets=tickets, fenced=fenced)
        storm = Storm(scene=scene, size=size, say=say)
        try:
            storm.set_up()
            storm.run()
            storm.say("all has been taken in")
            kills = dict(sorted(scene.kills.kills().items()))
            return {
                **counts.count(storm.conn, sent=storm.offsets()[1]),
                "kills": kills,
                "other_deaths": storm.killed + storm.workers.killed - sum(kills.values()),
                "missed": storm.missed + storm.workers.failed,
                "seconds": round(time.monotonic() - storm.began, 1),
            }
        finally:
            storm.conn.close()
            scene.engine.dispose()


def main() -> int:
    """The long storm."""
    from sandbox import servers
    from tests.servers import short_lived_keeper, throwaway_postgres

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000, help="at least so many (default: 100000)")
    parser.add_argument("--without-fence", action="store_true", help="show that duplicates are seen; no switchovers")
    options = parser.parse_args()
    size = Size(messages=options.messages, switchovers=0 if options.without_fence else SWITCHOVERS)
    with short_lived_keeper() as keeper, throwaway_postgres() as postgres:
        postgres.create_database("storm", vector=True)
        kafka = dict(servers.start_kafka(keeper).connection["extra"])
        fenced = not options.without_fence
        found = run(
            kafka, postgres.url("storm"), size=size, fenced=fenced, say=lambda line: print(line, file=sys.stderr)
        )
    return report.told(found)


if __name__ == "__main__":
    sys.exit(main())
