"""A function as somebody's own package has it, for the kind ``callable``."""

from __future__ import annotations

from typing import Any

from switchover.encoders.wordllama import WordLlamaEncoder

LONGEST = 4_000  # characters that it reads
asked: list[tuple[int, str]] = []


def encode(texts: list[str], input_type: str = "") -> Any:
    """Vectors, one a text; the rest of a long text is not read, as sentence-transformers does it."""
    asked.append((len(texts), input_type))
    return WordLlamaEncoder().encode([text[:LONGEST] for text in texts])


def broken(texts: list[str]) -> Any:
    """What raises."""
    raise RuntimeError("CUDA out of memory\nwith a long story")
