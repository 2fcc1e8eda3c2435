"""What an encoder must do, and what a plan must say of one."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
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
    #: Whether the same text gives the same vector at every call, on every machine, up to rounding.
    exact: bool

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """Vectors of shape (len(texts), dimension); a text without known tokens gives the zero vector.

        ``query``: the texts are questions; else they are passages. Some encoders read the two differently.
        A text that the encoder cannot read whole is a ``BadInput`` that names it, never cut.
        """
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

    def read_back(self) -> str:
        """Which weights they really are, as read back from where they lie; empty where nobody says so.

        ``BadInput`` when they are not those that the plan names.
        """
        ...


class EncoderSpec(Part, ABC):
    """An encoder's part of the plan. Each has a ``kind``, and says which encoder it asks for."""

    #: The names by which manifests and arms report encoders of this kind, for error messages.
    names: ClassVar[str] = ""

    if TYPE_CHECKING:
        kind: str  # each says which word
        name: str
        revision: str
        dimension: int

    @abstractmethod
    def build(self, edge: Edge) -> Encoder:
        """The encoder, with clients from the edge. No I/O."""

    @classmethod
    def reported(cls, facts: Mapping[str, Any]) -> Encoder | None:
        """The encoder that a manifest or an arm reports by ``name``, ``revision`` and ``dimension``.

        ``None``: it is of another kind, or cannot be made from these alone (a server's address is missing).
        ``BadInput`` when it is of this kind but cannot be made.
        """
        return None

    def facts(self) -> dict[str, Any]:
        """How a manifest reports the encoder that the plan asks for."""
        return {"name": self.name, "revision": self.revision, "dimension": self.dimension}


def sendable(text: str) -> str:
    """The text as UTF-8 can carry it: half a surrogate pair becomes a replacement mark."""
    return text.encode("utf-8", "replace").decode()


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 in hex over the contents of files, in their order."""
    hasher = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                hasher.update(block)
    return hasher.hexdigest()
