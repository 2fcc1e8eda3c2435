"""``switchover gold paraphrase``: a model drafts, a person reviews. The model's server is a stand-in."""

from __future__ import annotations

import fcntl
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from switchover.cli.entry import main
from switchover.encoders import http
from switchover.errors import GoldError
from switchover.gold.goldset import check_gold
from switchover.gold.item import REVIEWED
from switchover.steps import paraphrase

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
KEY, MODEL = "a-key", "a-model"
WELL = ["Can it {}?", "Is it able to {}?", "Tell me if it can {}."]
Run = Callable[..., tuple[int, str, str]]


class ChatStandIn:
    """A server with OpenAI's ``POST /v1/chat/completions``, after the API reference; it has no model.

    ``replies``: what it says to a question instead of three good paraphrases. ``next``: status, headers and body of
    the next answers, before it answers well.
    """

    def __init__(self) -> None:
        self.replies: dict[str, str] = {}
        self.next: list[tuple[int, dict[str, str], bytes]] = []
        self.bodies: list[dict[str, Any]] = []
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, answer = outer.answer(self.path, body, self.headers.get("Authorization", ""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path: str, body: dict[str, Any], authorization: str) -> tuple[int, dict[str, str], bytes]:
        if authorization != f"Bearer {KEY}":
            return 401, {}, b'{"error": {"message": "Incorrect API key provided"}}'
        assert path == "/v1/chat/completions"
        self.bodies.append(body)
        question = json.loads(body["messages"][-1]["content"].rpartition("\n")[2])
        self.asked.append(question)
        if self.next:
            return self.next.pop(0)
        said = self.replies.get(question, json.dumps([each.format(question[:-1]) for each in WELL]))
        return 200, {}, json.dumps(chat(said)).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def chat(said: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": said}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatStandIn]:
    running = ChatStandIn()
    monkeypatch.setenv("AIRFLOW_CONN_LLM", f"http://:{KEY}@127.0.0.1:{running.port}/http")
    yield running
    running.close()


def item(id: str, question: str, *paraphrases: str) -> dict[str, Any]:
    return {"id": id, "question": question, "paraphrases": list(paraphrases), "answers": [{"text": "It can."}]}


ITEMS = [
    item("whole", "swim?", "a", "b", "c"),
    item("none", "walk?"),
    item("two", "run?", "d", "e"),
    item("größe", "klettern?"),
]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(each) + "\n" for each in ITEMS))
    return plan_of(tmp_path)


def plan_of(folder: Path, **gold: str) -> Path:
    body = yaml.safe_load(PLAN.read_text())
    del body["cache"]
    body["gold"] = {"path": "gold.jsonl", "minimum": 1, **gold}
    (folder / "plan.yaml").write_text(yaml.safe_dump(body))
    return folder / "plan.yaml"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "drafts.jsonl"


@pytest.fixture
def run(server: ChatStandIn, plan: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*more: str) -> tuple[int, str, str]:
        given = ["--plan", str(plan), "--connection", "llm", "--model", MODEL, "--out", str(out)]
        code = main(["gold", "paraphrase", *given, *more])
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    return command


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def review(path: Path) -> None:
    """A person has read it."""
    path.write_text(path.read_text(encoding="utf-8").replace('"origin": "generated"', f'"origin": "{REVIEWED}"'))


# The whole way


def test_what_lacks_paraphrases_is_drafted_and_judges_nothing_before_a_person_has_reviewed_it(
    run: Run, server: ChatStandIn, tmp_path: Path, out: Path
) -> None:
    code, said, err = run()
    assert code == 0 and f"{out}: 3 questions drafted, 0 drafted before\nnext: review each line" in said
    assert "3/3 questions, " in err
    drafts = {each: [text.format(each) for text in WELL] for each in ("walk", "run", "klettern")}
    assert lines(out) == [
        {"_id": "none", "paraphrases": drafts["walk"], "origin": "generated"},
        {"_id": "two", "paraphrases": drafts["run"], "origin": "generated"},
        {"_id": "größe", "paraphrases": drafts["klettern"], "origin": "generated"},
    ]
    assert server.asked == ["walk?", "run?", "klettern?"]
    assert server.bodies[0]["model"] == MODEL and "in the language of the question" in str(server.bodies[0])

    told = rf"^{out}:1: origin 'generated': nobody has reviewed .* change the origin of each to '{REVIEWED}'$"
    with pytest.raises(GoldError, match=told):
        check_gold(tmp_path / "gold.jsonl", paraphrases=out)
    review(out)
    found = check_gold(tmp_path / "gold.jsonl", paraphrases=out)
    assert not found.problems
    assert [(each.id, each.origin) for _, each in found.items] == [
        ("whole", "people"),
        ("none", REVIEWED),
        ("two", REVIEWED),
        ("größe", REVIEWED),
    ]
    assert found.items[2][1].paraphrases == drafts["run"]


