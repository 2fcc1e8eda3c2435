"""Indexes that are Chroma collections, by its HTTP interface (v2); the manifest stands in the collection's metadata.

A row's text is its ``document``, its revision one of its metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.names import chroma_name
from switchover.errors import BadInput, Unreachable
from switchover.indexes.base import Index
from switchover.indexes.collections import About, CollectionIndex, CollectionSpec, Stored
from switchover.lazy import lazy
from switchover.text import one_line

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

MISSING, BUSY = 404, 429
PAGE = 100  # rows: an answer may have 4 MB


class ChromaIndexSpec(CollectionSpec):
    """Indexes that are Chroma collections, each with its manifest in its metadata."""

    namer = staticmethod(chroma_name)
    store: ClassVar[str] = "Chroma"
    kind: Literal["chroma"]
    text: Literal["document"] = Field("document", description="Chroma keeps a row's text as its document.")
    tenant: str = Field("default_tenant", min_length=1, description="The tenant.")
    database: str = Field("default_database", min_length=1, description="The database.")

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        root = f"/api/v2/tenants/{self.tenant}/databases/{self.database}"
        store = ChromaCollections(client=edge.client("http", self.connection), root=root, revision=self.revision)
        return CollectionIndex(spec=self, store=store)


class ChromaCollections:
    """The collections of one database, as :class:`CollectionStore`."""

    def __init__(self, *, client: httpx.Client, root: str, revision: str | None) -> None:
        self.place = f"{client.base_url.host}:{client.base_url.port or 80}"
        self._client = client
        self._root = root
        self._revision = revision

    def about(self, name: str) -> About | None:
        """See :class:`CollectionStore`."""
        found = self._found(name)
        if found is None:
            return None
        count = int(self._ask("GET", f"/collections/{found['id']}/count"))
        return About(creation=str(found["id"]), count=count, kept=found.get("metadata") or {})

    def every(self, name: str, *, size: int) -> Iterator[Sequence[Stored]]:
        """See :class:`CollectionStore`. In the order in which they were written."""
        after = 0
        while page := self._get(name, limit=min(size, PAGE), offset=after):
            yield page
            after += len(page)

    def fetch(self, name: str, ids: Collection[str]) -> list[Stored]:
        """See :class:`CollectionStore`."""
        wanted = list(ids)
        pages = (wanted[first : first + PAGE] for first in range(0, len(wanted), PAGE))
        return [row for page in pages for row in self._get(name, ids=page)]

    def documents(self, name: str, field: str, docs: Sequence[str]) -> set[str]:
        """See :class:`CollectionStore`. Metadata may have them as texts or as whole numbers."""
        whole = [int(doc) for doc in docs if doc.lstrip("-").isdecimal()]
        where: dict[str, Any] = {field: {"$in": [*docs]}}
        if whole:
            where = {"$or": [where, {field: {"$in": whole}}]}
        found: set[str] = set()
        path, asked = f"/collections/{self._known(name)['id']}/get", {"where": where, "include": ["metadatas"]}
        offset = 0
        while page := self._ask("POST", path, {**asked, "limit": PAGE, "offset": offset})["metadatas"]:
            found |= {str(kept[field]) for kept in page if kept}
            offset += len(page)
            if found >= {*docs}:
                break
        return found

    def keep(self, name: str, texts: Mapping[str, str]) -> None:
        """See :class:`CollectionStore`. The server replaces all metadata, so those that are there go along."""
        found = self._known(name)
        self._ask("PUT", f"/collections/{found['id']}", {"new_metadata": {**(found.get("metadata") or {}), **texts}})

    def aliases(self, name: str) -> list[str]:
        """See :class:`CollectionStore`. Chroma has none."""
        return []

    def drop(self, name: str) -> None:
        """See :class:`CollectionStore`."""
        self._ask("DELETE", f"/collections/{name}")

    def _get(self, name: str, **asked: Any) -> list[Stored]:
        include = ["documents", "embeddings", "metadatas"]
        found = self._ask("POST", f"/collections/{self._known(name)['id']}/get", {**asked, "include": include})
        columns = (found["ids"], found["documents"], found["embeddings"], found["metadatas"])
        return [
            Stored(id=id, text=text, vector=vector, revision=(kept or {}).get(self._revision))
            for id, text, vector, kept in zip(*columns, strict=True)
        ]

    def _known(self, name: str) -> Mapping[str, Any]:
        found = self._found(name)
        if found is None:
            raise BadInput(f"chroma at {self.place}: has no collection {name!r}")
        return found

    def _found(self, name: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._ask("GET", f"/collections/{name}", missing=True)
        return found

    def _ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        """One exchange; ``None`` for what is not there, where ``missing`` expects that."""
        what = f"chroma at {self.place}: {method} {path}"
        try:
            answer = self._client.request(method, f"{self._root}{path}", json=body)
        except httpx.HTTPError as error:
            raise Unreachable(f"{what}: did not answer: {type(error).__name__}: {one_line(error)}") from error
        if answer.status_code == MISSING and missing:
            return None
        if answer.status_code >= 500 or answer.status_code == BUSY:
            raise Unreachable(f"{what}: answered {answer.status_code}: {one_line(answer.text)[:200]}")
        if not answer.is_success:
            raise BadInput(f"{what}: answered {answer.status_code}: {one_line(answer.text)[:200]}")
        try:
            return answer.json()
        except ValueError as error:
            raise Unreachable(f"{what}: its answer is not JSON; is it a Chroma?") from error
