"""Encoders by kind: text in, unit vectors out. Adding one is one file and one line here; an installed package adds one
by an entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from switchover.encoders.base import Encoder, EncoderSpec, Vectors
from switchover.errors import BadInput
from switchover.registry import kinds, one_of

__all__ = ["DEFAULT", "KINDS", "AnyEncoder", "Encoder", "EncoderSpec", "Vectors", "encoder_from"]

KINDS = kinds("switchover.encoders", ("switchover.encoders.wordllama:WordLlamaSpec",))
#: What a plan gets that names no encoder, or one without its kind.
DEFAULT = KINDS["wordllama"]

if TYPE_CHECKING:
    AnyEncoder = EncoderSpec
else:
    AnyEncoder = one_of(KINDS, default="wordllama")


def encoder_from(facts: Mapping[str, Any]) -> Encoder:
    """The encoder that a manifest or an arm reports by name, revision and dimension. ``BadInput``: there is none."""
    for spec in KINDS.values():
        found: Encoder | None = spec.reported(facts)
        if found is not None:
            return found
    allowed = ", ".join(spec.names for spec in KINDS.values())
    raise BadInput(f"encoder {facts.get('name')!r} is not known; allowed: {allowed}")
