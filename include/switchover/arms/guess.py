"""Where in a foreign answer things stand: a guess from field names and types, for a person to look at.

A guess is only ever written into a plan that a person reads, never used in a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LEAST_TEXT = 20  # characters; what is shorter is a title or a name
DEEPEST = 6
#: Field of a hit -> names that services give it, the likeliest first.
HIT_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("chunk_id", "snippet_id", "node_id", "id", "_id", "id_", "uuid", "pk", "key"),
    "doc": (
        "doc_id",
        "document_id",
        "docid",
        "doc",
        "source_id",
        "file_id",
        "ref_doc_id",
        "file_name",
        "filename",
        "source",
    ),
    "text": (
        "text",
        "content",
        "page_content",
        "passage",
        "chunk",
        "snippet",
        "body",
        "document",
        "contents",
        "excerpt",
    ),
    "score": ("score", "_score", "similarity", "relevance", "relevance_score", "rerank_score"),
    "start": ("start", "start_char_idx", "start_offset", "offset_start", "begin"),
    "end": ("end", "end_char_idx", "end_offset", "offset_end"),
    "section": ("section_id", "section", "heading", "title"),
    "url": ("url", "source_url", "uri", "link", "href"),
}
ANSWER_NAMES = ("answer", "output", "response", "generated_text", "completion", "message", "result", "text")
_PLAIN = re.compile(r"[A-Za-z_]\w*")


def guess(answer: Any) -> dict[str, Any] | None:
    """The ``answer`` part of a plan's ``asking`` for one JSON answer; ``None``: no list in it looks like hits.

    The list wins whose objects have the most known fields; a text or an id must be among them.
    """
    found = list(_lists(answer, "", 0))
    if not found:
        return None
    path, hit = max(found, key=lambda each: (len(each[1]), -len(each[0])))
    guessed: dict[str, Any] = {"hits": path or "@", "hit": hit}
    text = next((name for name in ANSWER_NAMES if isinstance(answer, dict) and _is_text(answer.get(name), 1)), None)
    return {**guessed, "text": text} if text is not None else guessed


def _lists(value: Any, path: str, deep: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Every list that could be hits: its JMESPath, and the paths of a hit's fields."""
    if deep > DEEPEST:
        return
    if isinstance(value, list) and value:
        flat = f"{path}[]" if "[]" in path else path
        if all(isinstance(each, Mapping) for each in value):
            hit = _fields(value[0])
            if "text" in hit or "id" in hit or "doc" in hit:
                yield flat, hit
            yield from _inside(value[0], f"{path}[]", deep)
        elif all(_is_text(each, LEAST_TEXT) for each in value):
            yield flat, {"text": "@"}
    elif isinstance(value, Mapping):
        yield from _inside(value, path, deep)


def _inside(value: Mapping[str, Any], path: str, deep: int) -> Iterator[tuple[str, dict[str, str]]]:
    for name, inner in value.items():
        yield from _lists(inner, f"{path}.{_quoted(str(name))}" if path else _quoted(str(name)), deep + 1)


def _fields(hit: Mapping[str, Any]) -> dict[str, str]:
    leaves = dict(_leaves(hit, (), 0))
    found: dict[str, str] = {}
    for field, names in HIT_NAMES.items():
        places = [path for path, value in leaves.items() if path[-1] in names and _fits(field, value)]
        if places:
            found[field] = _path(min(places, key=lambda path: (len(path), names.index(path[-1]))))
    if not {"doc", "start", "end"} <= found.keys():  # offsets count in a document
        found = {name: path for name, path in found.items() if name not in ("start", "end")}
    return found


def _leaves(value: Mapping[str, Any], path: tuple[str, ...], deep: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and deep < 3:
            yield from _leaves(inner, (*path, str(name)), deep + 1)
        else:
            yield (*path, str(name)), inner


def _fits(field: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if field in ("start", "end"):
        return number and isinstance(value, int)
    if field == "score":
        return number
    if field in ("id", "doc"):
        return (number and isinstance(value, int)) or _is_text(value, 1)
    return _is_text(value, LEAST_TEXT if field == "text" else 1)


def _is_text(value: Any, least: int) -> bool:
    return isinstance(value, str) and len(value.strip()) >= least


def _path(names: tuple[str, ...]) -> str:
    return ".".join(map(_quoted, names))


def _quoted(name: str) -> str:
    """A name in a JMESPath, where a quoted name is a JSON text."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name)
