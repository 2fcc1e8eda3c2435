"""Encoders by kind: text in, unit vectors out. Adding one is one file and one line here; an installed package adds one
by an entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from switchover.encoders.base import Encoder, EncoderSpec, Vectors
from switchover.errors import BadInput
from switchover.part import Part, at_most_characters
from switchover.registry import kinds, one_of

__all__ = [
    "DEFAULT",
    "KINDS",
    "AnyEncoder",
    "ArmEncoder",
    "Encoder",
    "EncoderSpec",
    "Unchecked",
    "Vectors",
    "encoder_from",
]

KINDS = kinds(
    "switchover.encoders",
    (
        "switchover.encoders.wordllama:WordLlamaSpec",
        "switchover.encoders.multilingual:MultilingualSpec",
        "switchover.encoders.openai:OpenAiSpec",
        "switchover.encoders.tei:TeiSpec",
        "switchover.encoders.callable:CallableSpec",
    ),
)
#: What a plan gets that names no encoder, or one without its kind.
DEFAULT = KINDS["wordllama"]


class Unchecked(Part):
    """The arm's encoder cannot be called from here; why stands wherever the check would."""

    kind: Literal["unchecked"] = "unchecked"
    unchecked: str = Field(
        min_length=1, json_schema_extra=at_most_characters(300), description="Why verify does not check it."
    )


def _told(value: Any) -> Any:
    """``{unchecked: why}`` says its kind by its key."""
    return {"kind": "unchecked", **value} if isinstance(value, dict) and "unchecked" in value else value


if TYPE_CHECKING:
    AnyEncoder = EncoderSpec
    ArmEncoder = EncoderSpec | Unchecked
else:
    AnyEncoder = one_of(KINDS, default="wordllama")
    #: What a plan may say of an arm's encoder.
    ArmEncoder = Annotated[one_of({**KINDS, "unchecked": Unchecked}, default="wordllama"), BeforeValidator(_told)]


def encoder_from(facts: Mapping[str, Any]) -> Encoder:
    """The encoder that a manifest or an arm reports by name, revision and dimension. ``BadInput``: there is none."""
    for spec in KINDS.values():
        found: Encoder | None = spec.reported(facts)
        if found is not None:
            return found
    allowed = ", ".join(spec.names for spec in KINDS.values() if spec.names)
    raise BadInput(
        f"encoder {facts.get('name')!r} is not known; allowed: {allowed}; any other: say it in the plan, `encoder` of"
        " the arm (docs/encoders.md)"
    )
