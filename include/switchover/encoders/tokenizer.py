"""How tokens are counted here: by one tokenizer for all encoders, since a server shows none of its own.

Tokens weigh hits against each other and gold spans by their parts. What counts is that both arms are counted alike.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from switchover.encoders.base import sendable


class BundledTokenizer:
    """The tokenizer inside the package ``wordllama``: the token part of :class:`Encoder`."""

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """See :class:`Encoder`."""
        return _trimmed(text, wordllama_model().tokenizer.encode(sendable(text), add_special_tokens=False).offsets)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See :class:`Encoder`."""
        found = wordllama_model().tokenizer.encode_batch([sendable(text) for text in texts], add_special_tokens=False)
        return [len(_trimmed(text, each.offsets)) for text, each in zip(texts, found, strict=True)]

    def tokenizer_version(self) -> str:
        """See :class:`Encoder`. The digest of the tokenizer's file."""
        return _tokenizer_digest()


@functools.cache
def wordllama_model() -> Any:
    """The package's one model, with its tokenizer; loaded once a process."""
    import wordllama  # 0.6 s: only when something is encoded

    # Two levels: the package keeps weights/ and tokenizers/ beside its code.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def _trimmed(text: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the space before a word, which the tokenizer counts to the word: a chunk may begin behind it."""
    found = ((end - len(text[start:end].lstrip()), end) for start, end in offsets)
    return [(start, end) for start, end in found if end > start]


@functools.cache
def _tokenizer_digest() -> str:
    import wordllama

    files = sorted((Path(wordllama.__file__).parent / "tokenizers").glob("l2_supercat*.json"))
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
