"""``switchover init``: a foreign service is asked one question, and a plan that fits its answer is written."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from switchover.arms.guess import guess
from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Asking
from switchover.cli.entry import main
from switchover.errors import PlanError
from switchover.planfile.load import load_plan

SHAPES = Path(__file__).parent / "shapes"
TEXT = "A variable is bound when a name is assigned to it."


#: What a service may answer that holds no hits, or names that no plan can hold.
ODD = (
    b"",
    b"\xff",
    b"null",
    b"[" * 3000,
    b'{"hits": [{"id": 1e400}]}',
    json.dumps({"k" * 5000: [{"id": "x", "text": "a" * 30}]}).encode(),
    json.dumps({"r": [{"id": "b" * 600, "text": "a" * 30}]}).encode(),
    b'{"r": [' + b", ".join([b'{"id": 1}'] * 2000) + b"]}",
)


class Foreign(BaseHTTPRequestHandler):
    """An ordinary search service; nothing of ours is in it. ``odd``: what it answers instead, whatever is asked."""

    odd: bytes | None = None

    asked: list[tuple[str, dict[str, Any], str]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body, self.headers.get("X-Arm", "")))
        if self.odd is not None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.odd)))
            self.end_headers()
            self.wfile.write(self.odd)
            return
        if self.path != "/search" or "query" not in body:
            self.send_error(404 if self.path != "/search" else 422)
            return
        hits = [
            {"id": n, "score": 1 - n / 10, "title": f"part {n}", "passage": {"text": TEXT}} for n in range(body["top"])
        ]
        answer = json.dumps({"took": 3, "results": {"items": hits}, "facets": [{"name": "a"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Foreign]]:
    handler = type("Handler", (Foreign,), {"asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("AIRFLOW_CONN_SEARCH", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()


@pytest.fixture
def init(tmp_path: Path, service: type[Foreign], capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "gold.jsonl").write_text("")

    def run(*more: str) -> tuple[int, str, Path]:
        out = tmp_path / "plan.yaml"
        arms = ["--blue", "old=search", "--green", "new=search", "--header", "X-Arm: {arm}"]
        code = main(["init", *arms, "--out", str(out), "--non-interactive", *more])
        caught = capsys.readouterr()
        return code, caught.out + caught.err, out

    return run


OWN = ("--ask", "POST /search", "--body", '{"query": "{question}", "top": "{k}"}')


def filled(out: Path) -> None:
    """A person fills in the gaps."""
    text = out.read_text()
    for key, value in {"alias": "docs", "table": "log"}.items():
        text = text.replace(f"  {key}:   #", f"  {key}: {value}   #")
    text = text.replace("  connection:   #", "  connection: db   #")
    out.write_text(text)


def test_a_foreign_service_is_fitted_and_the_plan_is_a_plan(init: Any, service: type[Foreign]) -> None:
    code, told, out = init(*OWN)
    assert code == 0, told
    assert service.asked == [("/search", {"query": "How do I begin?", "top": 5}, "old")], "one question, of Blue alone"
    assert "your request: POST /search: 5 hits" in told
    assert f"{out}:" in told and "to fill in: " in told
    with pytest.raises(PlanError, match="alias"):
        load_plan(out)
    filled(out)
    plan = load_plan(out)
    assert plan.asking is not None and plan.asking.answer is not None
    assert plan.asking.answer.hits == "results.items"
    assert plan.asking.answer.hit.text == "passage.text"
    assert [arm.headers for arm in plan.arms.values()] == [{"X-Arm": "old"}, {"X-Arm": "new"}]


def test_again_it_adds_what_is_missing_and_changes_nothing(init: Any) -> None:
    _, _, out = init(*OWN)
    before = out.read_text().replace("service: docs", "service: mine  # ours").replace("minutes: 20", "minutes: 25")
    kept = before.replace(before[before.index("# Where live requests") : before.index("# Your test questions")], "")
    out.write_text(kept)
    code, told, _ = init(*OWN)
    assert code == 0 and "added signals" in told
    assert out.read_text().startswith(kept)
    assert init(*OWN)[1].count("nothing to add") == 1


def test_a_service_that_is_not_understood_leaves_a_plan_and_says_so(init: Any) -> None:
    code, told, out = init()
    assert code == 0
    assert "preset ours: POST /ask: HTTP 404" in told and "preset llamaindex" in told
    assert "no answer could be read: say --ask and --body" in told
    assert "NOT SEEN" in out.read_text()


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:24]))
def test_an_answer_that_cannot_be_used_is_a_line(init: Any, service: type[Foreign], odd: bytes) -> None:
    service.odd = odd
    code, told, out = init(*OWN)
    assert code == 0 and "your request: POST /search: " in told
    assert "no answer could be read" in told and "NOT SEEN" in out.read_text()


@pytest.mark.parametrize("name", ["a\nb", "\x00", 'a"b', "a.b", "ä", "a b"])
def test_any_name_that_a_path_can_hold_is_found_again(init: Any, service: type[Foreign], name: str) -> None:
    service.odd = json.dumps({name: [{"id": "x", name: {"text": TEXT}}]}).encode()
    code, told, out = init(*OWN)
    assert code == 0 and "your request: POST /search: 1 hits" in told
    assert "seen in an answer" in out.read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--ask", "search"), "--ask: found 'search'; allowed: GET, POST or PUT and a path"),
        (("--ask", "POST /search", "--body", "{k}"), "--body: is no JSON"),
        (("--pointer", "magic=x"), "kind 'magic' is not known; allowed: KIND=CONNECTION with "),
        (("--green", "old=search"), "has the name of Blue"),
        (("--blue", "old"), "allowed: NAME=CONNECTION"),
        (("--ask", "POST /search", "--body", "7"), "allowed: a JSON object or list"),
        (("--blue", "old=no name!"), "no name!"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(init: Any, more: tuple[str, ...], message: str) -> None:
    code, told, out = init(*OWN, *more) if "--ask" not in more else init(*more)
    assert code == 2 and message in told
    assert not out.exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in SHAPES.glob("*.json")))
def test_a_guess_at_every_recorded_shape_reads_hits_or_is_none(name: str) -> None:
    recorded = json.loads((SHAPES / f"{name}.json").read_text())
    answer = recorded.get("answer", recorded) if isinstance(recorded, dict) else recorded
    guessed = guess(answer)
    if guessed is None:
        assert name in WITHOUT_HITS
        return
    asking = Asking.model_validate({"request": {"path": "/x"}, "answer": guessed, "report": False})
    reply = Shape.of("blue", Arm(connection="x"), asking).reply(answer, status=200, elapsed_ms=0)
    assert reply.hits and all(hit.text or hit.id or hit.doc for hit in reply.hits)


WITHOUT_HITS = {"ndjson", "openai_stream"}  # streams: a plan must say so


@pytest.mark.parametrize(
    "answer", [None, 1, "x", [], {}, {"results": []}, {"results": [1, 2]}, [[{"id": 1}]], {"a": None}]
)
def test_what_holds_no_hits_is_no_guess(answer: Any) -> None:
    assert guess(answer) is None


def test_odd_names_are_quoted_and_the_richest_list_wins() -> None:
    hits = [{"_id": "a", "some-score": 1.0, "_source": {"content": TEXT}}]
    found = guess({"facets": [{"id": "x"}], "the hits": {"hits": hits}, "answer": "Yes."})
    assert found == {
        "hits": '"the hits".hits',
        "hit": {"id": "_id", "text": "_source.content"},
        "text": "answer",
    }
