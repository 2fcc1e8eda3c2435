"""What every kind of encoder must do, and what is made of answers that are wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from switchover.encoders import KINDS
from switchover.encoders import http as http_encoder
from switchover.encoders.check import LOWEST_FLOOR, cosines, match
from switchover.encoders.once import Once
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import BadInput, SwitchoverError, Unreachable
from tests.contract.encoders import ENCODERS, EncoderWorld, OpenAiWorld, TeiWorld
from tests.contract.encoders import function as own_function
from tests.contract.encoders.standins import LARGEST_BATCH, SHA, noisy
from tests.contract.recorder import Recorder

TEXTS = [f"Chapter {number}: the {word} is held by one writer." for number in range(25) for word in ("lease", "log")]
LONG = "The writer waits until the fence is done and then goes on. " * 100
BEHIND_HTTP = ("openai", "tei")


@pytest.fixture
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[EncoderWorld]:
    """The world of a kind."""
    monkeypatch.setenv("SWITCHOVER_FUNCTIONS", "tests.contract.encoders")
    found = ENCODERS[request.param]()
    yield found
    found.close()


every_kind = pytest.mark.parametrize("world", ENCODERS, indirect=True)
behind_http = pytest.mark.parametrize("world", BEHIND_HTTP, indirect=True)
outside = pytest.mark.parametrize("world", [*BEHIND_HTTP, "callable"], indirect=True)


def test_every_kind_has_a_world() -> None:
    assert list(ENCODERS) == list(KINDS)


@every_kind
def test_it_gives_unit_vectors_in_the_order_of_the_texts(world: EncoderWorld, record: Recorder) -> None:
    encoder = world.encoder()
    texts = [*TEXTS, "", "one more"]
    found = encoder.encode(texts)
    assert (found.shape, found.dtype) == ((52, encoder.dimension), np.float32)
    assert np.linalg.norm(found[:50], axis=1) == pytest.approx(1, abs=1e-5)
    assert not found[50].any()
    assert found[51].any()
    alone = encoder.encode([TEXTS[7]])
    assert cosines(alone, found[7:8])[0] == pytest.approx(1, abs=1e-5)
    assert cosines(alone, found[8:9])[0] < 0.99
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert encoder.encode(["half a pair: \ud800"]).any() and encoder.count_tokens(["half a pair: \ud800"])[0] > 3
    record(world, against=world.against, exact=encoder.exact)


@every_kind
def test_it_counts_tokens_and_says_by_which_tokenizer(world: EncoderWorld) -> None:
    encoder = world.encoder()
    text = "naïve  café, print(x) 数据库"
    tokens = encoder.tokens(text)
    assert tokens and all(0 <= start < end <= len(text) for start, end in tokens)
    assert encoder.count_tokens([text, ""]) == [len(tokens), 0]
    assert encoder.tokenizer_version() == WordLlamaEncoder().tokenizer_version()


@every_kind
def test_a_long_text_is_read_to_its_end_or_named(world: EncoderWorld, record: Recorder) -> None:
    encoder, longer = world.encoder(), LONG + "At last the lighthouse goes dark."
    if world.server or world.kind == "callable":
        with pytest.raises(BadInput, match=r"the text of 5,9\d\d characters that begins 'The writer waits"):
            encoder.encode([LONG, longer])
    else:
        one, other = encoder.encode([LONG, longer])
        assert not np.array_equal(one, other)
    record(world, long_text="an error that names it" if world.keys else "is read whole")


@every_kind
def test_it_is_known_by_its_vectors(world: EncoderWorld) -> None:
    encoder = world.encoder()
    stored = encoder.encode(TEXTS)
    assert match(encoder, TEXTS, stored).ok
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((encoder.dimension, encoder.dimension)))
    assert not match(encoder, TEXTS, stored @ turn).ok
    with pytest.raises(ValueError, match="dimensions queried"):
        match(encoder, TEXTS, stored[:, :-1])


@every_kind
def test_it_says_by_what_it_is_known_again(world: EncoderWorld, record: Recorder) -> None:
    found = world.encoder().read_back()
    assert found == world.encoder().read_back()
    kind = {"sha256": "weights (SHA-256)", "model_sha": "revision, as the server reports it"}
    record(world, known_by=kind.get(found.split(":")[0], "fingerprint"))


@outside
def test_a_text_that_is_cut_without_a_word_is_an_error_that_names_it(world: EncoderWorld) -> None:
    if world.server:
        world.server.cuts = True
    with pytest.raises(
        BadInput, match=r"reads only the beginning of the text of 5,900 characters that begins 'The wri"
    ):
        world.encoder().encode(["short", LONG])
    whole = world.encoder()
    whole.encode([LONG[:1_500]])
    whole.encode(["short"])


@outside
def test_questions_and_passages_are_given_as_the_plan_says(world: EncoderWorld) -> None:
    keys = {"query": {"prefix": "query: ", "input_type": "query"}, "passage": {"prefix": "passage: "}}
    encoder = world.encoder(**keys)
    question, passage = encoder.encode(["who?"], query=True), encoder.encode(["who?"])
    assert not np.allclose(question, passage)
    if world.server:
        assert world.server.texts == ["query: who?", "passage: who?"]
        first, second = world.server.bodies
        assert first.get("input_type", first.get("prompt_name")) == "query"
        assert "input_type" not in second and "prompt_name" not in second
    else:
        assert own_function.asked[-2:] == [(1, "query"), (1, "")]


@behind_http
def test_a_busy_server_is_asked_again_and_a_silent_one_is_given_up(
    world: EncoderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.server is not None
    world.server.busy = 3
    assert world.encoder().encode(["patience"]).any()
    assert world.server.busy == 0
    world.server.busy = 10**6
    monkeypatch.setattr(http_encoder, "PATIENCE_S", 0.2)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer: HTTP 429: .*overloaded"):
        world.encoder().encode(["patience"])
    assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = OpenAiWorld()
    assert world.server is not None
    world.server.close()
    monkeypatch.setattr(http_encoder, "PATIENCE_S", 0.2)
    with pytest.raises(Unreachable, match="encoder 'sentence/model' at 'embeddings': did not answer: ConnectError"):
        world.encoder().encode(["patience"])
    world.edge.close()


ROW = {"index": 0, "embedding": [0.1] * 256}
WRONG = {
    "no JSON": (200, "<html>"),
    "another shape": (200, {"vectors": [[1.0]]}),
    "null": (200, "null"),
    "NaN": (200, '{"data": [{"index": 0, "embedding": [NaN]}]}'),
    "texts": (200, {"data": [{"index": 0, "embedding": ["1.0"] * 256}]}),
    "base64": (200, {"data": [{"index": 0, "embedding": "AACAPw=="}]}),
    "too few": (200, {"data": []}),
    "one twice": (200, {"data": [ROW, ROW]}),
    "index of another": (200, {"data": [{**ROW, "index": 1}]}),
    "zero": (200, {"data": [{"index": 0, "embedding": [0.0] * 256}]}),
    "zero of tei": (200, [[0.0] * 256]),
    "other dimension": (200, {"data": [{"index": 0, "embedding": [0.1] * 128}]}),
    "other dimension of tei": (200, [[0.1] * 128]),
    "overflow": (200, [[1e308] * 256]),
    "ragged": (200, [[0.1] * 256, [0.1]]),
    "no right": (401, {"error": "no key"}),
    "not there": (404, {"error": "no such path"}),
    "refused": (400, {"error": "dimensions is not supported"}),
    "moved": (307, ""),
    "broken": (500, "Traceback\n  File"),
    "huge": (200, "[" + "0," * (3 << 20) + "0]"),
    "deep": (200, "[" * 50_000),
}


@behind_http
@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_is_one_line(world: EncoderWorld, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.server is not None
    world.server.instead = WRONG[answer]
    monkeypatch.setattr(http_encoder, "PATIENCE_S", 0.0)
    with pytest.raises(SwitchoverError) as refused:
        world.encoder().encode(["a text"])
    assert str(refused.value).startswith("encoder 'sentence/model'")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_a_batch_never_outgrows_what_an_answer_may_hold() -> None:
    world = OpenAiWorld()
    world.encoder(batch=2048).encode(TEXTS * 12)
    assert world.server is not None
    assert max(len(body["input"]) for body in world.server.bodies) * 256 * 32 <= 4 << 20
    world.close()


def test_a_batch_that_is_too_large_is_halved() -> None:
    world = TeiWorld()
    found = world.encoder(batch=64).encode(TEXTS)
    assert world.server is not None and np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert max(len(body["inputs"]) for body in world.server.bodies) > LARGEST_BATCH
    world.close()


def test_tei_must_serve_what_the_plan_names() -> None:
    world = TeiWorld()
    assert world.encoder().read_back() == f"model_sha:{SHA}"
    with pytest.raises(BadInput, match=f"/info: model_sha is '{SHA}', the plan says 'other'"):
        world.encoder(revision="other").read_back()
    world.server.sha = None  # type: ignore[union-attr]
    assert world.encoder().read_back() == ""
    world.close()


def test_a_function_is_called_only_where_the_deployment_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ENCODERS["callable"]()
    monkeypatch.setenv("SWITCHOVER_FUNCTIONS", "mine, tests.contract.encoder")
    with pytest.raises(BadInput, match="may not be called; allowed: functions of the packages in SWITCHOVER_FUNCTIONS"):
        world.encoder().encode(["a text"])
    monkeypatch.setenv("SWITCHOVER_FUNCTIONS", "tests.contract.encoders")
    with pytest.raises(BadInput, match=r"encoder 'mine': .*:broken: RuntimeError: CUDA out of memory$"):
        world.encoder(function="tests.contract.encoders.function:broken").encode(["a text"])


NOISY = int(os.environ.get("NOISY", "20"))  # encoders of each noise


class Noisy(WordLlamaEncoder):
    """The bundled embedding with calls that differ, as a server's do at half precision."""

    exact = False

    def __init__(self, cosine: float, seed: int, revision: str = "256.1") -> None:
        super().__init__(revision=revision)
        self._cosine, self._random = cosine, np.random.default_rng(seed)

    def encode(self, texts: Any, *, query: bool = False) -> Any:
        return noisy(super().encode(texts).astype(np.float64), self._cosine, self._random)


