"""Answers of public services, recorded, each mapped by a few lines of a plan; a path that is misspelt is named."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.inner.shapes import Recorded, recorded

from switchover.arms.client import ArmClient, Trial
from switchover.arms.presets import PRESETS
from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Asking
from switchover.edge.answers import Reply
from switchover.edge.functions import ALLOWED
from switchover.errors import BadInput

SHAPES = recorded()
LINES = 12
WORD = re.compile(r"\"[^\"]+\"|[A-Za-z_]\w*")
FUNCTIONS = ("not_null", "join")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
def test_a_recorded_answer_is_read_by_a_few_lines_of_a_plan(shape: Recorded) -> None:
    mapped = shape.shape()
    found = mapped.reply(mapped.parse(shape.body), status=200, elapsed_ms=7.0)
    expected = dict(shape.reply)
    said = {
        "hits": [
            {name: getattr(hit, name) for name in _fields(hit) if getattr(hit, name) is not None} for hit in found.hits
        ],
        **{
            name: getattr(found, name)
            for name in ("arm", "index_hash", "text", "cited", "cache")
            if getattr(found, name)
        },
        **({"tool_calls": len(found.tool_calls)} if found.tool_calls is not None else {}),
        **({"stages_ms": found.stages_ms} if "stages_ms" in expected else {}),
    }
    if "cited" not in expected and said.get("cited"):
        assert not any(hit.doc or hit.id for hit in found.hits), "a text that has no other name is cited by its digest"
        del said["cited"]
    assert said == expected
    lines = ["asking:", *_written(shape.asking)]
    assert len(lines) <= LINES, "\n".join(lines)
    assert yaml.safe_load("\n".join(lines))["asking"] == (shape.asking or None)


def _written(part: dict[str, Any], indent: int = 2) -> list[str]:
    """Lines of a plan: one a key, and what stands within `body` and `hit` on the same line."""
    found: list[str] = []
    for key, value in part.items():
        if isinstance(value, dict) and key in ("request", "answer"):
            found += [f"{key}:", *_written(value)]
        else:
            text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=100).removesuffix("...\n")
            found += f"{key}: {text}".splitlines()
    return [" " * indent + line for line in found]


def _fields(hit: Any) -> list[str]:
    return [name for name in hit.__dataclass_fields__ if name != "tokens"]


def test_every_preset_has_a_recorded_answer_and_a_line_in_the_docs() -> None:
    used = {shape.asking.get("preset", "ours") for shape in SHAPES}
    assert set(PRESETS) <= used and len(PRESETS) >= 9
    page = (Path(__file__).parents[2] / "docs" / "your-own-service.md").read_text(encoding="utf-8")
    assert [name for name in PRESETS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
def test_every_path_that_is_misspelt_is_named_by_the_trial(shape: Recorded) -> None:
    asking = {**shape.asking}
    preset = PRESETS[asking["preset"]].asking if "preset" in asking else PRESETS["ours"].asking if not asking else {}
    answer = _merged(preset.get("answer", {}), asking.get("answer", {}))
    whole = {"preset": "ours", **asking, "answer": answer}
    good = shape.shape({"answer": answer, "request": {"path": "/x"}})
    body = good.parse(shape.body)
    said = {path.partition(": ")[0] for path in good.silent([body])}
    assert not said & {f"answer.{name}" for name in _leaves(shape.asking.get("answer", {}))}, "a path of ours is silent"
    tried = 0
    for place, path in _paths(answer):
        key = f"answer.{'.'.join(place)}"
        if key in said:
            continue  # a preset's path that this one answer has nothing for
        misspelt = WORD.sub(lambda word: word[0] if word[0] in FUNCTIONS else _misspelt(word[0]), path)
        if misspelt == path:
            continue  # `@` cannot be misspelt
        wrong = shape.shape({**whole, "answer": _with(answer, place, misspelt)})
        assert f"{key}: {misspelt}" in wrong.silent([body]), key
        tried += 1
    assert tried >= 2


def _misspelt(word: str) -> str:
    return f'{word[:-1]}x"' if word.startswith('"') else f"{word}x"


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    return {**below, **above, "hit": {**below.get("hit", {}), **above.get("hit", {})}}


def _paths(answer: dict[str, Any], place: tuple[str, ...] = ()) -> Any:
    for name, value in answer.items():
        if isinstance(value, dict):
            yield from _paths(value, (*place, name))
        elif name not in ("stream", "offsets"):
            yield (*place, name), value


def _leaves(answer: dict[str, Any]) -> set[str]:
    return {".".join(place) for place, _ in _paths(answer)}


def _with(answer: dict[str, Any], place: tuple[str, ...], path: str) -> dict[str, Any]:
    if len(place) == 1:
        return {**answer, place[0]: path}
    return {**answer, place[0]: _with(answer[place[0]], place[1:], path)}


def call_of(asking: dict[str, Any], arm: Arm | None = None, name: str = "v2") -> Any:
    shape = Shape.of(name, arm or Arm(connection="c"), Asking.model_validate(asking))
    return shape.call("Wer & was? {k} {arm}", seed=3, k=5)


def test_a_question_is_asked_as_the_template_says_and_nothing_in_it_is_a_template() -> None:
    call = call_of(
        {
            "request": {
                "path": "/a/{arm}/{question}",
                "query": {"q": "{question}", "k": "{k}", "all": "k={k} s={seed} of {arm}"},
                "headers": {"X-Arm": "{arm}"},
                "body": {
                    "deep": [{"n": "{k}", "text": "<{question}>", "other": "{{x}} {y}"}],
                    "seed": "{seed}",
                    "on": True,
                },
            },
            "answer": {"hits": "h", "hit": {"id": "i"}},
        }
    )
    assert call.url == "/a/v2/Wer%20%26%20was%3F%20%7Bk%7D%20%7Barm%7D"
    assert call.params == {"q": "Wer & was? {k} {arm}", "k": 5, "all": "k=5 s=3 of v2"}
    assert call.headers == {"X-Arm": "v2"}
    deep = {"n": 5, "text": "<Wer & was? {k} {arm}>", "other": "{{x}} {y}"}
    assert call.json == {"deep": [deep], "seed": 3, "on": True}


def test_arms_are_addressed_by_path_header_query_or_body_field() -> None:
    base = {"answer": {"hits": "h", "hit": {"id": "i"}}, "request": {"path": "/ask", "body": {"q": "{question}"}}}
    for key, value in {
        "path": {"path": "/blue/ask"},
        "headers": {"headers": {"X-Arm": "blue"}},
        "query": {"query": {"arm": "blue"}},
        "body": {"body": {"collection": "blue"}},
    }.items():
        call = call_of(base, Arm(connection="c", asking=Asking.model_validate({"request": value})))
        assert call.json["q"] == "Wer & was? {k} {arm}", "the arm changes one thing and keeps the rest"
        where = {"path": call.url, "headers": call.headers, "query": call.params, "body": call.json}[key]
        assert "blue" in (where if isinstance(where, str) else where.values())


def test_the_old_keys_of_an_arm_are_short_for_the_new_ones() -> None:
    shape = Shape.of("v2", Arm(connection="c", ask="/q", version="/v", headers={"X-A": "v2"}))
    call, report = shape.call("x", seed=1, k=2), shape.report_call()
    assert (call.method, call.url, call.headers) == ("POST", "/q", {"X-A": "v2"})
    assert call.json == {"question": "x", "seed": 1, "k": 2}
    assert report is not None and (report.url, report.headers) == ("/v", {"X-A": "v2"})
    assert Shape.of("v2", Arm(connection="c"), Asking(report=False)).report_call() is None


@pytest.mark.parametrize(
    ("asking", "told"),
    [
        ({"answer": {"hits": "h", "hit": {"id": "i"}}}, "asking.request.path: missing"),
        ({"answer": {"hit": {"id": "i"}}, "request": {"path": "/"}}, "asking.answer.hits: missing"),
        ({"answer": {"hits": "h", "hit": {"url": "u"}}, "request": {"path": "/"}}, "says neither id, doc nor text"),
        (
            {"answer": {"hits": "h", "hit": {"id": "i", "start": "s"}}, "request": {"path": "/"}},
            "asking.answer.hit.start: means nothing without `doc`",
        ),
        ({"request": {"headers": {"X": "{question}"}}}, "X holds the question"),
        ({"report": {"arm": "a"}, "preset": "ragas"}, "asking.report.path: missing"),
        ({"function": "a:b", "answer": {"hits": "h", "hit": {"id": "i"}, "stream": "sse"}}, "without `poll`"),
    ],
)
def test_what_cannot_be_asked_or_read_is_refused_with_its_key(asking: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        call_of(asking)


def ask(shape: Recorded, respond: Any, *, timeout_s: float = 2.0, **more: Any) -> tuple[Reply, Trial]:
    async def once() -> tuple[Reply, Trial]:
        transport = httpx.MockTransport(respond)
        async with httpx.AsyncClient(transport=transport, base_url="http://arm") as client:
            asking = Asking.model_validate({**shape.asking, **more})
            spec = Arm(connection="c")
            arm = ArmClient(client=client, name=shape.arm, spec=spec, asking=asking, timeout_s=timeout_s)
            return await arm.ask("Alias?", seed=0, k=2), await arm.trial(["a", "b"], k=2)

    return asyncio.run(once())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
def test_over_http_an_answer_is_read_and_a_refused_question_is_a_failed_probe(shape: Recorded) -> None:
    reply, trial = ask(shape, lambda request: httpx.Response(200, content=shape.body))
    assert reply.ok and len(reply.hits) == len(shape.reply["hits"]) and trial.error == ""
    for status in (301, 404, 429, 500, 503):
        reply, trial = ask(shape, lambda request, status=status: httpx.Response(status, headers={"Location": "/x"}))
        assert (reply.status, reply.ok) == (status, False) and f"HTTP {status}" in (reply.error or "")
        assert trial.error == "", "an arm that fails now may be well when it is judged"


def job(states: list[str]) -> Any:
    (shape,) = [each for each in SHAPES if each.name == "job"]
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        if request.method == "POST":
            return httpx.Response(202, json={"id": "j/7", "state": "queued"})
        state = states.pop(0) if len(states) > 1 else states[0]
        return httpx.Response(200, content=shape.body.replace(b'"done"', f'"{state}"'.encode()))

    return shape, respond, asked


def test_an_answer_behind_a_job_is_waited_for_within_the_probe_s_time() -> None:
    shape, respond, asked = job(["running", "running", "done"])
    reply, _ = ask(shape, respond)
    assert reply.ok and reply.hits[0].id == "aliases-3"
    assert asked[:4] == ["/jobs", "/jobs/j%2F7", "/jobs/j%2F7", "/jobs/j%2F7"], "an id never leads to another path"
    shape, respond, asked = job(["running"])
    reply, _ = ask(shape, respond, timeout_s=0.3)
    assert reply.error == "the job was not done within 0.3 s"
    assert 3 <= len(asked) < 60


def test_a_trial_says_which_path_is_misspelt_and_that_no_hit_came() -> None:
    (shape,) = [each for each in SHAPES if each.name == "cohere_chat"]
    answer = {**shape.asking["answer"], "text": "content[0].txt"}
    _, trial = ask(shape, lambda request: httpx.Response(200, content=shape.body), answer=answer)
    assert trial.error.startswith("answer.text: content[0].txt: found nothing in 2 trial answers")
    (shape,) = [each for each in SHAPES if each.name == "elasticsearch"]
    _, trial = ask(shape, lambda request: httpx.Response(200, json={"hits": {"hits": []}}))
    assert trial.error.startswith("no hit came for 2 trial questions")


def answering(question: str, *, k: int, seed: int, arm: str, connection: object) -> dict[str, Any]:
    """A plan's function, as a team would write it."""
    if question == "fail":
        raise RuntimeError("no index\nat all")
    return {"answer": arm, "hits": [{"doc": f"d{n}", "text": f"{question} {seed}"} for n in range(k)]}


