"""``switchover try`` asks each seam once, says the next step for each fault, and changes nothing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from switchover.cli import main
from tests.steps.conftest import GOLD, World
from tests.steps.test_dry_run import state
from tests.steps.test_foreign_service import ASKING, foreign

__all__ = ["foreign"]
Change = Callable[[Any], object]
Tries = Callable[..., tuple[int, str, str]]


class Refuses(BaseHTTPRequestHandler):
    """A stand-in for a service behind a login: 401 to all, but `/broken` answers 503, `/empty` no hit, `/slow` late."""

    stop = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            self.stop.wait(20)
        if self.path.startswith("/empty"):
            self.answer(200, b'{"matches": [], "summary": "I know nothing of it."}')
            return
        status, said = (503, b"out of memory") if self.path.startswith("/broken") else (401, b"who are you?")
        self.answer(status, said)

    def answer(self, status: int, said: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def refusing() -> Iterator[str]:
    Refuses.stop.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://:s3cret@127.0.0.1:{server.server_port}"
    finally:
        Refuses.stop.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def tries(
    foreign: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Tries]:
    """The command on the foreign service's plan, changed: exit code, what was printed, and the plan's path."""
    for name, value in foreign.environ.items():
        if name not in os.environ:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SWITCHOVER_FILES", str(GOLD.parent))
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", "http://:s3cret@127.0.0.1:9")
    monkeypatch.delenv("AIRFLOW_CONN_SWITCHOVER_LEDGER")  # no ledger is needed
    path = tmp_path / "docs.yaml"

    def tries(*part: str, change: Change = lambda plan: None, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        body = foreign.plan.model_dump(mode="json", exclude_unset=True)
        body["gold"] |= {"path": str(GOLD)}
        change(body)
        path.write_text(yaml.safe_dump(body))
        before = state(foreign)
        code = main(["try", "--plan", str(path), *part, *options])
        assert state(foreign) == before, "nothing is changed"
        said = capsys.readouterr()
        assert "s3cret" not in said.out + said.err
        return code, said.out or said.err, str(path)

    with refusing() as address:
        monkeypatch.setenv("AIRFLOW_CONN_REFUSES", address)
        yield tries


def both(name: str, value: object) -> Change:
    return lambda plan: [arm.update({name: value}) for arm in plan["arms"].values()]


def asked(**answer: object) -> Change:
    return lambda plan: plan.update(asking={**ASKING, "answer": {**ASKING["answer"], **answer}})


def test_a_whole_plan_that_is_good(tries: Tries) -> None:
    code, out, path = tries()
    assert code == 0, out
    for part in ("pointer", "arms", "gold", "index", "encoder", "readers", "signals", "writers"):
        assert f"\n{part}\n" in out
    assert "\ncache\n" not in out and "\nnotify\n" not in out, "only the parts that the plan has"
    for line in (
        "ok      arm 'docs_v2': is not asked what it is",
        "ok      question to Green: 5 hits in ",
        "found: hit.id, hit.text, text, cited\n",
        "worked out: hit.doc, hit.start, hit.end\n",
        "not mapped: hit.score, hit.section, hit.url, hit.index_hash, arm, index_hash, tool_calls, cache, stages_ms",
        "off by the plan: tool_loops: the service calls no tools",
        "characters  -\n",
        "ok      gold set: 48 valid, 0 invalid",
        "ok      what both indexes hold: ",
        "ok      signals answer: fresh data",
        "ok      writer 'ingest process': found ",
        f"next: `switchover eval --plan {path}`",
    ):
        assert line in out, line
    assert "FAILED" not in out


def test_json_says_the_same_and_a_part_is_asked_alone(tries: Tries) -> None:
    code, out, _ = tries("arms", options=("--json",))
    told = json.loads(out)
    assert (code, told["blue"], told["green"], {read["part"] for read in told["reads"]}) == (
        0,
        "docs_v1",
        "docs_v2",
        {"arms"},
    )
    answer = next(read["answer"] for read in told["reads"] if read["name"] == "question to Green")
    assert answer["found"] == ["hit.id", "hit.text", "text", "cited"] and len(answer["hits"]) == 5
    code, out, path = tries("cache")
    assert code == 2 and f"{path}: has no cache; allowed: pointer, arms, gold" in out


@pytest.mark.parametrize(
    ("part", "change", "code", "told"),
    [
        (
            "arms",
            both("connection", "nowhere"),
            4,
            ["ConnectError", "next: does the service behind connection nowhere run? AIRFLOW_CONN_NOWHERE says where"],
        ),
        (
            "arms",
            both("connection", "refuses"),
            4,
            ["HTTP 401: who are you?", "next: put the service's login, token or header into connection refuses"],
        ),
        (
            "arms",
            lambda plan: (both("connection", "refuses")(plan), both("ask", "/broken")(plan)),
            4,
            ["HTTP 503: out of memory", "next: does the service behind connection refuses run?"],
        ),
        (
            "arms",
            lambda plan: (both("connection", "refuses")(plan), both("ask", "/empty")(plan)),
            4,
            ["question to Blue: 0 hits in ", "next: is the index of docs_v1 filled? switchover try --plan "],
        ),
        (
            "arms",
            lambda plan: (both("connection", "docs_service")(plan), both("ask", "/nothing/here")(plan)),
            2,
            ["HTTP 404", "asking.request: method, path or body is not what the service takes"],
        ),
        (
            "arms",
            lambda plan: (
                both("connection", "docs_service")(plan),
                plan.update(asking={"report": {"path": "/no/such"}}),
                [arm.update(headers={"X-Switchover-Arm": name}) for name, arm in plan["arms"].items()],
            ),
            4,
            ["answered 404", "arms.docs_v1: say under `asking.report` where the arm says what it is"],
        ),
        (
            "arms",
            lambda plan: plan.update(secrets=["TOKEN"]),
            4,
            ["FAILED  Green secrets: absent: TOKEN", "secrets: give the arm what is absent"],
        ),
        (
            "arms",
            asked(hit={"doc": "ref", "text": "passage"}),
            2,
            ["is of a document that the gold set names", "asking.answer.hit: let `doc` name documents as the gold set"],
        ),
        (
            "arms",
            both("connection", "no_such"),
            2,
            ["docs.yaml:", "arms.docs_v1: set AIRFLOW_CONN_NO_SUCH, or name a connection that is there"],
        ),
        (
            "arms",
            asked(hits="matchs"),
            2,
            [
                "FAILED  arm 'docs_v2': answer.hit.id: ref; ",
                "answer.hits: matchs: found nothing in 3 trial answers",
                "4 of 9 reads failed; next: ",
                "asking.answer.hits: name what the answer has: `answer: {hits: matches, hit: {text: passage}}` fits it;"
                " a hit has ref, passage",
            ],
        ),
        (
            "arms",
            asked(hit={"id": "ref", "text": "pasage"}),
            2,
            [
                "asking.answer.hit.text: name what the answer has: ",
                "a hit has ref, passage",
                "worked out: hit.doc, hit.text, ",
            ],
        ),
        (
            "arms",
            lambda plan: plan["rules"].update(off={}),
            2,
            [
                "INCONCLUSIVE: tool_loops (needs the tool calls)",
                "rules.off: turn off, with its reason, what the service cannot feed; or map it",
            ],
        ),
        (
            "signals",
            lambda plan: plan["signals"].update(table="no_such_table"),
            4,
            ["FAILED  signals answer: ", "no_such_table", "signals: must give fresh figures"],
        ),
        (
            "index",
            lambda plan: plan["index"].update(connection="no_such"),
            2,
            ["index: set AIRFLOW_CONN_NO_SUCH, or name a connection that is there", "2 of 2 reads failed"],
        ),
        (
            "gold",
            lambda plan: plan["gold"].update(minimum=49),
            2,
            ["48 valid questions, at least 49 are needed", f"next: switchover gold check {GOLD} --plan "],
        ),
    ],
    ids=[
        "down",
        "401",
        "503",
        "no hit",
        "404",
        "no report",
        "no secret",
        "other documents",
        "no connection",
        "wrong JMESPath",
        "wrong field",
        "no tool calls",
        "no figures",
        "no index",
        "too few",
    ],
)
def test_a_fault_is_shown_with_the_next_step(
    tries: Tries, part: str, change: Change, code: int, told: list[str]
) -> None:
    got, out, _ = tries(part, change=change)
    assert all(line in out for line in told), out
    assert got == code


def test_a_service_that_does_not_answer_is_waited_for_in_bounds(tries: Tries) -> None:
    def slow(plan: Any) -> None:
        both("connection", "refuses")(plan)
        both("ask", "/slow")(plan)
        plan["probes"] = {"timeout_s": 0.2}

    began = time.monotonic()
    code, out, _ = tries("arms", change=slow)
    assert "ReadTimeout" in out and "does the service behind connection refuses run?" in out
    assert (code, time.monotonic() - began < 10) == (4, True)


def test_cache_readers_and_channels_of_our_own_shape(
    tries: Tries, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "http", "host": "chat", "password": "s3cret"}))
    own = world.plan.model_dump(mode="json", exclude_unset=True)

    def ours(plan: Any) -> None:
        plan |= {name: own[name] for name in ("arms", "readers", "secrets")} | {"cache": {}, "asking": None}
        plan["notify"] = [{"kind": "slack", "connection": name} for name in ("chat", "no_chat")]

    code, out, _ = tries(change=ours)
    for line in (
        "ok      arm 'docs_v1': says what it is, encoder wordllama",
        "ok      readers: ",
        "ok      questions to prime: ",
        "ok      arm 'docs_v2': cache answers: answers say `cache`",
        "ok      cache namespaces: ",
        "ok      channel slack over 'chat': its connection is there; nothing was sent",
        "FAILED  channel slack over 'no_chat': ",
        "notify: set AIRFLOW_CONN_NO_CHAT, or name a connection that is there",
    ):
        assert line in out, out
    assert (code, out.count("FAILED")) == (2, 1)


def test_a_reader_that_does_not_follow_and_a_pointer_on_nobody(tries: Tries, foreign: World) -> None:
    reader = {"name": "api", "connection": "nowhere"}
    code, out, _ = tries("readers", change=lambda plan: plan.update(readers=[reader]))
    assert "FAILED  readers: " in out and "next: does the server behind connection nowhere run" in out, out
    assert code == 4
    code, out, _ = tries("readers", change=lambda plan: plan.update(readers=[{**reader, "connection": "docs_service"}]))
    assert (code, "ok      readers: api: on 'docs_v1' with INDEX_HASH " in out) == (0, True), out
    wrong = {**reader, "connection": "docs_service", "arm": "live.arm"}
    code, out, _ = tries("readers", change=lambda plan: plan.update(readers=[wrong]))
    assert (code, "readers: say by `path`, `arm` and `index_hash` where it says what" in out) == (2, True), out
    foreign.sql("UPDATE switchover_alias SET target = 'docs_v9' WHERE alias = 'docs'")
    code, out, _ = tries("pointer")
    assert "the pointer is on 'docs_v9', none of the plan's arms (docs_v1, docs_v2)" in out
    assert "arms: name the arm that is live, or point it at one of these (docs/pointers.md)" in out
    assert code == 4


def test_an_empty_index_names_the_command_that_fills_it(tries: Tries, foreign: World) -> None:
    foreign.sql("DELETE FROM docs_v2")
    code, out, path = tries("index")
    assert "FAILED  Green index docs_v2: empty; expected: filled" in out
    assert "ok      Blue index docs_v1: filled" in out, "the rest is asked all the same"
    assert f"next: switchover build --plan {path} --arm docs_v2\n" in out, out
    assert code == 4


def test_stale_figures_are_no_answer(tries: Tries, foreign: World) -> None:
    foreign.sql("DROP TABLE IF EXISTS stale_log")
    foreign.sql("CREATE TABLE stale_log AS SELECT * FROM request_log")
    foreign.sql("UPDATE stale_log SET at = at - interval '1 hour'")
    code, out, _ = tries("signals", change=lambda plan: plan["signals"].update(table="stale_log"))
    assert "FAILED  signals: " in out and " s old" in out, out
    assert "signals: must give fresh figures of the arm that serves users now (docs/signals.md)" in out
    assert code == 4


def test_gold_that_does_not_resolve_does_not_hide_the_arms(
    tries: Tries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved.jsonl"
    rows = [json.loads(line) for line in GOLD.read_text().splitlines()]
    for row in rows[:30]:
        for answer in row.get("answers", []):
            answer["quote"] = "This sentence stands in no document."
            answer.pop("start", None)
            answer.pop("end", None)
    moved.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("SWITCHOVER_FILES", str(tmp_path))

    code, out, path = tries(change=lambda plan: plan["gold"].update(path=str(moved)))
    assert "FAILED  gold set: " in out and "does not stand in" in out, out
    assert f"next: switchover gold check {moved} --plan {path}" in out
    assert "ok      arm 'docs_v1': asked 'Is any code generated for an assert statement" in out
    assert "ok      question to Green: 5 hits" in out
    assert code == 2


@pytest.mark.parametrize("connection", ["no_such", "no_db"])
def test_nothing_that_is_gone_hides_the_rest(tries: Tries, monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    gone = {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x", "schema": "x", "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_NO_DB", json.dumps(gone))

    def nowhere(plan: Any) -> None:
        for part in ("pointer", "index", "signals"):
            plan[part]["connection"] = connection
        plan["writers"][0]["connection"] = connection
        plan["gold"]["corpus"] = connection

    code, out, _ = tries(change=nowhere)
    assert code == (2 if connection == "no_such" else 4), out
    for part in ("pointer", "arms", "gold", "index", "encoder", "readers", "signals", "writers"):
        told = out.partition(f"\n{part}\n")[2].partition("\n\n")[0]
        assert ("FAILED" in told) == (part not in ("arms", "encoder")), told
        fits = f"set AIRFLOW_CONN_{connection.upper()}" if connection == "no_such" else f"connection {connection} run"
        assert "FAILED" not in told or fits in told, told
    assert "ok      question to Green: 5 hits" in out and "ok      judge encoder: " in out
