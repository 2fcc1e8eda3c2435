"""The list of switchovers, a page at a time: filtered, counted and sorted by the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from switchover.ledger.database import Database
from switchover.ledger.tables import NOW, verdict
from switchover.ledger.tables import run as table

PAGE = 25
SHOWN = [
    table.c[name]
    for name in (
        "id",
        "service",
        "state",
        "blue",
        "green",
        "decision",
        "reason",
        "hold_minutes",
        "opened_at",
        "updated_at",
        "flipped_at",
        "hold_until",
        "judged_at",
        "decided_at",
        "rollback_started_at",
        "converged_at",
        "ended_at",
    )
]
WORST = ("FAIL", "ERROR", "INCONCLUSIVE", "PASS", "OFF")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of the switchovers, newest first. ``rows`` have the columns of ``SHOWN`` and ``verdict``.

    ``verdict`` is the worst outcome of the newest look, ``None`` where nothing was judged. ``total`` counts all
    that match; ``states`` counts them by state, whatever state is asked for.
    """

    rows: Sequence[Mapping[str, Any]]
    total: int
    number: int
    states: Mapping[str, int]
    services: Sequence[str]
    now: datetime

    @property
    def pages(self) -> int:
        """How many pages there are; at least one."""
        return max(1, -(-self.total // PAGE))


class Listing:
    """Reads the list of a ledger."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def page(
        self, *, number: int = 1, service: str = "", state: str = "", allowed: Collection[str] | None = None
    ) -> Page:
        """One page; ``allowed`` are the services that may be seen (``None``: all)."""
        seen = [] if allowed is None else [table.c.service.in_(sorted(allowed))]
        of_service = [*seen, table.c.service == service] if service else seen
        where = [*of_service, table.c.state == state] if state else of_service
        counts = sa.select(table.c.state, sa.func.count()).where(*of_service).group_by(table.c.state)
        with self._db.transaction() as connection:
            states = {row[0]: int(row[1]) for row in connection.execute(counts)}
            total = states.get(state, 0) if state else sum(states.values())
            number = min(max(1, number), max(1, -(-total // PAGE)))
            chosen = (
                sa.select(*SHOWN)
                .where(*where)
                .order_by(table.c.opened_at.desc(), table.c.id)
                .limit(PAGE)
                .offset(PAGE * (number - 1))
                .subquery()
            )
            query = sa.select(chosen, _verdict(chosen).label("verdict")).order_by(
                chosen.c.opened_at.desc(), chosen.c.id
            )
            return Page(
                rows=[dict(row) for row in connection.execute(query).mappings()],
                total=total,
                number=number,
                states=states,
                services=list(
                    connection.execute(sa.select(table.c.service).where(*seen).distinct().order_by("service")).scalars()
                ),
                now=connection.execute(sa.select(NOW)).scalar_one(),
            )


def _verdict(chosen: sa.FromClause) -> sa.ScalarSelect[Any]:
    """The worst outcome of the newest look of each chosen run."""
    run, other = chosen.c.id, verdict.alias()
    newest = (
        sa.select(other.c.gate, other.c.tick)
        .where(other.c.run == run)
        .order_by(other.c.at.desc())
        .limit(1)
        .correlate(chosen)
        .scalar_subquery()
    )
    order = sa.case({name: rank for rank, name in enumerate(WORST)}, value=verdict.c.outcome, else_=0)
    return (
        sa.select(verdict.c.outcome)
        .where(verdict.c.run == run, sa.tuple_(verdict.c.gate, verdict.c.tick) == newest)
        .order_by(order)
        .limit(1)
        .correlate(chosen)
        .scalar_subquery()
    )
