"""Which names a store takes for an index: one function a store, used by plan check, pointer, index and build alike.

Each counts as its store counts (PostgreSQL and OpenSearch in bytes of UTF-8) and raises ``error`` with a line that says
what was found and what is allowed. ``what`` says whose name it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from switchover.errors import BadInput

Namer = Callable[..., str]
POSTGRES_BYTES = 63  # a longer name is cut by the server without an error, and may then be another table's
SEARCH_BYTES = 255
COLLECTION_LETTERS = 255
BUILDING = "__build"  # ends the name of the table that a build fills

_TABLE_PART = re.compile(r"[\w$-]+")
_SEARCH_NEVER = re.compile(r"[\s\x00-\x1f,*?\"<>|\\/#:]")
_QDRANT_NEVER = re.compile(r"[<>:\"/\\|?*\x00-\x1f]")
_MILVUS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHROMA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]")
_WEAVIATE = re.compile(r"[A-Z][A-Za-z0-9_]*")


def table_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """A PostgreSQL table (or view), with an optional schema before it; as it is written between double quotes."""
    parts = name.split(".")
    if len(parts) > 2 or not all(_TABLE_PART.fullmatch(part) for part in parts):
        raise error(f"{what}: found {name!r}; allowed: a table name of letters, digits, _ $ - and one dot")
    _within(parts, POSTGRES_BYTES, name, what, error)
    return name


def built_table_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """A table that a build makes: without a schema, and short enough for the table that is filled beside it."""
    if "." in table_name(name, what, error):
        raise error(f"{what}: found {name!r}; allowed: a table name without a schema, for a build makes it")
    _within([name], POSTGRES_BYTES - len(BUILDING), name, what, error)
    return name


def search_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """An index of OpenSearch or Elasticsearch: a pattern, a list or a date expression would reach others too."""
    if name != name.lower() or name[:1] in ("", "-", "_", "+") or name in (".", "..") or _SEARCH_NEVER.search(name):
        raise error(
            f"{what}: found {name!r}; allowed: the own name of one index, in lower case, without wildcards"
            ' and , " < > | \\ / # : and not begun with - _ +'
        )
    _within([name], SEARCH_BYTES, name, what, error)
    return name


def qdrant_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """A collection of Qdrant."""
    if not name or len(name) > COLLECTION_LETTERS or _QDRANT_NEVER.search(name):
        raise error(f'{what}: found {name!r}; allowed: 1 to {COLLECTION_LETTERS} letters without < > : " / \\ | ? *')
    return name


def milvus_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """A collection of Milvus."""
    if len(name) > COLLECTION_LETTERS or not _MILVUS.fullmatch(name):
        raise error(
            f"{what}: found {name!r}; allowed: up to {COLLECTION_LETTERS} letters a-z, digits and _,"
            " not begun with a digit"
        )
    return name


def weaviate_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """A collection of Weaviate: the server writes its first letter large, and would answer with another name."""
    if len(name) > COLLECTION_LETTERS or not _WEAVIATE.fullmatch(name):
        raise error(
            f"{what}: found {name!r}; allowed: up to {COLLECTION_LETTERS} letters a-z, digits and _,"
            " begun with a capital letter"
        )
    return name


def chroma_name(name: str, what: str, error: type[Exception] = BadInput) -> str:
    """A collection of Chroma."""
    if not _CHROMA.fullmatch(name):
        raise error(
            f"{what}: found {name!r}; allowed: 3 to 512 letters a-z, digits and . _ -, begun and ended with a letter or"
            " digit"
        )
    return name


def _within(parts: list[str], most: int, name: str, what: str, error: type[Exception]) -> None:
    longest = max(len(part.encode(errors="surrogatepass")) for part in parts)
    if longest > most:
        raise error(f"{what}: found {name!r}, which has {longest} bytes; allowed: {most} bytes")
