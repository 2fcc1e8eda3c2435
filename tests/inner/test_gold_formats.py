"""Gold sets of other tools, each in the layout of its own export: what is read, and where its texts are placed."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.service.corpus import documents as python_reference
from switchover.cli.entry import main
from switchover.errors import GoldError
from switchover.gold.bring import bring
from switchover.gold.corpus.file import FileDocuments
from switchover.gold.formats import KINDS, GoldFormat
from switchover.gold.formats.mapped import MappedFormat
from switchover.gold.goldset import check_gold, read_items
from switchover.gold.item import Grade, Item

TOPICS = {document.doc: document.text for document in python_reference()}
Q, A = "Who moves the alias?", "The alias is moved by one request."


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def document(path: Path, body: Any) -> Path:
    path.write_text(yaml.safe_dump(body) if path.suffix == ".yaml" else json.dumps(body))
    return path


def cells(path: Path, *records: dict[str, Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=[*records[0]])
        writer.writeheader()
        writer.writerows(records)
    return path


def parquet(path: Path, *records: dict[str, Any]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(records)), path)
    return path


RAGAS = {
    "user_input": Q,
    "reference_contexts": [f"<1-hop>\n\n{A}"],
    "reference": "one request",
    "synthesizer_name": "x",
}
PAIRS = {"queries": {"u1": Q}, "corpus": {"n1": A, "n2": "other"}, "relevant_docs": {"u1": ["n1"]}, "mode": "text"}
EXAMPLE = {"query": Q, "query_by": {"type": "ai"}, "reference_contexts": [A], "reference_answer": "one", "x": None}
LANGFUSE = {"id": "i1", "datasetId": "d", "status": "ACTIVE", "input": {"question": Q}, "expectedOutput": {"answer": A}}
ARCHIVED = {**LANGFUSE, "id": "i2", "status": "ARCHIVED"}
TOLD = {"id": "i1", "status": "ACTIVE", "input": Q, "expected_output": A, "metadata": {}}
CHAT = {"id": "c1", "inputs": {"messages": [{"role": "user", "content": Q}]}, "outputs": {"answer": A}}
TEST = {"vars": {"query": Q}, "assert": [{"type": "llm-rubric", "value": "is kind"}, {"type": "contains", "value": A}]}
RECALL = {"vars": {"question": Q}, "assert": [*TEST["assert"], {"type": "context-recall", "value": A}]}
Case = tuple[str, Callable[[Path], Path]]
CASES: list[Case] = [
    ("ragas", lambda d: lines(d / "f.jsonl", RAGAS)),
    ("ragas", lambda d: document(d / "f.json", [RAGAS])),
    ("ragas", lambda d: cells(d / "f.csv", {**RAGAS, "reference_contexts": str(RAGAS["reference_contexts"])})),
    ("ragas", lambda d: parquet(d / "f.parquet", RAGAS)),
    ("ragas", lambda d: lines(d / "f.jsonl", {"question": Q, "ground_truth": A, "evolution_type": "simple"})),
    ("llama_index", lambda d: document(d / "f.json", PAIRS)),
    ("llama_index", lambda d: document(d / "f.json", {"examples": [EXAMPLE]})),
    ("langfuse", lambda d: lines(d / "f.jsonl", LANGFUSE, ARCHIVED)),
    ("langfuse", lambda d: document(d / "f.json", {"data": [LANGFUSE, ARCHIVED], "meta": {"page": 1}})),
    ("langfuse", lambda d: cells(d / "f.csv", {**LANGFUSE, "input": json.dumps({"query": Q}), "expectedOutput": A})),
    ("langfuse", lambda d: lines(d / "f.jsonl", TOLD)),
    ("langsmith", lambda d: lines(d / "f.jsonl", CHAT)),
    ("langsmith", lambda d: cells(d / "f.csv", {"id": "1", "input_question": Q, "output_answer": A})),
    ("langsmith", lambda d: lines(d / "f.jsonl", {**CHAT, "outputs": {"documents": [{"page_content": A}]}})),
    ("promptfoo", lambda d: document(d / "f.yaml", {"prompts": ["p"], "providers": [], "tests": [TEST]})),
    ("promptfoo", lambda d: document(d / "f.yaml", [RECALL])),
    ("promptfoo", lambda d: cells(d / "f.csv", {"query": Q, "__expected": f"icontains: {A}"})),
    ("promptfoo", lambda d: cells(d / "f.csv", {"query": Q, "__expected1": "llm-rubric: kind", "__expected2": A})),
]


def items(kind: str, path: Path, **keys: str) -> Sequence[Item]:
    found = check_gold(path, format=KINDS[kind].model_validate({"kind": kind, **keys}))
    assert not found.problems, found.problems
    return [item for _, item in found.items]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{n}-{kind}" for n, (kind, _) in enumerate(CASES)])
def test_a_layout_is_read_as_its_tool_writes_it(number: int, tmp_path: Path) -> None:
    kind, make = CASES[number]
    (item,) = items(kind, make(tmp_path))
    assert (item.question, item.paraphrases) == (Q, [])
    assert {answer.text for answer in item.answers} >= {A} or "llm-rubric: kind" in str(item.answers)
    assert item.id


def test_every_preset_is_tried() -> None:
    assert {kind for kind, _ in CASES} == set(KINDS) - {"own", "beir", "mapped"}


def test_records_of_any_shape_are_mapped_by_paths(tmp_path: Path) -> None:
    record = {
        "n": 7,
        "ask": {"de": Q, "more": ["wer?", "wer denn?"]},
        "rel": {"d1": 2, "d2": 0, "d3": 1},
        "open": False,
    }
    paths = {"records": "rows", "id": "n", "question": "ask.de", "paraphrases": "ask.more", "ids": "rel"}
    (item,) = items("mapped", document(tmp_path / "f.json", {"rows": [record]}), **paths)
    assert (item.id, item.paraphrases) == ("7", ["wer?", "wer denn?"])
    assert [(answer.id, answer.grade) for answer in item.answers] == [("d1", 2), ("d3", 1)]
    nothing = document(tmp_path / "g.json", [{"q": Q, "rel": [], "ok": False}, {"q": "b", "rel": "d1", "ok": True}])
    open_end, _ = items("mapped", nothing, question="q", ids="rel", answerable="ok")
    assert (open_end.answerable, open_end.answers) == (False, [])


def test_an_id_is_made_from_the_question_and_is_the_same_wherever_it_stands(tmp_path: Path) -> None:
    one, two = {"question": Q, "contexts": [A]}, {"question": "b", "contexts": [A]}
    first = items("ragas", lines(tmp_path / "f.jsonl", one, two, one))
    again = items("ragas", lines(tmp_path / "f.jsonl", two, one))
    assert [item.id for item in again] == [first[1].id, first[0].id]
    assert first[2].id == f"{first[0].id}-2"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.jsonl", '{"user": "hunter2"}\n', "question: found null at `user_input || question`; allowed: a text"),
        ("f.jsonl", '{"user_input": "hunter2"}\n', "no answer: nothing at the paths of texts and ids"),
        ("f.jsonl", '"hunter2"\n', "not a JSON object"),
        ("f.json", '["hunter2"]', "record 1: found a text of 7 characters; allowed: an object"),
        ("f.json", "[" * 100_000, "too deep"),
        ("f.csv", "user_input,user_input\nhunter2,b\n", "a column is named twice"),
        ("f.csv", "user_input,reference\nhunter2\n", "record 1: 1 columns; the first line names 2"),
        ("f.csv", 'user_input,reference\n"hunter2" x,y\n', "not CSV"),
        ("f.yaml", "a: &x [1]\nb: *x\n", "holds an alias"),
        ("f.yaml", "a: [hunter2", "not YAML that can be read"),
        ("f.parquet", "hunter2", "not Parquet that can be read"),
        ("f.xlsx", "hunter2", "of which kind is it? Allowed: a name that ends in .jsonl"),
    ],
)
def test_what_cannot_be_read_is_told_without_its_content(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    try:
        told = " ".join(check_gold(tmp_path / name, format=KINDS["ragas"]()).problems)
    except GoldError as error:
        told = str(error)
    assert message in told and "hunter2" not in told


def test_a_path_that_finds_nothing_at_all_is_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "f.jsonl", *[{"a": Q, "b": A}] * 2)
    for keys, message in (
        ({"question": "aa", "texts": "b"}, "no record has a question at `aa`"),
        ({"question": "a", "texts": "bb"}, "no record has an answer at `bb`"),
    ):
        with pytest.raises(GoldError, match=message):
            check_gold(path, format=MappedFormat(**keys))


# One grade a suite


def test_a_suite_has_one_grade_the_best_that_all_answers_allow(tmp_path: Path) -> None:
    def graded(*answers: dict[str, Any]) -> Grade | None:
        records = [{"id": str(n), "question": Q, "answers": [answer]} for n, answer in enumerate(answers)]
        found = check_gold(lines(tmp_path / "g.jsonl", *records))
        if found.problems:
            raise GoldError(found.problems[0])
        return found.grade

    span, text, id = {"doc": "d", "start": 0, "end": 3}, {"text": A}, {"id": "d"}
    assert graded(span, span) is Grade.SPAN
    assert graded(span, text) is Grade.TEXT
    assert graded(span, id) is Grade.ID
    assert graded(id) is Grade.ID
    with pytest.raises(GoldError, match="no one grade: '1' has no reference text, '0' no id"):
        graded(text, id)


# Placing reference texts


def corpus(tmp_path: Path) -> FileDocuments:
    path = tmp_path / "corpus.jsonl"
    if not path.exists():
        lines(path, *({"id": name, "text": text} for name, text in TOPICS.items()))
    return FileDocuments(path, doc="id", text="text")


def passage(rng: random.Random, name: str) -> str:
    words = TOPICS[name].split(" ")
    at = rng.randrange(max(1, len(words) - 80))
    return " ".join(words[at : at + rng.randrange(25, 60)]).strip()


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def worn(rng: random.Random, text: str) -> str:
    """A text as tools keep it: spaces joined, or in lower case, or with words changed, or as it was."""
    kind = rng.randrange(4)
    if kind == 0:
        return text
    text = " ".join(text.split())
    if kind == 1:
        return text
    if kind == 2:
        return text.lower().replace('"', "'")
    words = text.split(" ")
    return " ".join("something" if rng.random() < 0.05 else word for word in words)


LAYOUTS: dict[str, Callable[[Path, Sequence[tuple[str, str]]], Path]] = {
    "ragas": lambda d, pairs: cells(
        d / "ragas.csv", *({"user_input": q, "reference_contexts": str([text]), "reference": "x"} for q, text in pairs)
    ),
    "llama_index": lambda d, pairs: document(
        d / "pairs.json",
        {
            "queries": {f"u{n}": q for n, (q, _) in enumerate(pairs)},
            "corpus": {f"n{n}": text for n, (_, text) in enumerate(pairs)},
            "relevant_docs": {f"u{n}": [f"n{n}"] for n in range(len(pairs))},
        },
    ),
    "langfuse": lambda d, pairs: lines(
        d / "langfuse.jsonl",
        *(
            {**LANGFUSE, "id": f"i{n}", "input": q, "metadata": {"contexts": [text]}}
            for n, (q, text) in enumerate(pairs)
        ),
    ),
    "promptfoo": lambda d, pairs: document(
        d / "promptfoo.yaml",
        {"tests": [{"vars": {"query": q}, "assert": [{"type": "context-recall", "value": t}]} for q, t in pairs]},
    ),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_public_layouts_are_brought_in_and_placed_without_hand_work(kind: str, tmp_path: Path) -> None:
    rng = random.Random(kind)
    names = rng.choices(sorted(name for name in TOPICS if len(TOPICS[name]) > 2_000), k=60)
    passages = [passage(rng, name) for name in names]
    pairs = [(f"question {n}?", worn(rng, text)) for n, text in enumerate(passages)]
    documents = corpus(tmp_path)
    format: GoldFormat = KINDS[kind]()
    found = bring(LAYOUTS[kind](tmp_path, pairs), format=format, documents=documents)
    assert len(found.items) >= 57, dict(found.left_out)  # 95 %
    assert all(why.startswith("its reference text ") for why in found.left_out.values())
    assert set(found.how) == {"exact", "normalised", "overlap"} and found.grade is Grade.SPAN
    right = {question: words(text) for (question, _), text in zip(pairs, passages, strict=True)}
    shares = []
    for item in found.items:
        (answer,) = item.answers
        assert answer.doc is not None
        there = words(TOPICS[answer.doc][answer.start : answer.end])
        shares.append(len(there & right[item.question]) / len(right[item.question]))
    assert min(shares) >= 0.6 and sum(shares) / len(shares) >= 0.98


def test_a_text_that_stands_twice_or_nowhere_is_named_and_left_out(tmp_path: Path) -> None:
    texts = {"a": "One request moves the alias. " + A, "b": A, "c": "There is nothing to see in this one at all."}
    lines(tmp_path / "corpus.jsonl", *({"id": name, "text": text} for name, text in texts.items()))
    pairs = [("twice?", A), ("nowhere?", "What is not there cannot be found by anybody."), ("once?", "nothing to see")]
    path = lines(tmp_path / "f.jsonl", *({"user_input": q, "reference": text} for q, text in pairs))
    found = bring(path, format=KINDS["ragas"](), documents=corpus(tmp_path))
    assert [item.question for item in found.items] == ["once?"]
    assert list(found.left_out.values()) == [
        "its reference text stands in 2 places or more, first in 'a' and 'b'",
        "its reference text stands nowhere in the corpus",
    ]


def test_a_script_without_spaces_is_placed_too(tmp_path: Path) -> None:
    text = "本手册介绍语言的语法。函数是对象。它可以作为参数传递。循环在条件为假时结束。"
    lines(tmp_path / "corpus.jsonl", {"id": "zh", "text": text}, {"id": "en", "text": "nothing"})
    path = lines(tmp_path / "f.jsonl", {"user_input": "函数是什么?", "reference": "函数是对象，它可以作为参数传递"})
    (item,) = bring(path, format=KINDS["ragas"](), documents=corpus(tmp_path)).items
    assert text[item.answers[0].start : item.answers[0].end] == "函数是对象。它可以作为参数传递"


def test_the_command_brings_a_set_in_and_names_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus(tmp_path)
    quote = "The current code generator emits no code for an assert statement when"
    path = lines(
        tmp_path / "f.jsonl",
        {"user_input": "a?", "reference": quote},
        {"user_input": "b?", "reference": "nowhere at all"},
    )
    arguments = ["gold", "import", str(path), "--from", "ragas", "--corpus", str(tmp_path / "corpus.jsonl")]
    assert main([*arguments, "--out", str(tmp_path / "out.jsonl")]) == 0
    out = capsys.readouterr().out
    assert "1 question, coverage by span" in out and "placed: 1 reference text by exact" in out
    assert "its reference text stands nowhere in the corpus" in out and "fewer than 3 paraphrases" in out
    assert read_items(tmp_path / "out.jsonl")[0][0].answers[0].doc == "assert"
