"""The plan's part: how an arm and a reader are asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from switchover.encoders import ArmEncoder
from switchover.part import ConnectionId, Part, at_most

Path_ = Annotated[str, Field(pattern=r"^/")]


class Reader(Part):
    """Something that follows the pointer and can be asked which arm it would serve now."""

    name: str = Field(description="How the reader is called in tables and errors.")
    connection: ConnectionId = Field(description="HTTP connection of the reader.")
    path: Path_ = Field("/version", description="Answers JSON with `arm` and `pins.INDEX_HASH`.")


class Arm(Part):
    """How one complete stack is asked, whether it is live or not."""

    connection: ConnectionId = Field(description="HTTP connection of the retrieval service.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers that address this arm instead of the live one."
    )
    ask: Path_ = Field("/ask", description="Path that answers one question.")
    version: Path_ = Field("/version", description="Path that reports the arm's own pins.")
    encoder: ArmEncoder | None = Field(
        None, description="The encoder that the arm queries with, where its report cannot say it; see docs/encoders.md."
    )


class Probes(Part):
    """How the arms are asked."""

    k: int = Field(5, ge=1, le=100, description="Hits per question, as production uses.")
    seeds: int = Field(2, ge=1, le=8, description="Seeds per paraphrase in the warm phase.")
    concurrency: int = Field(4, ge=1, le=64, description="Questions in flight; each is asked of both arms.")
    timeout_s: float = Field(
        10, gt=0, json_schema_extra=at_most(300), description="A probe without an answer by then has failed."
    )
    max_tool_depth: int = Field(
        4, ge=1, json_schema_extra=at_most(1000), description="More tool calls than this in one request are a loop."
    )
    context: Literal["joined", "top1", "mean"] = Field(
        "joined", description="How the vectors of the hits become one context vector."
    )
