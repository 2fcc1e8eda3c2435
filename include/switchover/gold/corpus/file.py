"""The corpus in one file: JSON lines, JSON, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.paths import PathText, compile_path
from switchover.errors import GoldError
from switchover.gold.corpus.base import Blue, CorpusSpec, Documents
from switchover.gold.jsonl import kind_of
from switchover.gold.records import CORPUS, one_object, read_records


class FileCorpus(CorpusSpec):
    """A file with a record a document: JSON lines, JSON, CSV or Parquet, by the end of its name."""

    kind: Literal["file"] = "file"
    path: str = Field(description="The file, relative to the plan.")
    doc: PathText = Field("_id || id || doc", description="Where in a record the id of the document is (JMESPath).")
    text: PathText = Field("text || content || page_content", description="Where its text is.")

    def build(self, edge: Edge, blue: Blue | None = None) -> Documents:
        """See ``CorpusSpec``."""
        return FileDocuments(Path(self.path), doc=self.doc, text=self.text)


class FileDocuments:
    """See ``FileCorpus``. The file is read whole for each call, in bounds."""

    def __init__(self, path: Path, *, doc: str, text: str) -> None:
        self._path = path
        self._doc = doc
        self._text = text

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """See ``Documents``."""
        wanted, found = set(docs), dict[str, str]()
        for doc, text in self.each():
            if doc in wanted:
                if doc in found:
                    raise GoldError(f"{self._path}: document {doc!r} is given twice")
                found[doc] = text
        return found

    def each(self) -> Iterator[tuple[str, str]]:
        """See ``Documents``."""
        doc_at, text_at = compile_path(self._doc), compile_path(self._text)
        for where, record in read_records(self._path, CORPUS):
            body = one_object(where, record)
            doc, text = doc_at(body), text_at(body)
            if isinstance(doc, bool) or not isinstance(doc, str | int) or not str(doc).strip():
                raise GoldError(f"{where}: id: found {kind_of(doc)} at `{self._doc}`; allowed: a text or a number")
            if text is not None and not isinstance(text, str):
                raise GoldError(f"{where}: text: found {kind_of(text)} at `{self._text}`; allowed: a text")
            yield str(doc), text or ""