def test_the_first_line_that_nobody_has_reviewed_is_named(run: Run, tmp_path: Path, out: Path) -> None:
    run()
    first, *others = out.read_text(encoding="utf-8").splitlines(keepends=True)
    out.write_text(first.replace('"generated"', f'"{REVIEWED}"') + "".join(others), encoding="utf-8")
    with pytest.raises(GoldError, match=f"^{out}:2: origin 'generated'"):
        check_gold(tmp_path / "gold.jsonl", paraphrases=out)


def test_a_gold_set_of_drafts_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps({**ITEMS[0], "origin": "generated"}))
    assert "gold.jsonl:1: origin 'generated': nobody has reviewed" in check_gold(path).problems[0]


def test_a_plan_that_names_the_drafts_is_refused_by_its_commands_and_can_still_be_drafted_for(
    run: Run, server: ChatStandIn, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies["run?"] = "no"
    assert run()[0] == 1
    named = str(plan_of(tmp_path, paraphrases=out.name))
    assert main(["gold", "check", str(tmp_path / "gold.jsonl"), "--plan", named]) == 2
    assert f"{out}:1: origin 'generated': nobody has reviewed" in capsys.readouterr().err
    server.replies.clear()
    code, said, _ = run("--json")
    assert (code, json.loads(said)) == (0, {"file": str(out), "lacking": 3, "earlier": 2, "drafted": 1, "refused": {}})


def test_with_paraphrases_from_a_reviewed_file_nothing_is_left_to_draft(
    run: Run, server: ChatStandIn, tmp_path: Path, out: Path
) -> None:
    run()
    review(out)
    out.rename(tmp_path / "reviewed.jsonl")
    plan_of(tmp_path, paraphrases="reviewed.jsonl")
    assert run()[:2] == (0, "every question has 3 paraphrases: nothing to draft\n")
    assert len(server.asked) == 3 and not out.exists()


# Going on


def test_a_second_run_asks_and_changes_nothing(run: Run, server: ChatStandIn, out: Path) -> None:
    run()
    before = out.read_bytes()
    code, said, _ = run()
    assert code == 0 and "0 questions drafted, 3 drafted before" in said
    assert out.read_bytes() == before and len(server.asked) == 3


@pytest.mark.parametrize("cut", [1, 30, 80])
def test_it_goes_on_behind_a_last_line_that_was_not_written_whole(
    run: Run, server: ChatStandIn, out: Path, cut: int
) -> None:
    run()
    whole = out.read_bytes()
    out.write_bytes(whole[:-cut])
    assert run()[0] == 0
    assert out.read_bytes() == whole
    again = [] if cut == 1 else ["klettern?"]  # without the line's end alone it is whole
    assert server.asked[3:] == again


def test_reviewed_lines_stay_as_they_are_and_a_line_taken_out_is_drafted_anew(
    run: Run, server: ChatStandIn, out: Path
) -> None:
    run()
    review(out)
    kept = out.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    out.write_text("".join(kept), encoding="utf-8")
    assert run()[0] == 0
    assert out.read_text(encoding="utf-8").startswith("".join(kept))
    assert [(each["_id"], each["origin"]) for each in lines(out)][2] == ("none", "generated")


def test_a_server_that_goes_away_ends_it_and_what_was_drafted_stays(
    run: Run, server: ChatStandIn, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PATIENCE_S", 0.0)
    server.next = [(200, {}, json.dumps(chat('["a", "b", "c"]')).encode()), *[(503, {}, b"loading")] * 2]
    code, said, err = run()
    assert code == 4 and not said
    assert "model 'a-model' at 'llm': did not answer: HTTP 503: loading; 1 question drafted in" in err
    assert "the same command goes on" in err
    assert [each["_id"] for each in lines(out)] == ["none"]
    assert run()[0] == 0
    assert [each["_id"] for each in lines(out)] == ["none", "two", "größe"]


# What the server says


def test_a_bad_reply_is_told_of_its_question_and_the_others_go_on(run: Run, server: ChatStandIn, out: Path) -> None:
    server.replies["run?"] = "Here you are: 1. jog"
    code, said, _ = run("--json")
    assert code == 1
    assert json.loads(said) == {
        "file": str(out),
        "lacking": 3,
        "earlier": 0,
        "drafted": 2,
        "refused": {"two": "the reply cannot be read: answer is no JSON; allowed: 3 texts as a JSON list"},
    }
    assert [each["_id"] for each in lines(out)] == ["none", "größe"]
    code, said, _ = run()
    assert code == 1 and "0 questions drafted, 2 drafted before\nrefused: two: the reply cannot be read" in said


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ((400, {}, b'{"error": "context length"}'), "HTTP 400: "),
        ((500, {}, b"out of memory"), "answered HTTP 500: out of memory"),
        ((200, {}, b"<html>"), "/v1/chat/completions: answer is no JSON"),
        ((200, {}, b"[" * 100 + b"]" * 100), "brackets within each other"),
        ((200, {}, b'{"choices": []}'), "the answer has no text at choices[0].message.content"),
    ],
)
def test_a_bad_answer_is_one_question_s_fault(
    run: Run, server: ChatStandIn, out: Path, bad: tuple[int, dict[str, str], bytes], why: str
) -> None:
    server.next = [bad]
    code, said, _ = run("--json")
    assert code == 1 and why in json.loads(said)["refused"]["none"]
    assert [each["_id"] for each in lines(out)] == ["two", "größe"]


