"""The base of every part of a plan, and the words that parts share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Part(BaseModel):
    """Base of every part of a plan: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def at_most(high: float) -> dict[str, Any]:
    """``json_schema_extra`` of a number: a plan's file may say no more; see ``plan_checks``."""
    return {"maximum": high}


def at_most_characters(longest: int) -> dict[str, Any]:
    """The same of a text."""
    return {"maxLength": longest}
