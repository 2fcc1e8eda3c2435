"""Where the source texts of a gold set come from: files, an object store; tables are in test_index_columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, GoldError
from switchover.gold.corpus.file import FileCorpus
from switchover.gold.corpus.prefix import PrefixCorpus
from switchover.gold.corpus.table import whole_documents
from switchover.gold.spec import Gold


def edge() -> Edge:
    return Edge(connections=lambda id: Connection(id=id, conn_type="aws", extra={"storage_options": {}}))


@pytest.fixture
def store() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.pipe({"/docs/a.txt": b"\xef\xbb\xbfone", "/docs/deep/b.txt": "zwei ß".encode(), "/docs/c.pdf": b"%PDF"})
    yield files
    files.rm("/docs", recursive=True)


@pytest.mark.parametrize("connection", [None, "store"])
def test_text_objects_below_a_prefix_are_documents(store: Any, connection: str | None) -> None:
    documents = PrefixCorpus(prefix="memory://docs/", connection=connection).build(edge())
    assert dict(documents.each()) == {"a": "one", "deep/b": "zwei ß"}
    assert documents.texts(["deep/b", "none"]) == {"deep/b": "zwei ß"}


def test_what_a_prefix_may_not_be(store: Any) -> None:
    store.pipe("/docs/bad.txt", b"\xff")
    with pytest.raises(GoldError, match="corpus memory://docs/: .*bad.txt: not UTF-8 at byte 0"):
        dict(PrefixCorpus(prefix="memory://docs/").build(edge()).each())
    with pytest.raises(GoldError, match="holds no object that ends in '.md'"):
        dict(PrefixCorpus(prefix="memory://docs/", suffix=".md").build(edge()).each())
    for prefix in ("file:///etc/", "local:///etc/", "simplecache::memory://docs/", "zip://x::file:///etc/a.zip"):
        with pytest.raises((BadInput, ValueError), match=r"is no object store|should match pattern"):
            dict(PrefixCorpus(prefix=prefix).build(edge()).each())
    with pytest.raises(BadInput, match="needs a package that is not installed|cannot be opened"):
        dict(PrefixCorpus(prefix="nosuch://bucket/docs/").build(edge()).each())


def test_a_file_of_records_by_paths(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"meta": {"id": n}, "body": f"text {n}"}) + "\n" for n in (7, 8)))
    documents = FileCorpus(path=str(path), doc="meta.id", text="body").build(edge())
    assert dict(documents.each()) == {"7": "text 7", "8": "text 8"}
    assert documents.texts(["8"]) == {"8": "text 8"}
    with pytest.raises(GoldError, match="c.jsonl:1: id: found null at `_id || id || doc`; allowed: a text or a number"):
        dict(FileCorpus(path=str(path)).build(edge()).each())


def test_a_document_is_put_together_from_the_pieces_of_an_index() -> None:
    class Row:
        def __init__(self, doc: str, start: int, text: str) -> None:
            self.doc, self.start, self.text = doc, start, text

    rows = [Row("a", 0, "one two"), Row("a", 4, "two three"), Row("a", 20, "end"), Row("b", 2, "x")]
    assert dict(whole_documents(rows, pieces=True)) == {"a": "one two three       end", "b": "  x"}


@pytest.mark.parametrize("start", [None, -1, 10**12, "7"])
def test_a_piece_without_a_place_is_refused(start: object) -> None:
    with pytest.raises(GoldError, match="a row of document 'a' has no `start`"):
        dict(whole_documents([SimpleNamespace(doc="a", text="x", start=start)], pieces=True))


def test_two_rows_are_no_whole_document() -> None:
    rows = [SimpleNamespace(doc="a", text="x", start=0), SimpleNamespace(doc="a", text="y", start=0)]
    with pytest.raises(GoldError, match="document 'a' has several rows"):
        dict(whole_documents(rows, pieces=False))


def test_a_plan_says_its_corpus_in_a_word_or_in_keys() -> None:
    old = Gold.model_validate({"path": "g", "corpus": "docs_db", "table": "source"})
    new = Gold.model_validate({"path": "g", "corpus": {"kind": "table", "connection": "docs_db", "table": "source"}})
    assert old == new and Gold.model_validate(old.model_dump(mode="json")) == old
    assert Gold.model_validate({"path": "g", "format": "ragas"}).format.kind == "ragas"
    assert Gold.model_validate({"path": "g"}).corpus is None
    with pytest.raises(ValueError, match="table"):
        Gold.model_validate({"path": "g", "table": "source"})
