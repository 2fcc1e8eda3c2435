"""What all processes of a storm share: where they work, and the product's writers and pointers over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sandbox.service import tables
from switchover.pointers.kafka_group import KafkaGroupPointer, KafkaGroupSpec
from switchover.pointers.pgvector import PgvectorPointer
from switchover.writers.base import Writer
from switchover.writers.kafka_group import KafkaGroupWriter, KafkaGroupWriterSpec
from switchover.writers.write_gate import WriteGateSpec, WriteGateWriter
from tests.writers.boundaries import Tickets

BLUE, GREEN = "docs_v1", "docs_v2"
ALIAS = "docs"
FENCE = "consumers"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """``kafka``: the client's settings. ``tickets``: a directory. ``fenced``: false switches the dedupe fence off."""

    name: str
    kafka: Mapping[str, Any]
    db_url: str
    tickets: str
    fenced: bool = True

    @property
    def kills(self) -> Tickets:
        """The tickets of this storm."""
        return Tickets(Path(self.tickets))

    @property
    def topic(self) -> str:
        """Where the messages are."""
        return f"{self.name}-documents"

    @cached_property
    def group_spec(self) -> KafkaGroupSpec:
        """The consumers' pointer, as in a plan."""
        groups = {arm: f"{self.name}-{arm}" for arm in (BLUE, GREEN)}
        return KafkaGroupSpec(
            kind="kafka_group",
            connection="kafka",
            control=f"{self.name}-control",
            key=ALIAS,
            topics=[self.topic],
            targets=groups,
        )

    @cached_property
    def engine(self) -> sa.Engine:
        """The database with the effects."""
        return sa.create_engine(self.db_url.replace("postgresql:", "postgresql+psycopg:", 1))

    @cached_property
    def group_pointer(self) -> KafkaGroupPointer:
        """Which consumer group is live."""
        return KafkaGroupPointer(settings=dict(self.kafka), spec=self.group_spec)

    @cached_property
    def alias(self) -> PgvectorPointer:
        """Which index is live."""
        return PgvectorPointer(engine=self.engine, alias=ALIAS)

    def writers(self, live: str) -> list[Writer]:
        """In the order of the plan: both fences, and the group that must be empty after the first."""
        fences = [
            WriteGateWriter(
                engine=self.engine, spec=WriteGateSpec(kind="sql_fence", name=name, connection="db", fence=name)
            )
            for name in (FENCE, tables.FENCE)
        ]
        return [*fences, self.group_writer(live)]

    def group_writer(self, arm: str) -> KafkaGroupWriter:
        """The consumer group of an arm."""
        group = self.group_spec.targets[arm]
        spec = KafkaGroupWriterSpec(
            kind="kafka_consumer_group", name="group", connection="kafka", group=group, quiet_s=0.2
        )
        return KafkaGroupWriter(settings=dict(self.kafka), spec=spec)
