"""What all encoders share that are not ours: a server, a function of somebody else. What they give is checked here.

Texts go in batches. A vector must have the plan's dimension, hold finite numbers and not be zero. A text that is too
long is an error that names it; one that is silently cut is found by its twin, which differs only at its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from switchover.encoders.base import EncoderSpec, Vectors, sendable
from switchover.encoders.tokenizer import BundledTokenizer
from switchover.errors import BadInput
from switchover.lazy import lazy
from switchover.part import Part, at_most, at_most_characters
from switchover.text import one_line

if TYPE_CHECKING:
    import numpy as np

    from switchover.edge import web
else:
    np = lazy("numpy")
    web = lazy("switchover.edge.web")

NUMBER = 32  # bytes of a component in an answer, at most about
SHORT = 200  # characters that every encoder reads whole
TAIL = 0.05  # of a long text: what its twin has differently
SAME = 1e-6  # components that differ by less are the same
SHOWN = 60  # characters of a text that an error shows


class TooLong(BadInput):
    """A text, or some text of a batch, is refused for what it is."""


class Reads(Part):
    """What is said to the encoder of one kind of text, where it wants to know."""

    prefix: str = Field("", json_schema_extra=at_most_characters(1000), description="Written before each text.")
    input_type: str | None = Field(None, description="Sent as `input_type`, or as `prompt_name` to a TEI server.")


NONE = Reads(input_type=None, prefix="")
Dimension = Annotated[int, Field(ge=1, le=16_384)]


class OutsideSpec(EncoderSpec):
    """The keys that all of them have."""

    name: str = Field(min_length=1, max_length=200, description="Name of the model.")
    revision: str = Field(
        "unpinned", min_length=1, max_length=200, description="Your word for the model's version; part of EMBED_SCHEMA."
    )
    dimension: Dimension = Field(description="Dimensions of its vectors; an answer with others is an error.")
    query: Reads = Field(NONE, description="How questions are given to it.")
    passage: Reads = Field(NONE, description="How passages are given to it.")
    batch: int = Field(32, ge=1, json_schema_extra=at_most(2048), description="Texts in one call, at most.")


class OutsideEncoder(BundledTokenizer, ABC):
    """An encoder that is asked in batches and believed nothing. Tokens are counted by the bundled tokenizer."""

    exact = False

    def __init__(self, spec: OutsideSpec) -> None:
        self.name, self.revision, self.dimension = spec.name, spec.revision, spec.dimension
        self._spec = spec
        self._batch = max(1, min(spec.batch, web.LARGEST // (NUMBER * spec.dimension)))
        self._whole = SHORT  # characters of the longest text that was seen to be read to its end

    @abstractmethod
    def call(self, texts: Sequence[str], how: Reads) -> Any:
        """One vector a text, as they came. ``TooLong``: a text is refused for what it is."""

    def read_back(self) -> str:
        """See :class:`Encoder`. Nobody says so."""
        return ""

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """See :class:`Encoder`."""
        how = self._spec.query if query else self._spec.passage
        found = np.zeros((len(texts), self.dimension), dtype=np.float32)
        asked = [row for row, text in enumerate(texts) if text.strip()]
        for start in range(0, len(asked), self._batch):
            rows = asked[start : start + self._batch]
            found[rows] = self._vectors([how.prefix + sendable(texts[row]) for row in rows], how)
        self._require_whole([how.prefix + sendable(texts[row]) for row in asked], found[asked], how)
        return found

    def _vectors(self, texts: Sequence[str], how: Reads) -> Vectors:
        try:
            return self._checked(self.call(texts, how), texts)
        except TooLong as error:
            if len(texts) == 1:
                raise BadInput(
                    f"{self._what}: cannot read {_named(texts[0])}: {error}; allowed: shorter texts, or an encoder that"
                    " reads longer ones"
                ) from None
        middle = len(texts) // 2
        return np.concatenate([self._vectors(texts[:middle], how), self._vectors(texts[middle:], how)])

    def _checked(self, rows: Any, texts: Sequence[str]) -> Vectors:
        """Unit vectors (n, dimension) of what came; ``BadInput`` says what is wrong with it."""
        try:
            found = np.asarray(rows, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(f"{self._what}: gave no lists of numbers of one length") from None
        if found.ndim != 2 or len(found) != len(texts):
            shape = " × ".join(map(str, found.shape))
            raise BadInput(f"{self._what}: gave {shape} numbers for {len(texts)} texts; expected one vector a text")
        if found.shape[1] != self.dimension:
            raise BadInput(f"{self._what}: gave {found.shape[1]} dimensions; the plan says {self.dimension}")
        with np.errstate(over="ignore"):
            norms = np.linalg.norm(found, axis=1, keepdims=True)
        bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
        if len(bad):
            what = "a zero vector" if norms[bad[0], 0] == 0 else "NaN or infinity"
            raise BadInput(f"{self._what}: gave {what} for {_named(texts[bad[0]])}")
        unit: Vectors = (found / norms).astype(np.float32)
        return unit

    def _require_whole(self, texts: Sequence[str], vectors: Vectors, how: Reads) -> None:
        """``BadInput`` when the longest text so far has the same vector with another end: it is cut without a word."""
        longest = max(range(len(texts)), key=lambda row: len(texts[row]), default=None)
        if longest is None or len(texts[longest]) <= self._whole:
            return
        text = texts[longest]
        cut = len(text) - max(20, int(TAIL * len(text)))
        twin = self._vectors([text[:cut] + text[cut:][::-1].swapcase()], how)[0]
        if text[cut:] != text[cut:][::-1].swapcase() and np.allclose(twin, vectors[longest], rtol=0, atol=SAME):
            raise BadInput(
                f"{self._what}: reads only the beginning of {_named(text)}: another end gives the same vector;"
                " allowed: shorter texts, or an encoder that reads longer ones"
            )
        self._whole = len(text)

    @property
    def _what(self) -> str:
        return f"encoder {self.name!r}"


def _named(text: str) -> str:
    """A text in an error: how long it is, and how it begins."""
    return f"the text of {len(text):,} characters that begins {one_line(text, SHOWN)!r}"
