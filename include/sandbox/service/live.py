"""Which arm is live: how the sandbox's processes read the pointer of the plan that they belong to.

The environment variable ``DOCS_PLAN`` names the plan; its connections come from ``AIRFLOW_CONN_*``, as for the
command line. Without it the pointer is the row ``docs`` of ``switchover_alias``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.pointers.pgvector import PgvectorSpec
from switchover.pointers.search_alias import OpenSearchSpec

PLAN = "DOCS_PLAN"


@dataclass(frozen=True, kw_only=True)
class Live:
    """Where the live arm is read.

    ``alias``: an alias beside the indexes, so that one look reads pointer and manifest; ``None`` when the pointer
    is kept elsewhere. ``ask``: any pointer but a row of ``switchover_alias``; it gives the arm or what else is there,
    blocks, may be called by several threads, and raises ``SwitchoverError`` without an answer. ``search``: the
    OpenSearch client of the indexes, where they are there and not in tables.
    """

    alias: str | None = "docs"
    ask: Callable[[], str | None] | None = None
    search: Any = None

    @property
    def place(self) -> str:
        """For messages."""
        return "the pointer" if self.alias is None else f"alias {self.alias!r}"

    def target(self, conn: psycopg.Connection[Any]) -> str | None:
        """The live arm, for code that may block; ``None`` when there is no pointer."""
        if self.ask is not None:
            return self.ask()
        row = conn.execute("SELECT target FROM switchover_alias WHERE alias = %s", [self.alias]).fetchone()
        return str(row[0]) if row else None


def live_of(plan: Plan, edge: Edge) -> Live:
    """The live arm by a plan's pointer."""
    pointer = plan.pointer
    if isinstance(pointer, PgvectorSpec):
        return Live(alias=pointer.alias)
    built = pointer.build(edge)
    kind: str = plan.index.kind
    search = edge.client("opensearch", plan.index.connection) if kind == "opensearch" else None
    alias = None
    if isinstance(pointer, OpenSearchSpec) and pointer.connection == plan.index.connection:
        alias = pointer.alias
    return Live(alias=alias, ask=lambda: built.read().target, search=search)


def live_from(environ: Mapping[str, str] = os.environ) -> Live:
    """The live arm for a process with this environment. ``PlanError`` if the plan cannot be read."""
    if not environ.get(PLAN):
        return Live()
    for client in ("httpx", "opensearch"):  # one line a request would bury what a log is read for
        logging.getLogger(client).setLevel(logging.WARNING)
    return live_of(load_plan(Path(environ[PLAN])), Edge(connections=environment_connections(environ)))
