"""What is taken of a model's reply that drafts paraphrases, and what is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_paraphrase import chat

from switchover.errors import BadInput
from switchover.gold.draft import drafts_of


@pytest.mark.parametrize(
    "said",
    [
        '["a b", "c", "d"]',
        '```json\n["a b", "c", "d"]\n```',
        ' ```\n[\n" a b ",\n"c",\n"d"]\n``` ',
        '<think>["x"]\nmaybe</think>\n\n["a b", "c", "d"]',
    ],
)
def test_three_texts_are_taken(said: str) -> None:
    assert drafts_of(chat(said), "q?") == ["a b", "c", "d"]


def test_the_longest_draft_is_taken() -> None:
    assert drafts_of(chat(json.dumps(["a" * 2_000, "b", "c"])), "q?")[0] == "a" * 2_000


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "the answer has no text at choices"),
        ("", "the reply cannot be read: answer is empty"),
        ("{}", "the reply is an object; allowed: a list of 3 texts"),
        ('["a", "b"]', "the reply is a list of 2; allowed: a list of 3 texts"),
        ('["a", "b", "c", "d"]', "the reply is a list of 4"),
        ('["a", "b", 3]', "the reply holds a number; allowed: texts alone"),
        ('["a", "b", null]', "the reply holds null"),
        ('["a", "b", " "]', "draft 3 holds no text"),
        ('["a", "...", "b"]', "draft 2 holds no word"),
        ('["a", "b\\u0007", "c"]', "draft 2 holds a control character"),
        ('["a", "b\\nb", "c"]', "draft 2 holds a control character"),
        ('["a", "b\\u202eb", "c"]', "draft 2 holds a mark that turns the direction"),
        ('["a", "b\\ud800", "c"]', "draft 2 holds half a surrogate pair"),
        ('["a", "b", "\\ud800', "the reply cannot be read"),
        ('["a", "B  x!", "b X"]', "draft 3 says the same as draft 2"),
        ('["\\u0041\\u030a", "b", "\\u00e5"]', "draft 3 says the same as draft 1"),
        ('["a1", "b", "\\uff411"]', "draft 3 says the same as draft 1"),
        ('["a", "WHAT is it", "c"]', "draft 2 says the same as the question"),
        (json.dumps(["a", "b" * 2_001, "c"]), "draft 2 has 2,001 characters; allowed: up to 2,000"),
    ],
)
def test_a_reply_that_is_not_taken_is_told_in_one_sentence(said: str | None, why: str) -> None:
    with pytest.raises(BadInput) as refused:
        drafts_of(chat(said), "What is it?")
    assert str(refused.value).startswith(why) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "answer", [None, [], "text", {"choices": {}}, {"choices": [None]}, {"choices": [{"text": "a"}]}]
)
def test_an_answer_of_another_shape(answer: Any) -> None:
    with pytest.raises(BadInput, match="the answer has no text at"):
        drafts_of(answer, "q?")


def test_half_a_surrogate_pair_in_the_text_itself() -> None:
    with pytest.raises(BadInput, match="the reply cannot be read: answer is no UTF-8"):
        drafts_of(chat('["a", "b", "\ud800"]'), "q?")