def test_an_answer_that_is_too_large_or_too_slow_is_one_question_s_fault(
    run: Run, server: ChatStandIn, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PATIENCE_S", 0.0)
    monkeypatch.setattr(paraphrase, "TIMEOUT_S", 1.0)
    spaces = b" " * 100
    server.next = [
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * (5 << 20))),
        (200, {}, json.dumps(chat('["a", "b", "c"]')).encode()),
        (200, {"Content-Length": "101"}, spaces),  # one byte never comes
    ]
    code, said, _ = run("--json")
    refused = json.loads(said)["refused"]
    assert code == 1 and [*refused] == ["none", "größe"]
    assert "answer is larger than 4 MB" in refused["none"] and "no whole answer within 1 s" in refused["größe"]
    assert [each["_id"] for each in lines(out)] == ["two"]


def test_the_only_question_without_an_answer_ends_it_too(
    run: Run, server: ChatStandIn, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    out.write_text("".join(out.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    monkeypatch.setattr(http, "PATIENCE_S", 0.0)
    server.next = [(503, {}, b"loading")]
    code, _, err = run()
    assert code == 4 and "did not answer: HTTP 503: loading" in err and len(lines(out)) == 2


def test_busy_then_well(run: Run, server: ChatStandIn, out: Path) -> None:
    server.next = [(429, {"Retry-After": "0"}, b"slow down")] * 2
    assert run()[0] == 0
    assert server.asked[:3] == ["walk?"] * 3 and len(lines(out)) == 3


def test_retry_after_is_obeyed_and_one_that_is_too_long_ends_it(
    run: Run, server: ChatStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http.time, "sleep", waits.append)
    server.next = [(429, {"Retry-After": "7"}, b"slow down"), *[(429, {"Retry-After": "3600"}, b"tomorrow")] * 2]
    code, _, err = run()
    assert code == 4 and "HTTP 429: tomorrow" in err
    assert waits == [7.0]


@pytest.mark.parametrize("status", [401, 404, 302])
def test_a_refusal_of_whoever_asks_ends_it_at_once(run: Run, server: ChatStandIn, out: Path, status: int) -> None:
    server.next = [(status, {"Location": "/elsewhere"}, b"no")]
    code, _, err = run()
    assert code == 2 and f"model 'a-model' at 'llm': /v1/chat/completions answered HTTP {status}: no" in err
    assert len(server.asked) == 1 and not out.exists()


def test_a_refusal_half_way_is_no_bad_input(run: Run, server: ChatStandIn, out: Path) -> None:
    good = json.dumps(chat(json.dumps(["a", "b", "c"]))).encode()
    server.next = [(200, {}, good), (403, {}, b"the quota is used up")]
    code, _, err = run()
    assert code == 4 and "HTTP 403: the quota is used up; 1 question drafted in" in err
    assert run()[0] == 0 and len(lines(out)) == 3


def test_credentials_come_from_the_connection_alone(
    run: Run, server: ChatStandIn, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LLM", f"http://:wrong@127.0.0.1:{server.port}/http")
    code, _, err = run()
    assert code == 2 and "HTTP 401" in err and "wrong" not in err
    monkeypatch.delenv("AIRFLOW_CONN_LLM")
    code, _, err = run()
    assert code == 2 and "connection 'llm': not found" in err and not out.exists()
    monkeypatch.setenv("AIRFLOW_CONN_LLM", "postgresql://127.0.0.1/x")
    code, _, err = run()
    assert code == 2 and "is of type 'postgres'; allowed: http, https" in err


# The file


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("notes of somebody\n", "drafts.jsonl:1: not JSON"),
        ("notes of somebody, without a line's end", "drafts.jsonl:1: not JSON"),
        (json.dumps(ITEMS[0]), "drafts.jsonl:1: is no draft of paraphrases"),
        (json.dumps({"_id": "none", "paraphrases": ["a"], "origin": "people"}), ":1: is no draft of paraphrases"),
        (json.dumps({"_id": "none", "text": "x", "origin": "generated"}) + "\n", ":1: is no draft of paraphrases"),
        (json.dumps({"_id": "x", "paraphrases": ["a"], "origin": "generated"}), "a draft for 'x', which the gold set"),
    ],
)
def test_another_file_is_not_written_over(run: Run, server: ChatStandIn, out: Path, text: str, why: str) -> None:
    out.write_text(text)
    code, _, err = run()
    assert code == 2 and why in err and "nothing was written; name a new file" in err
    assert out.read_text() == text and not server.asked


def test_a_folder_and_a_place_that_is_not_there(run: Run, out: Path, plan: Path) -> None:
    out.mkdir()
    assert "drafts.jsonl: is no file; nothing was written" in run()[2]
    code, _, err = run("--out", str(out / "no" / "file"))
    assert code == 2 and "cannot be written: No such file or directory" in err


def test_two_at_once_do_not_draft_into_one_file(run: Run, server: ChatStandIn, out: Path) -> None:
    with out.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        code, _, err = run()
    assert code == 2 and "another command is drafting into it" in err and not server.asked
