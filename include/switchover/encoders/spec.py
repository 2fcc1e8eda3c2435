"""The plan's part: the one encoder that measures both arms."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from switchover.part import Part


class Judge(Part):
    """The one encoder that measures both arms."""

    name: Literal["wordllama-l2-supercat"] = Field("wordllama-l2-supercat", description="Encoder name.")
    revision: Literal["256.1"] = Field("256.1", description="Encoder revision.")
    dimension: int = Field(256, ge=1, le=256, description="Leading dimensions that are used.")
    context: Literal["joined", "top1", "mean"] = Field(
        "joined", description="How the vectors of the hits become one context vector."
    )