async def answering_later(question: str, **words: Any) -> object:
    """An async one, which takes too long, or answers what is no JSON."""
    if question == "slow":
        await asyncio.sleep(60)
    return {"set", "of", "words"} if question == "no JSON" else answering(question, **words)


@pytest.mark.parametrize("name", ["answering", "answering_later"])
def test_a_function_of_an_allowed_package_may_ask_instead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking.model_validate(
        {
            "function": f"{__name__}:{name}",
            "answer": {"hits": "hits", "hit": {"doc": "doc", "text": "text"}, "text": "answer"},
        }
    )

    async def once(question: str) -> Reply:
        async with httpx.AsyncClient() as client:
            arm = ArmClient(client=client, name="v2", spec=Arm(connection="c"), asking=asking, timeout_s=0.5)
            return await arm.ask(question, seed=3, k=2)

    monkeypatch.delenv(ALLOWED, raising=False)
    with pytest.raises(BadInput, match="may not be called"):
        asyncio.run(once("x"))
    monkeypatch.setenv(ALLOWED, __name__)
    reply = asyncio.run(once("x"))
    assert (reply.text, [(hit.doc, hit.text) for hit in reply.hits]) == ("v2", [("d0", "x 3"), ("d1", "x 3")])
    failed = asyncio.run(once("fail"))
    assert failed.error == f"{__name__}:{name}: RuntimeError: no index"
    if name == "answering_later":
        assert asyncio.run(once("slow")).error == "no whole answer within 0.5 s"
        assert "TypeError" in (asyncio.run(once("no JSON")).error or "")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "holds no event"),
        (b"data: {\n\n", "event 1: answer is no JSON"),
        (b'data: {"a": 1}\n\ndata: NaN\n\n', "event 2: answer holds NaN"),
        (b"\xff\xfe", "no UTF-8"),
        (b"data: {}\n\n" * 20_001, "20,001 events; allowed"),
    ],
)
@pytest.mark.parametrize("kind", ["sse", "ndjson"])
def test_a_stream_that_cannot_be_read_says_so(kind: str, body: bytes, told: str) -> None:
    (shape,) = [each for each in SHAPES if each.name == ("openai_stream" if kind == "sse" else "ndjson")]
    body = body.replace(b"data: ", b"").replace(b"\n\n", b"\n") if kind == "ndjson" else body
    reply, _ = ask(shape, lambda request: httpx.Response(200, content=body))
    assert not reply.ok and told in (reply.error or "")
