"""Pins, encoder, connections, probes and the command line."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from switchover.arms.client import ArmClient, Reply
from switchover.arms.probe import is_tool_loop
from switchover.arms.spec import Arm
from switchover.cli.entry import main
from switchover.edge.connection import environment_connections, parse_connection
from switchover.edge.edge import Edge
from switchover.encoders import encoder_from
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import BadInput, ConnectionMissing, Unreachable
from switchover.pins import IndexFacts, Manifest, changed_pins, pairs_digest
from switchover.writers.airflow_dag import AirflowDagSpec, AirflowDagWriter

FACTS = IndexFacts(
    embed_schema="e", tok_ver="t", chunk_schema_ver="c", analyzer_conf="a", metric="cosine",
    store={"kind": "pgvector"}, corpus_revision=1, count=2, pairs=pairs_digest([("b", "2"), ("a", "1")]),
)  # fmt: skip


def test_pairs_digest_by_hand_and_in_any_order() -> None:
    import hashlib

    pairs = [("b", "2"), ("a", "1"), ("ä", "3"), ("B", "4")]
    expected = hashlib.sha256("B\t4\na\t1\nb\t2\nä\t3\n".encode()).hexdigest()
    assert pairs_digest(pairs) == expected
    random.Random(1).shuffle(pairs)
    assert pairs_digest(pairs) == expected
    assert pairs_digest(sorted(pairs), in_order=True) == expected


def test_every_fact_changes_the_index_hash() -> None:
    import dataclasses

    first = FACTS.index_hash()
    for name in ("embed_schema", "tok_ver", "chunk_schema_ver", "analyzer_conf", "metric", "pairs"):
        assert dataclasses.replace(FACTS, **{name: "other"}).index_hash() != first, name
    for name in ("corpus_revision", "count"):
        assert dataclasses.replace(FACTS, **{name: 99}).index_hash() != first, name
    assert dataclasses.replace(FACTS, store={"kind": "other"}).index_hash() != first


def test_a_manifest_survives_its_journey() -> None:
    pins = {"INDEX_HASH": FACTS.index_hash(), "EMBED_SCHEMA": "e"}
    manifest = Manifest(target="v1", pins=pins, facts=FACTS, encoder={"name": "x"}, secrets=("S",))
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_changed_pins_counts_a_missing_one() -> None:
    assert changed_pins({"INDEX_HASH": "1", "GIT_SHA": "a"}, {"INDEX_HASH": "2"}) == ["INDEX_HASH", "GIT_SHA"]


def test_the_encoder_gives_unit_vectors_and_leading_dimensions() -> None:
    whole, small = WordLlamaEncoder(dimension=256), WordLlamaEncoder(dimension=64)
    texts = ["the with statement", "a generator expression", ""]
    vectors = whole.encode(texts)
    assert vectors.shape == (3, 256)
    assert np.linalg.norm(vectors[:2], axis=1) == pytest.approx(1.0, abs=1e-6)
    assert np.linalg.norm(vectors[2]) == 0
    cut = vectors[0, :64] / np.linalg.norm(vectors[0, :64])
    assert small.encode(texts)[0] == pytest.approx(cut, abs=1e-5)
    assert whole.encode([]).shape == (0, 256)


def test_a_rotated_encoder_keeps_its_own_cosines_and_loses_the_others() -> None:
    plain, rotated = WordLlamaEncoder(), WordLlamaEncoder(revision="256.1-rotated")
    texts = ["the with statement", "a context manager"]
    a, b = plain.encode(texts), rotated.encode(texts)
    assert float(a[0] @ a[1]) == pytest.approx(float(b[0] @ b[1]), abs=1e-5)
    assert abs(float(a[0] @ b[0])) < 0.5
    assert plain.revision != rotated.revision


def test_unknown_encoders_are_refused() -> None:
    with pytest.raises(BadInput, match="encoder 'bert' is not known; allowed: wordllama-l2-supercat"):
        encoder_from({"name": "bert"})
    with pytest.raises(BadInput, match="not in 1..256"):
        WordLlamaEncoder(dimension=512)


def test_tokens_are_character_offsets() -> None:
    text = "naïve  café, print(x)"
    for start, end in WordLlamaEncoder().tokens(text):
        assert 0 <= start < end <= len(text)
        assert text[start:end].strip()


@pytest.mark.parametrize(
    "text",
    [
        '{"conn_type": "postgres", "host": "db", "port": 5433, "login": "u", "password": "p@/", "schema": "s"}',
        "postgresql://u:p%40%2F@db:5433/s",
    ],
)
def test_connections_in_both_of_airflow_s_forms(text: str) -> None:
    found = parse_connection("x", text)
    assert (found.conn_type, found.host, found.port, found.login) == ("postgres", "db", 5433, "u")
    assert (found.password, found.schema) == ("p@/", "s")
    assert "p@/" not in repr(found)
    assert found.place == "db:5433/s"


def test_missing_and_wrong_connections_say_what_to_do() -> None:
    edge = Edge(connections=environment_connections({"AIRFLOW_CONN_WEB": "http://h"}))
    with pytest.raises(ConnectionMissing, match="connection 'docs_db': not found; set AIRFLOW_CONN_DOCS_DB"):
        edge.sql("docs_db")
    with pytest.raises(BadInput, match="connection 'web': is of type 'http'; allowed: postgres"):
        edge.sql("web")
    with pytest.raises(ConnectionMissing, match="cannot be read as JSON or URI"):
        parse_connection("x", '{"host": 1}')


@pytest.mark.parametrize(
    ("calls", "loop"),
    [
        ([], False),
        ([("a", "1")] * 2, False),
        ([("a", "1")] * 3, True),
        ([("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")], False),
        ([("a", str(n)) for n in range(5)], True),
    ],
)
def test_a_tool_loop_is_three_same_calls_or_too_deep(calls: list[tuple[str, str]], loop: bool) -> None:
    rows = [{"tool": tool, "arguments_digest": digest} for tool, digest in calls]
    assert is_tool_loop(rows, max_depth=4) is loop


OWN = {"doc": "d", "index_hash": "h"}
ANSWER = {"arm": "v1", "index_hash": "h", "answer": "", "cited": "s", "hits": [OWN], "stages_ms": {}}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, ANSWER, None),
        (500, ANSWER, "HTTP 500"),
        (200, {**ANSWER, "arm": "v2"}, "asked 'v1', answered by 'v2'"),
        (200, {**ANSWER, "hits": [OWN, {**OWN, "index_hash": "other"}]}, "mixed answer: hits from other"),
        (200, {"arm": "v1"}, "answer without 'index_hash'"),
    ],
)
def test_what_counts_as_an_answer(status: int, body: dict[str, Any], error: str | None) -> None:
    async def ask() -> Reply:
        transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
        async with httpx.AsyncClient(transport=transport, base_url="http://arm") as client:
            arm = ArmClient(client=client, name="v1", spec=Arm(connection="c"), timeout_s=1)
            return await arm.ask("q", seed=0, k=5)

    reply = asyncio.run(ask())
    assert (reply.status, reply.error) == (status, error)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, BadInput, "writer 'w': Airflow has no DAG 'd'"),
        (403, BadInput, "refused with 403; the login may not edit this DAG"),
        (502, Unreachable, "answered 502"),
    ],
)
def test_an_airflow_that_refuses(status: int, error: type[Exception], message: str) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json={}))
    client = httpx.Client(transport=transport, base_url="http://airflow")
    spec = AirflowDagSpec(kind="airflow_dag", name="w", connection="airflow", dag_id="d")
    writer = AirflowDagWriter(client=client, spec=spec)
    with pytest.raises(error, match=message):
        writer.freeze(epoch=1)


def test_commands_and_their_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
    assert main(["plan", "check", str(good)]) == 0
    assert "ok: service docs" in capsys.readouterr().out
    assert main(["plan", "check", "--json", str(good)]) == 0
    assert json.loads(capsys.readouterr().out)[str(good)]["service"] == "docs"
    bad = tmp_path / "bad.yaml"
    bad.write_text("service: 1\n")
    assert main(["plan", "check", str(bad)]) == 2
    assert "bad.yaml:1: service: found 1" in capsys.readouterr().err


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status"], ["report"], ["restore"], ["plan", "check"], ["plan", "schema"], ["ledger", "init"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert "example: switchover" in capsys.readouterr().out, command


def test_a_ledger_out_of_reach_is_one_line_and_exit_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SWITCHOVER_LEDGER", "postgresql://u:secret@127.0.0.1:1/x")
    assert main(["status"]) == 4
    told = capsys.readouterr().err
    assert len(told.strip().splitlines()) == 1
    assert "ledger 127.0.0.1:1/x: did not answer" in told
    assert "secret" not in told