@pytest.mark.parametrize("cosine", [1 - 1e-5, 0.9995])
def test_its_own_noise_is_forgiven_and_another_encoder_is_not(cosine: float) -> None:
    """docs/encoders.md has the count of ``NOISY=1000``: 1,000 of its own, 200 of another."""
    sample = (TEXTS * 2)[:64]
    own = [match(Noisy(cosine, seed), sample, Noisy(cosine, 1000 + seed).encode(sample)) for seed in range(NOISY)]
    assert all(found.ok and LOWEST_FLOOR <= found.floor < found.lowest for found in own)
    other = [
        match(Noisy(cosine, seed), sample, Noisy(cosine, 1000 + seed, "256.1-rotated").encode(sample))
        for seed in range(max(20, NOISY // 5))
    ]
    assert not any(found.ok for found in other)


def test_no_noise_excuses_another_revision_of_a_model() -> None:
    """What lies at 0.985 may be a model that was tuned further; a wild encoder cannot be told from it."""
    sample = (TEXTS * 2)[:64]
    assert not match(Noisy(0.985, 1), sample, Noisy(0.985, 2).encode(sample)).ok
    two = WordLlamaEncoder(dimension=2)
    assert match(two, sample, two.encode(sample)).floor == 0.999


def test_each_text_is_asked_for_once() -> None:
    world = OpenAiWorld()
    assert world.server is not None
    once = Once(world.encoder(), kept=3 * 256 * 4)
    first = once.encode(["a", "b", "a"])
    assert np.array_equal(first, once.encode(["a", "b", "a"])) and world.server.texts == ["a", "b"]
    once.encode(["a"], query=True)
    assert world.server.texts == ["a", "b", "a"]
    once.encode(["c", "d", "e"])
    once.encode(["a"])
    assert world.server.texts == ["a", "b", "a", "c", "d", "e", "a"]
    world.close()
