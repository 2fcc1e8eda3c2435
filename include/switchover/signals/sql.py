"""Signals counted from a request log table (columns in docs/signals.md), in any database that SQLAlchemy speaks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from switchover.lazy import lazy
from switchover.part import ConnectionId, at_most
from switchover.signals.base import COUNTS, P95, REQUIRED, Extra, SignalsSpec, Stage

if TYPE_CHECKING:
    from switchover.edge.edge import Edge
    from switchover.signals import sql_source
    from switchover.signals.source import Source
else:
    sql_source = lazy("switchover.signals.sql_source")

STAGES: tuple[Stage, ...] = ("retrieve", "rerank", "reason", "total")
#: The columns of the table by what they mean; a plan's ``columns`` adds to them.
DEFAULT = {"at": "at", "arm": "arm", "kind": "kind", "status": "status", "tool_loops": "tool_loop"}
Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$")]
Table = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62}){0,2}$")]
ColumnName = Literal[
    "at", "arm", "kind", "status", "tool_loops", "tool_calls", "tool_successes", "side_effects", "dedupe_hits", "cost"
]


class SqlExtra(Extra):
    """A figure of the plan's own."""

    query: str = Field(
        min_length=1, description="SELECT of one row with one number; `:arm`, `:since` and `:until` are bound."
    )


class SqlSignalsSpec(SignalsSpec):
    """Figures of live traffic, counted from a request log table."""

    kind: Literal["sql"]
    connection: ConnectionId = Field(description="Connection to the database with the request log.")
    table: Table = Field("request_log", description="The request log; its columns are in docs/signals.md.")
    columns: dict[ColumnName, Column | None] = Field(
        default_factory=dict,
        description="The table's own names of the columns; null: it has none such (only tool_loops, kind and more).",
    )
    stages: dict[Stage, Column] | None = Field(
        None, description="Columns of milliseconds by stage; null: ms_retrieve, ms_rerank, ms_reason, ms_total."
    )
    live: str = Field("live", description="What the column `kind` holds for a user's request.")
    query: str | None = Field(
        None,
        min_length=1,
        description="Instead of the table: a SELECT of one row whose columns are figures: those of `only`, else the"
        " three that are required. See docs/signals.md.",
    )
    extra: list[SqlExtra] = Field(default_factory=list, description="Figures of the plan's own, with bounds.")
    stale_s: float = Field(
        30, gt=0, json_schema_extra=at_most(600), description="A log without any row this young counts as dead."
    )

    @model_validator(mode="after")
    def _one_way(self) -> SqlSignalsSpec:
        own = [name for name in ("table", "columns", "stages", "live") if name in self.model_fields_set]
        if self.query is not None and own:
            raise ValueError(f"query and {own[0]}: both say where the figures are; allowed: one of them")
        bad = [name for name in ("at", "arm", "status") if name in self.columns and self.columns[name] is None]
        if bad:
            raise ValueError(f"columns.{bad[0]}: null; allowed: a column, for without it no figure can be counted")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The table's columns by what they mean."""
        given: dict[str, str | None] = {**DEFAULT, **{str(name): column for name, column in self.columns.items()}}
        return {name: column for name, column in given.items() if column is not None}

    @property
    def milliseconds(self) -> Mapping[str, str]:
        """The columns of each stage."""
        own = self.stages or {}
        return {str(s): c for s, c in own.items()} if own else {stage: f"ms_{stage}" for stage in STAGES}

    @property
    def has(self) -> Collection[str]:
        """See :class:`SignalsSpec`."""
        if self.query is not None:
            return REQUIRED if self.only is None else self.only
        return [*REQUIRED, *(name for name in COUNTS if name in self.named), P95]

    def build(self, edge: Edge, *, arms: Collection[str]) -> Source:
        """See :class:`SignalsSpec`."""
        given: dict[str, Any] = {
            "engine": edge.database(self.connection),
            "gives": self.gives,
            "extras": {each.name: each.query for each in self.extra},
            "stale_s": self.stale_s,
        }
        if self.query is not None:
            return sql_source.QuerySource(query=self.query, **given)
        return sql_source.TableSource(
            table=self.table, columns=self.named, stages=self.milliseconds, live=self.live, **given
        )
