"""The corpus below an object-store prefix: a text object a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.errors import BadInput, GoldError
from switchover.gold.corpus.base import Blue, CorpusSpec, Documents
from switchover.gold.jsonl import MAX_DOCUMENT, MIB
from switchover.gold.records import CORPUS
from switchover.part import ConnectionId


class PrefixCorpus(CorpusSpec):
    """Text objects below a prefix of an object store; the id of a document is its key behind the prefix."""

    kind: Literal["prefix"] = "prefix"
    prefix: str = Field(pattern=r"^[a-z][a-z0-9+.-]*://.", description="For example `s3://bucket/docs/`.")
    connection: ConnectionId | None = Field(None, description="Connection to the store; null: its own credentials.")
    suffix: str = Field(".txt", description="Objects whose key ends so are documents; the id has no such end.")

    def build(self, edge: Edge, blue: Blue | None = None) -> Documents:
        """See ``CorpusSpec``."""
        return PrefixDocuments(self, edge)


class PrefixDocuments:
    """See ``PrefixCorpus``."""

    def __init__(self, spec: PrefixCorpus, edge: Edge) -> None:
        self._spec = spec
        self._edge = edge

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """See ``Documents``."""
        wanted = set(docs)
        files, keys = self._keys()
        return {doc: self._read(files, key) for doc, key in keys.items() if doc in wanted}

    def each(self) -> Iterator[tuple[str, str]]:
        """See ``Documents``."""
        files, keys = self._keys()
        for doc, key in keys.items():
            yield doc, self._read(files, key)

    def _keys(self) -> tuple[Any, dict[str, str]]:
        """The file system, and document id -> key."""
        files, root = self._edge.object_store(self._spec.prefix, self._spec.connection)
        with _reading(self._spec.prefix):
            found = sorted(files.find(root.rstrip("/") + "/"))
        if len(found) > CORPUS.records:
            raise GoldError(f"corpus {self._spec.prefix}: more than {CORPUS.records} objects; allowed: up to that")
        inside = [key for key in found if key.endswith(self._spec.suffix)]
        if not inside:
            raise GoldError(f"corpus {self._spec.prefix}: holds no object that ends in {self._spec.suffix!r}")
        base = root.strip("/")
        names = [key.strip("/").removeprefix(base).strip("/").removesuffix(self._spec.suffix) for key in inside]
        return files, dict(zip(names, inside, strict=True))

    def _read(self, files: Any, key: str) -> str:
        with _reading(self._spec.prefix), files.open(key, "rb") as file:
            raw: bytes = file.read(MAX_DOCUMENT + 1)
        if len(raw) > MAX_DOCUMENT:
            raise GoldError(
                f"corpus {self._spec.prefix}: {key}: more than {MAX_DOCUMENT // MIB} MiB; allowed: up to that"
            )
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise GoldError(f"corpus {self._spec.prefix}: {key}: not UTF-8 at byte {error.start}") from error


class _reading:
    """Turns what a file system raises into one line."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, GoldError | BadInput):
            raise GoldError(f"corpus {self._prefix}: cannot be read: {type(error).__name__}: {error}"[:300]) from error
