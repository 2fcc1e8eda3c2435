"""What an encoder must do, and what a plan must say of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from switchover.edge.edge import Edge
from switchover.part import Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
else:
    Vectors = Any


class Encoder(Protocol):
    """Turns texts into unit vectors and says exactly which encoder it is."""

    name: str
    revision: str
    dimension: int

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (len(texts), dimension); a text without known tokens gives the zero vector."""
        ...

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Character offsets (start, end) of the text's tokens, in order."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        ...

    def tokenizer_version(self) -> str:
        """The TOK_VER pin."""
        ...


class EncoderSpec(Part, ABC):
    """An encoder's part of the plan. Each has a ``kind``, and says which encoder it asks for."""

    #: The names by which manifests and arms report encoders of this kind, for error messages.
    names: ClassVar[str]

    if TYPE_CHECKING:
        kind: str  # each says which word
        name: str
        revision: str
        dimension: int

    @abstractmethod
    def build(self, edge: Edge) -> Encoder:
        """The encoder, with clients from the edge. No I/O."""

    @classmethod
    @abstractmethod
    def reported(cls, facts: Mapping[str, Any]) -> Encoder | None:
        """The encoder that a manifest or an arm reports by ``name``, ``revision`` and ``dimension``.

        ``None``: it is of another kind. ``BadInput`` when it is of this kind but cannot be made.
        """

    def facts(self) -> dict[str, Any]:
        """How a manifest reports the encoder that the plan asks for."""
        return {"name": self.name, "revision": self.revision, "dimension": self.dimension}
