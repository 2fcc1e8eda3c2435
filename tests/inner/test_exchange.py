"""Gold sets to BEIR and TREC and back; whatever is wrong is named with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from switchover.cli.entry import main
from switchover.errors import BadInput, GoldError
from switchover.gold.bring import Brought, bring
from switchover.gold.corpus.file import FileDocuments
from switchover.gold.exchange import read_judgments, read_paraphrases, read_queries
from switchover.gold.export import export_gold, spaced_id, write_gold
from switchover.gold.formats.beir import BeirFormat
from switchover.gold.goldset import check_gold, read_items
from switchover.gold.jsonl import read_lines

ROOT = Path(__file__).parents[2]
GOLD = ROOT / "include" / "gold" / "python_reference.jsonl"
TEXTS = {"lambda": "A lambda yields a function object.", "break": "It ends the loop.", "my doc": "Größe"}


def write(path: Path, *lines: Any) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def gold_item(id: str, *docs: str, **changes: Any) -> dict[str, Any]:
    answers = [{"doc": doc, "start": 0, "end": len(TEXTS[doc])} for doc in docs]
    body = {"id": id, "question": f"What is {id}?", "paraphrases": ["a", "b", "c"], "answers": answers}
    return {**body, "decoys": [], "answerable": bool(docs), "tags": {}, **changes}


def corpus_file(folder: Path) -> Path:
    return write(folder / "corpus.jsonl", *({"_id": doc, "title": "T", "text": text} for doc, text in TEXTS.items()))


def imported(
    queries: Path, qrels: Path, *, corpus: Path | None = None, paraphrases: Path | None = None, relevant_from: int = 1
) -> Brought:
    documents = FileDocuments(corpus, doc="_id", text="text") if corpus else None
    format = BeirFormat(qrels=str(qrels), relevant_from=relevant_from)
    return bring(queries, format=format, documents=documents, paraphrases=paraphrases)


# In and out


def test_out_and_in_again_is_the_same_set_by_document(tmp_path: Path) -> None:
    items = [
        gold_item("q1", "lambda", "break", tags={"language": "de"}, origin="logs"),
        gold_item("q2", "my doc", decoys=["lambda"]),
        gold_item("q3", decoys=["break"]),  # no answer, so no judgment: a tool would count it as never found
    ]
    gold = write(tmp_path / "gold.jsonl", *items)
    out = tmp_path / "beir"
    files = export_gold(check_gold(gold), gold, out, corpus=TEXTS.items())
    assert files == ["corpus.jsonl", "qrels/test.tsv", "queries.jsonl"], "'my doc' cannot stand in a TREC file"
    assert (out / "qrels" / "test.tsv").read_text() == (
        "query-id\tcorpus-id\tscore\nq1\tlambda\t1\nq1\tbreak\t1\nq2\tmy doc\t1\nq2\tlambda\t0\n"
    )
    found = imported(out / "queries.jsonl", Path("qrels/test.tsv"), corpus=out / "corpus.jsonl")
    write_gold(found.items, tmp_path / "again.jsonl")
    again, before = read_items(tmp_path / "again.jsonl")[0], read_items(gold)[0]
    assert [i.model_dump(exclude={"answers"}) for i in again] == [i.model_dump(exclude={"answers"}) for i in before]
    assert [[(a.id, a.grade) for a in i.answers] for i in again] == [
        [("lambda", 1), ("break", 1)],
        [("my doc", 1)],
        [],
    ]
    assert found.grade.value == "id"
    write_gold(again, tmp_path / "third.jsonl")
    assert read_items(tmp_path / "third.jsonl")[0] == again


def test_graded_judgments_keep_their_grades(tmp_path: Path) -> None:
    gold = write(
        tmp_path / "gold.jsonl",
        gold_item("q1", answers=[{"id": "lambda", "grade": 2}, {"id": "break"}], answerable=True),
    )
    out = tmp_path / "beir"
    export_gold(check_gold(gold), gold, out)
    assert (out / "qrels" / "test.trec").read_text() == "q1 0 lambda 2\nq1 0 break 1\n"
    (item,) = imported(out / "queries.jsonl", out / "qrels" / "test.trec", corpus=corpus_file(tmp_path)).items
    assert [(a.id, a.grade) for a in item.answers] == [("lambda", 2), ("break", 1)]


def test_a_reference_text_is_no_judgment(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.jsonl", gold_item("q1", answers=[{"text": "it yields"}], answerable=True))
    with pytest.raises(GoldError, match="q1: its answer is a reference text, which names no document; nothing was"):
        export_gold(check_gold(gold), gold, tmp_path / "beir")
    assert not (tmp_path / "beir").exists()


def test_the_sandbox_gold_set_survives_but_for_its_quotes(tmp_path: Path) -> None:
    before = check_gold(GOLD)
    export_gold(before, GOLD, tmp_path / "beir")
    folder = tmp_path / "beir"
    found = imported(folder / "queries.jsonl", folder / "qrels" / "test.trec")
    assert len(found.items) == 48
    for (_, item), again in zip(before.items, found.items, strict=True):
        assert again.model_dump(exclude={"answers"}) == item.model_dump(exclude={"answers"})
        assert [a.id for a in again.answers] == list(dict.fromkeys(a.doc for a in item.answers))


def test_trec_topics_and_qrels_with_paraphrases_from_a_file(tmp_path: Path) -> None:
    queries = write(tmp_path / "topics.tsv", "301\twhat yields lambda", "302\tloops", "303\tnobody judged", "304\tbad")
    qrels = write(
        tmp_path / "qrels.txt", "301 0 lambda 2", "301 Q0 break 0", "302 0 break 1", "304 0 break -2", "9 0 x 1"
    )
    paraphrases = write(
        tmp_path / "p.jsonl",
        {"_id": "301", "paraphrases": ["a", "b", "c"]},
        {"id": 302, "paraphrases": ["d", "e", "f"], "question": "a gold set will do"},
    )
    corpus = corpus_file(tmp_path)
    found = imported(queries, qrels, corpus=corpus, paraphrases=paraphrases)
    assert [(i.id, i.paraphrases, [a.id for a in i.answers], i.decoys) for i in found.items] == [
        ("301", ["a", "b", "c"], ["lambda"], ["break"]),
        ("302", ["d", "e", "f"], ["break"], []),
    ]
    assert BeirFormat(qrels=str(qrels)).left_out(queries) == {
        "queries without a judgment": 1,
        "queries without a relevant document": 1,
        "judgments of other queries": 1,
    }
    strict = imported(queries, qrels, corpus=corpus, paraphrases=paraphrases, relevant_from=2)
    assert [item.id for item in strict.items] == ["301"]


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_mark_and_either_line_end_are_read(tmp_path: Path, before: bytes, end: bytes) -> None:
    def raw(name: str, *lines: str) -> Path:
        (tmp_path / name).write_bytes(before + end.join(line.encode() for line in lines))
        return tmp_path / name

    # U+2028 ends a line for some readers; in JSON it is a character like others.
    gold = raw("g.jsonl", json.dumps(gold_item("q1", "lambda", question="a\u2028b"), ensure_ascii=False), "")
    assert [item.question for item in read_items(gold)[0]] == ["a\u2028b"]
    assert [(q.id, q.text) for q in read_queries(raw("t.tsv", "1\tone", "", "2\ttwo"))] == [("1", "one"), ("2", "two")]
    assert list(read_judgments(raw("q.tsv", "query-id\tcorpus-id\tscore", "1\tmy doc\t1"))["1"]) == ["my doc"]
    assert list(read_judgments(raw("q.trec", "1 0 d 1"))["1"]) == ["d"]


# What is wrong


HEAD = "query-id\tcorpus-id\tscore"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1\td\t1"], "q:1: three columns and no header; allowed: 'query-id\\tcorpus-id\\tscore' as the first line"),
        (["1 d 1"], "q:1: three columns and no header"),
        (["1\tmy doc\t1"], "q:1: three columns and no header"),
        (["1 0 d"], "q:1: three columns and no header"),
        (["1 0 d 1", "1 0 my doc 1"], "q:2: 5 columns; allowed: query, iteration, document, relevance"),
        ([HEAD, "1\td"], "q:2: 2 columns; allowed: query, document, score with tabs between"),
        ([HEAD, "1 d 1"], "q:2: 1 columns"),
        ([HEAD, "\t\t1"], "q:2: an id is empty; allowed: a query and a document"),
        ([HEAD, "1\td\t1_0"], "q:2: score: found a text of 3 characters; allowed: a whole number"),
        ([HEAD, "1\td\t0.5"], "q:2: score: found a text of 3 characters; allowed: a whole number"),
        ([HEAD, "1\td\t1", "", "1\td\t0"], "q:4: document 'd' is judged twice for query '1'; first on line 2"),
    ],
)
def test_bad_qrels(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(GoldError) as raised:
        read_judgments(write(tmp_path / "q", *lines))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1\tone", "1\ttwo"], "q:2: query '1' is given twice; first on line 1"),
        (["1 one"], "q:1: not a query; allowed: JSON with _id and text, or id<TAB>text"),
        (["1\ta\tb"], "q:1: not a query"),
        (['{"_id": "1", "text": "x"}', "2\ttwo"], "q:2: not JSON"),
        (["", '{"text": "x"}'], "q:2: _id: found null; allowed: a text"),
        (['{"_id": true, "text": "x"}'], "q:1: _id: found true or false"),
        (['{"_id": "1"}'], "q:1: text: found null"),
        (["[1]\tx", "[2]"], "q:2: not a query"),
    ],
)
def test_bad_queries(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(GoldError) as raised:
        list(read_queries(write(tmp_path / "q", *lines)))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "texts", [None, "abc", [], ["a", "b", "c", "d"], ["a", "b", "b"], ["a", "b", " "], ["a", "b", 3]]
)
def test_bad_paraphrases(tmp_path: Path, texts: Any) -> None:
    path = write(tmp_path / "p", {"_id": "1", "paraphrases": ["a", "b", "c"]}, {"_id": "2", "paraphrases": texts})
    with pytest.raises(GoldError, match="p:2: paraphrases: found .*; allowed: one to three texts that differ"):
        read_paraphrases(path)
    twice = write(tmp_path / "twice", *[{"_id": "1", "paraphrases": ["a", "b", "c"]}] * 2)
    with pytest.raises(GoldError, match="twice:2: '1' is given twice"):
        read_paraphrases(twice)


def test_drafts_of_a_model_are_no_paraphrases_before_a_person_has_read_them(tmp_path: Path) -> None:
    path = write(tmp_path / "p", {"_id": "1", "paraphrases": ["a"], "origin": "generated"})
    with pytest.raises(GoldError, match="p:1: origin 'generated': nobody has reviewed .* to 'generated and reviewed'"):
        read_paraphrases(path)
    write(path, {"_id": "1", "paraphrases": ["a"], "origin": "generated and reviewed"})
    assert read_paraphrases(path) == {"1": {"paraphrases": ["a"], "origin": "generated and reviewed"}}


def test_what_an_import_needs_and_does_not_find(tmp_path: Path) -> None:
    queries = write(tmp_path / "queries", "1\tone", "2\ttwo", "3\tthree")
    qrels = write(tmp_path / "qrels", "1 0 lambda 1", "2 0 break 1", "3 0 gone 1")
    with pytest.raises(GoldError, match="queries: 3: document 'gone' is judged relevant, but is not in the corpus"):
        imported(queries, qrels, corpus=corpus_file(tmp_path))
    with pytest.raises(GoldError, match="queries: no items"):
        imported(queries, qrels, relevant_from=2)
    twice = write(tmp_path / "corpus2.jsonl", *[{"_id": "lambda", "text": "x"}] * 2)
    with pytest.raises(GoldError, match="corpus2.jsonl: document 'lambda' is given twice"):
        imported(queries, qrels, corpus=twice)


def test_an_answer_where_none_is_said_to_be_is_refused(tmp_path: Path) -> None:
    ours = {"switchover": {"paraphrases": ["a", "b", "c"], "answerable": False}}
    queries = write(tmp_path / "queries", {"_id": "1", "text": "one", "metadata": ours})
    qrels = write(tmp_path / "qrels", "1 0 lambda 1")
    with pytest.raises(GoldError, match="queries:1: answerable is false, yet .*qrels:1 judges"):
        imported(queries, qrels, corpus=corpus_file(tmp_path))


def test_metadata_of_others_is_none_of_ours(tmp_path: Path) -> None:
    theirs = {"tags": ["python", "loops"], "answerable": False}
    queries = write(tmp_path / "queries", {"_id": "1", "text": "one", "metadata": theirs})
    qrels = write(tmp_path / "qrels", "1 0 lambda 1")
    paraphrases = write(tmp_path / "p", {"_id": "1", "paraphrases": ["a", "b", "c"]})
    found = imported(queries, qrels, corpus=corpus_file(tmp_path), paraphrases=paraphrases)
    assert (found.items[0].tags, found.items[0].answerable) == ({}, True)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"id": 1}\n{"id": "\xe9"}\n', "f:2: not UTF-8 at byte 8 of the line; allowed: UTF-8"),
        ('{"id": "ä"}'.encode("utf-16"), "f:1: not UTF-8 but UTF-16 by its first bytes; allowed: UTF-8"),
    ],
)
def test_other_encodings_are_named_with_their_line(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "f").write_bytes(raw)
    with pytest.raises(GoldError) as raised:
        list(read_lines(tmp_path / "f"))
    assert message in str(raised.value)


def test_check_says_everything_and_not_only_the_first(tmp_path: Path) -> None:
    path = write(
        tmp_path / "g",
        gold_item("q1", "lambda"),
        "{",
        gold_item("q1", "lambda"),
        gold_item("q2", "lambda", paraphrases=["a", "b", "c", "d"]),
        gold_item("q3", answers=[{"doc": "lambda", "start": 0, "end": 999}], answerable=True),
        gold_item("q4", answers=[{"doc": "lambda", "quote": "nowhere"}], answerable=True),
        "[]",
    )
    problems = check_gold(path, corpus=lambda docs: TEXTS, minimum=2).problems
    told = [problem.removeprefix(f"{path}:") for problem in problems]
    assert told[0].startswith("2: not JSON")
    assert told[1:] == [
        "3: id 'q1' is given twice; first on line 1",
        "4: paraphrases: List should have at most 3 items after validation, not 4; found a list of 4",
        "5: q3: answer 1: span 0..999 is out of range: 'lambda' has 34 characters",
        "6: q4: answer 1: quote of 7 characters does not stand in 'lambda'",
        "7: not a JSON object; found a list of 0",
        " 1 valid questions; allowed: at least 2",
    ]
    with pytest.raises(GoldError, match=r"g:2: not JSON.* \(and 3 more: `switchover gold check`\)"):
        read_items(path)


def test_nothing_is_written_over_and_nothing_is_left_half(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.jsonl", gold_item("q1", "lambda"))
    items = read_items(gold)[0]
    with pytest.raises(BadInput, match="gold.jsonl: is there already; nothing was written; name a new file"):
        write_gold(items, gold)
    with pytest.raises(BadInput, match="cannot be written: No such file or directory; nothing was written"):
        write_gold(items, tmp_path / "none" / "gold.jsonl")
    with pytest.raises(BadInput, match="is there already; nothing was written; name a new folder"):
        export_gold(check_gold(gold), gold, tmp_path)
    odd = write(tmp_path / "odd.jsonl", gold_item("q1", "lambda"), gold_item('q"2', "lambda"))
    with pytest.raises(GoldError, match="odd.jsonl:2: id .* holds a tab"):
        export_gold(check_gold(odd), odd, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gold.jsonl", "odd.jsonl"]


def test_an_id_with_white_space_is_found(tmp_path: Path) -> None:
    gold = write(tmp_path / "g", gold_item("q1", "lambda", decoys=["my doc"]))
    assert spaced_id(check_gold(gold)) == "my doc"
    assert spaced_id(check_gold(GOLD)) is None


# The commands


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_gold_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "gold", "check", GOLD)
    assert (code, "48 questions; quotes not resolved without --plan" in out) == (0, True)
    bad = write(tmp_path / "bad.jsonl", "{", "{")
    code, out, _ = call(capsys, "gold", "check", bad)
    assert (code, [line.split(": ")[0] for line in out.splitlines()]) == (2, [f"{bad}:1", f"{bad}:2"])
    code, out, _ = call(capsys, "gold", "check", bad, "--json")
    assert (code, len(json.loads(out)["problems"])) == (2, 2)


def test_gold_export_and_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write(tmp_path / "gold.jsonl", gold_item("q1", "lambda"), gold_item("q2", "my doc"))
    out = tmp_path / "beir"
    code, text, _ = call(capsys, "gold", "export", gold, "--out", out)
    assert code == 0
    assert "2 questions: qrels/test.tsv, queries.jsonl" in text
    assert "qrels/test.trec: not written: id 'my doc' holds white space" in text
    arguments = (out / "queries.jsonl", "--from", "beir", "--out", tmp_path / "again")
    code, text, _ = call(capsys, "gold", "import", *arguments, "--corpus", corpus_file(tmp_path))
    assert code == 0
    assert "2 questions, coverage by id" in text
    assert [[a.id for a in item.answers] for item in read_items(tmp_path / "again")[0]] == [["lambda"], ["my doc"]]
    code, _, error = call(capsys, "gold", "import", *arguments, "--corpus", corpus_file(tmp_path))
    assert (code, "nothing was written" in error) == (2, True)
    code, _, error = call(capsys, "gold", "export", corpus_file(tmp_path), "--out", tmp_path / "none")
    assert code == 2
    assert "corpus.jsonl:1: " in error and "nothing was written" in error


def test_gold_import_says_what_is_wrong_with_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for settings, message in (
        (["--set", "question"], "--set question: allowed: KEY=VALUE"),
        (["--set", "question=a[", "--set", "texts=b"], "--from mapped: question: found 'a[', which is no JMESPath"),
        (["--set", "question=a"], "--from mapped: format: give the path of question, and of texts or ids; give --set"),
    ):
        code, _, error = call(capsys, "gold", "import", "f.jsonl", "--from", "mapped", *settings, "--out", "o")
        assert (code, message in error) == (2, True), error
