"""The corpus: what is kept, what is joined, and that chunks lose nothing."""

from __future__ import annotations

from collections import Counter
from pydoc_data import topics

import pytest

from sandbox.service import analyzer, corpus
from switchover.indexing import chunking


def test_every_distinct_topic_is_a_document() -> None:
    documents = corpus.documents()
    assert len(documents) == len(set(topics.topics.values()))
    assert [d.doc for d in documents] == sorted(d.doc for d in documents)
    assert all(d.text == d.text.strip() and d.title for d in documents)


def test_a_long_paragraph_stands_in_one_document_only() -> None:
    owners: Counter[str] = Counter()
    for document in corpus.documents():
        owners.update({" ".join(p.split()) for p in document.text.split("\n\n")})
    assert [p for p, count in owners.items() if count > 1 and len(p) >= 40] == []


def test_a_fact_of_two_topics_stands_in_the_shorter_one() -> None:
    texts = {d.doc: d.text for d in corpus.documents()}
    fact = "The for statement" if "The for statement" in texts["for"] else 'The "for" statement is used'
    assert fact in corpus.normalise(topics.topics["compound"])
    assert fact in texts["for"]
    assert fact not in texts["compound"]


@pytest.mark.parametrize(
    ("wrapped", "joined"),
    [
        ("x" * 66 + "\nshort words", "x" * 66 + " short words"),
        ("x" * 20 + "\nshort words", "x" * 20 + "\nshort words"),  # the break was meant
        ("* " + "x" * 66 + "\n  short words", "* " + "x" * 66 + " short words"),
        ("x" * 66 + "\n* another item", "x" * 66 + "\n* another item"),
        ("x" * 66 + "\n   indented", "x" * 66 + "\n   indented"),
        ("“quoted” isn’t…\n*******\nnext", '"quoted" isn\'t...\nnext'),
    ],
)
def test_normalise(wrapped: str, joined: str) -> None:
    assert corpus.normalise(wrapped) == joined


@pytest.mark.parametrize(("schema", "size"), [("fixed-300/1", 300), ("sentences-420-overlap-120/1", 420)])
def test_chunks_hold_every_word_within_their_size(schema: str, size: int) -> None:
    for document in corpus.documents():
        held = [False] * len(document.text)
        spans = chunking.CHUNKINGS[schema](document.text)
        assert len(set(spans)) == len(spans)
        for start, end in spans:
            assert 0 < end - start <= size
            held[start:end] = [True] * (end - start)
        assert not [at for at, c in enumerate(document.text) if c.isalnum() and not held[at]], document.doc


def test_sentence_chunks_carry_a_short_last_sentence_over() -> None:
    sentence = "Word " * 30 + "end. "
    text = sentence * 2 + "A short last sentence of the first chunk here. " + sentence * 2
    first, second, *_ = chunking.sentences_420(text)
    carried = text[second[0] : first[1]]
    assert carried == "A short last sentence of the first chunk here."


def test_terms_keep_keywords_only_where_they_are_meant() -> None:
    assert analyzer.terms("What is done with the files?") == ["done", "file"]
    assert '"with"' in analyzer.terms('the "with" keyword')
    assert '"while"' in analyzer.terms("a while loop")
    assert analyzer.terms("__enter__ classes") == ["__enter__", "class"]


def test_sentences_cover_the_text_without_its_edges() -> None:
    text = "One is here. Two is here.\n\n  Three: a list\n  * item one\n  * item two"
    pieces = [text[start:end] for start, end in chunking.sentences(text)]
    assert pieces == ["One is here.", "Two is here.", "Three: a list", "* item one", "* item two"]
