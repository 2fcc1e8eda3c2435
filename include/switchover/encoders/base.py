"""What an encoder must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

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
