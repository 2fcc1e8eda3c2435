"""The plan's part: the gold set, and the corpus that its quotes point into."""

from __future__ import annotations

from pydantic import Field

from switchover.part import ConnectionId, Identifier, Part, at_most


class Gold(Part):
    """The gold set and the corpus its quotes point into."""

    path: str = Field(description="JSON lines file, relative to the plan.")
    corpus: ConnectionId = Field(description="PostgreSQL connection with the source texts.")
    table: Identifier = Field("documents", description="Table with `doc` and `text` columns.")
    minimum: int = Field(
        20, ge=1, json_schema_extra=at_most(100_000), description="Fewer valid questions than this fail the run."
    )
