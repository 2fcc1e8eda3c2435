"""The static embedding of the package ``wordllama``; its weights lie inside the package, nothing is downloaded."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.encoders.base import Encoder, EncoderSpec, Vectors, files_digest, sendable
from switchover.encoders.tokenizer import BundledTokenizer, wordllama_model
from switchover.errors import BadInput
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = lazy("numpy")

NAME: Final = "wordllama-l2-supercat"


class WordLlamaSpec(EncoderSpec):
    """The static embedding that comes inside the package `wordllama`. It reads English."""

    names: ClassVar[str] = NAME

    kind: Literal["wordllama"] = "wordllama"
    name: Literal["wordllama-l2-supercat"] = Field(NAME, description="Encoder name.")
    revision: Literal["256.1"] = Field("256.1", description="Encoder revision.")
    dimension: int = Field(256, ge=1, le=256, description="Leading dimensions that are used.")

    def build(self, edge: Edge) -> Encoder:
        """See :class:`EncoderSpec`."""
        return WordLlamaEncoder(dimension=self.dimension, revision=self.revision)

    @classmethod
    def reported(cls, facts: Mapping[str, Any]) -> Encoder | None:
        """See :class:`EncoderSpec`. An arm may report a revision that no plan asks for."""
        if facts.get("name") != NAME:
            return None
        try:
            return WordLlamaEncoder(dimension=int(facts["dimension"]), revision=str(facts["revision"]))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise BadInput(f"encoder {NAME!r}: cannot be made from what is said of it: {error!r}"[:200]) from None


class WordLlamaEncoder(BundledTokenizer):
    """The ``wordllama`` static embedding, cut to its leading ``dimension`` components.

    Revision ``rotated`` turns the space by a fixed orthogonal matrix: cosines within it stay the same,
    cosines to the plain revision become noise. It is an honest second encoder of the same dimension.
    """

    name = NAME
    exact = True

    def __init__(self, *, dimension: int = 256, revision: str = "256.1") -> None:
        if not 1 <= dimension <= 256:
            raise BadInput(f"encoder {self.name}: dimension {dimension} is not in 1..256")
        if revision not in ("256.1", "256.1-rotated"):
            raise BadInput(f"encoder {self.name}: revision {revision!r} is not one of 256.1, 256.1-rotated")
        self.dimension = dimension
        self.revision = revision
        self._rotation = _rotation(dimension) if revision.endswith("-rotated") else None

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """See :class:`Encoder`. A question and a passage are read alike."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        raw = np.asarray(wordllama_model().embed([sendable(text) for text in texts]), dtype=np.float64)[
            :, : self.dimension
        ]
        if self._rotation is not None:
            raw = raw @ self._rotation
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        unit = np.divide(raw, norms, out=np.zeros_like(raw), where=norms > 0)
        vectors: Vectors = unit.astype(np.float32)
        return vectors

    def read_back(self) -> str:
        """See :class:`Encoder`. The digest of the weights and of the tokenizer."""
        return f"sha256:{_weights_digest()}"


def load_weights() -> None:
    """Read the weights now rather than at the first text, for a process whose forks will share them."""
    wordllama_model()


@functools.cache
def _weights_digest() -> str:
    import wordllama

    folder = Path(wordllama.__file__).parent
    return files_digest(sorted([*folder.glob("weights/l2_supercat_256*"), *folder.glob("tokenizers/l2_supercat*")]))


@functools.cache
def _rotation(dimension: int) -> npt.NDArray[np.float64]:
    gaussian = np.random.default_rng(20261124).standard_normal((dimension, dimension))
    orthogonal, _ = np.linalg.qr(gaussian)
    return np.asarray(orthogonal, dtype=np.float64)
