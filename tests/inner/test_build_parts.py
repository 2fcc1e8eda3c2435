"""The pure parts of an index build: comparing revisions, cutting into batches, telling how far it is."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator, Sequence

import numpy as np
import pytest

from switchover.encoders.base import Vectors
from switchover.indexing.ahead import ahead
from switchover.indexing.chunking import CHUNKINGS
from switchover.indexing.documents import Document, Position
from switchover.indexing.merge import differences, marks
from switchover.indexing.progress import Progress
from switchover.indexing.rows import batches, chunk_ids
from switchover.indexing.spec import Build
from switchover.pins import content_digest


class Letters:
    """One dimension: how long a text is."""

    name, revision, dimension = "letters", "1", 1

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.array([[len(text)] for text in texts], dtype=np.float32).reshape(len(texts), 1)

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return [(at, at + 1) for at in range(len(text))]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]


def document(name: str, text: str, revision: int = 1) -> Document:
    return Document(doc=name, text=text, revision=revision)


def test_differences_are_those_of_two_dictionaries() -> None:
    rng = random.Random(7)
    names = ["a", "a:b", "a-b", "B", "é", "z\U0001f600"]
    for _ in range(300):
        source, stored = ({name: rng.randint(1, 2) for name in rng.sample(names, rng.randint(0, 6))} for _ in "ab")
        both = (iter(sorted(side.items())) for side in (source, stored))
        found = {each.doc: (each.source, each.stored) for each in differences(*both)}
        every = source.keys() | stored.keys()
        wanted = {n: (source.get(n), stored.get(n)) for n in every if source.get(n) != stored.get(n)}
        assert found == wanted


def test_marks_are_the_same_only_for_the_same_documents_in_any_order_and_any_parts() -> None:
    listed = [("a", 1), ("b", 1), ("c", 2)]
    assert marks(listed) == marks(reversed(listed)) == marks(listed[:1]) + marks(listed[1:])
    others = [listed[:2], [*listed, ("a", 1)], [("a", 2), *listed[1:]], [("a", 1), ("b", 2), ("c", 1)], [("a1", 1)]]
    assert len({marks(each) for each in (listed, *others)}) == len(others) + 1


def test_a_document_that_is_stored_in_two_revisions_differs() -> None:
    found = differences(iter([("a", 2), ("b", 1)]), iter([("a", 1), ("a", 2), ("b", 1)]))
    assert [each.doc for each in found] == ["a"]


def test_batches_hold_whole_documents_and_every_chunk_once() -> None:
    sources = [document(f"d{n:02d}", "word " * 60 * n, revision=n) for n in range(1, 12)]
    made = list(batches(iter(sources), chunking="fixed-300/1", encoder=Letters(), size=7))
    assert [d for batch in made for d in batch.documents] == sources
    assert all(len(batch.chunks) >= 7 for batch in made[:-1])
    for batch in made:
        assert len(batch.chunks) == len(batch.revisions) == len(batch.vectors)
        for chunk, revision, vector in zip(batch.chunks, batch.revisions, batch.vectors, strict=True):
            source = next(d for d in sources if d.doc == chunk.doc)
            assert chunk.text == source.text[chunk.start : chunk.end]
            assert (chunk.id, revision) == (f"{chunk.doc}:{chunk.start}-{chunk.end}", source.revision)
            assert chunk.tokens == vector[0] == len(chunk.text)
            assert chunk.content_digest == content_digest(chunk.text)


def test_a_document_without_a_chunk_still_moves_the_build_on() -> None:
    (made,) = batches(iter([document("empty", " \n ")]), chunking="fixed-300/1", encoder=Letters(), size=10)
    assert [d.doc for d in made.documents] == ["empty"]
    assert list(made.chunks) == []
    assert made.vectors.shape == (0, 1)


def test_a_document_s_chunks_stand_between_its_two_ids() -> None:
    first, last = chunk_ids("a")
    assert first <= "a:0-1" < last and first <= "a:999-1000" < last
    assert not first <= "ab:0-1" < last and not first <= "a-b:0-1" < last


def test_positions_are_in_the_order_of_the_source() -> None:
    assert Position() < Position(revision=0, doc="") < Position(revision=1, doc="a") < Position(revision=1, doc="b")
    assert document("b", "", revision=1).position < document("a", "", revision=2).position


def test_progress_says_what_is_done_how_fast_and_how_long_it_takes() -> None:
    now, lines = [0.0], list[str]()
    progress = Progress(say=lines.append, what="load", total=400, clock=lambda: now[0])
    now[0] = 2.0
    progress.add(documents=50, chunks=500)
    assert lines == [], "not every batch is worth a line"
    now[0] = 10.0
    progress.add(documents=50, chunks=500)
    assert lines == ["load: 100 of 400 documents (25%), 1,000 chunks, 100 chunks/s, 30 s left"]


def test_what_a_plan_may_not_say_of_a_build() -> None:
    given = {"documents": {"connection": "db"}, "chunking": "fixed-300/1"}
    assert Build.model_validate(given).store()["index"] == {"kind": "exact"}
    with pytest.raises(ValueError, match="'by-page' is not known; allowed: fixed-300/1, sentences-420-overlap-120/1"):
        Build.model_validate({**given, "chunking": "by-page"})
    with pytest.raises(ValueError, match="'INDEX_HASH' cannot be given; allowed: RERANK_CONF"):
        Build.model_validate({**given, "pins": {"INDEX_HASH": "x"}})


def test_batch_and_pins_are_not_part_of_the_recipe() -> None:
    given = {"documents": {"connection": "db"}, "chunking": "fixed-300/1"}
    other = {**given, "batch": 7, "catch_up": 1, "pins": {"GIT_SHA": "x"}}
    assert Build.model_validate(given).recipe() == Build.model_validate(other).recipe()
    assert Build.model_validate(given).recipe() != Build.model_validate({**given, "hnsw": {}}).recipe()


def test_the_recipe_names_the_encoder_as_manifests_do() -> None:
    """Without its kind, so that a build under way, and BUILD_ID, are those of versions that knew no kinds."""
    recipe = Build.model_validate({"documents": {"connection": "db"}, "chunking": "fixed-300/1"}).recipe()
    assert recipe["encoder"] == {"name": "wordllama-l2-supercat", "revision": "256.1", "dimension": 256}


@pytest.mark.parametrize("name", CHUNKINGS)
def test_every_chunking_gives_stripped_pieces_in_order(name: str) -> None:
    text = "One. Two is (longer). 3. Four!\n\n* item\n* item two\n\n" + "x" * 900 + " tail.\n\n   \n"
    spans = CHUNKINGS[name](text)
    assert spans == sorted(spans)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


def test_the_next_item_is_made_while_this_one_is_used_and_none_beyond_it() -> None:
    made: list[int] = []
    third = threading.Event()

    def items() -> Generator[int, None, None]:
        try:
            for number in range(5):
                made.append(number)
                if number == 2:
                    third.set()
                yield number
        finally:
            made.append(-1)

    coming = ahead(items())
    assert [next(coming), next(coming)] == [0, 1]
    assert third.wait(30), "made without being asked for"
    assert made == [0, 1, 2]
    coming.close()  # type: ignore[attr-defined]
    assert made == [0, 1, 2, -1], "closed in good order"
    assert list(ahead(number for number in range(5))) == [0, 1, 2, 3, 4]


def test_an_error_comes_where_its_item_would_have_come() -> None:
    coming = ahead(1 // number for number in (1, 0))
    assert next(coming) == 1
    with pytest.raises(ZeroDivisionError):
        next(coming)
