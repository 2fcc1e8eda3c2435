"""What answers say, held against the gold set: from a reply to figures, and from figures to verdicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from tests.inner.judge_cases import QUESTIONS, Row, evidence, not_passing, on_green, probes, warm
from tests.inner.recorded import gold

from switchover.arms.probe import Asked
from switchover.arms.said import WORST, Said, said
from switchover.edge.answers import Hit, Reply
from switchover.encoders import DEFAULT, Encoder
from switchover.gold.item import Item
from switchover.judge.evidence import Evidence
from switchover.judge.gates import Outcome

AT = datetime(2026, 11, 30, tzinfo=timezone.utc)
RIGHT = Hit(id="c3", doc="doc3", section="three", start=90, end=130, text="x" * 40)  # the answer is 100..160 of doc3
BESIDE = Hit(id="c4", doc="doc3", section="later", start=400, end=440, text="y" * 40)
NOWHERE = Hit(id="c5", doc="doc9", url="http://docs/nine", text="z" * 40)
ANSWERS = ("cited_right", "cited_retrieved", "no_citation", "answer_match")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return DEFAULT().build(None)  # type: ignore[arg-type]


def of(encoder: Encoder, *replies: tuple[str, Reply]) -> list[Said]:
    asked = [Asked(arm=arm, question=3, paraphrase=0, seed=0, reply=reply, at=AT) for arm, reply in replies]
    return said(asked, gold=gold(), encoder=encoder)


def reply(cited: str | None = None, **more: Any) -> Reply:
    return Reply(status=200, hits=(RIGHT, BESIDE, NOWHERE), cited=cited, **more)


@pytest.mark.parametrize(
    ("cited", "right", "retrieved", "uncited"),
    [
        ("three", 1, 1, 0),  # the section of a hit that holds the answer
        ("c3", 1, 1, 0),  # its id
        ("doc3", 1, 1, 0),  # its document, of which one hit holds the answer
        ("later", 0, 1, 0),  # the right document, another place of it
        ("http://docs/nine", 0, 1, 0),
        ("made up", 0, 0, 0),
        (None, 0, None, 1),
    ],
)
def test_a_citation_is_right_when_a_hit_that_it_names_overlaps_the_answer(
    encoder: Encoder, cited: str | None, right: int, retrieved: int | None, uncited: int
) -> None:
    (found,) = of(encoder, ("green", reply(cited)))
    assert (found.cited_right, found.cited_retrieved, found.uncited) == (right, retrieved, uncited)


def test_a_hit_without_a_place_is_right_by_its_document(encoder: Encoder) -> None:
    hits = (Hit(id="a", doc="doc3", text="x"), Hit(id="b", doc="doc9", text="y"))
    found = of(encoder, *(("green", Reply(status=200, hits=hits, cited=cited)) for cited in ("a", "b", "doc3")))
    assert [each.cited_right for each in found] == [1, 0, 1]


def test_what_is_not_said_has_no_figure_and_what_failed_is_at_its_worst(encoder: Encoder) -> None:
    first_hit, failed = reply("three", cites=False), Reply(status=500, error="HTTP 500")
    assert of(encoder, ("blue", first_hit), ("green", failed)) == [Said(), WORST]


def test_an_answer_is_held_against_the_nearest_reference(encoder: Encoder) -> None:
    whole = gold()
    texts = [{"text": "Breaks end the nearest loop."}, {"text": "Bananas are yellow."}]
    item = Item.model_validate({**whole.items[3].model_dump(), "answers": texts})
    items = [item if at == 3 else each for at, each in enumerate(whole.items)]
    known = replace(whole, items=items, spans=[[] if at == 3 else each for at, each in enumerate(whole.spans)])
    same, other, silent = (
        Asked(arm="green", question=3, paraphrase=0, seed=0, reply=reply("three", text=text), at=AT)
        for text in ("Breaks end the NEAREST loop", "Snow falls in winter.", None)
    )
    found = said([same, other, silent], gold=known, encoder=encoder)
    assert (found[0].answer_f1, found[0].cited_right) == (1.0, None), "no place is known, so no citation is right"
    assert (found[0].answer_ds or 1) < 0.3
    assert found[1].answer_f1 == 0.0 and (found[1].answer_ds or 0) > 0.5
    assert (found[2].answer_f1, found[2].answer_ds) == (None, None)


def test_how_far_answers_moved_is_kept_of_green_alone(encoder: Encoder) -> None:
    blue = reply("three", text="The loop ends.")
    same, other, none = (reply("three", text=text) for text in ("The loop ends.", "Bananas are yellow.", None))
    moved = [of(encoder, ("blue", blue), ("green", green)) for green in (same, other, none)]
    assert [each[0].answer_moved for each in moved] == [None, None, None]
    assert moved[0][1].answer_moved == 0.0
    assert 0.3 < (moved[1][1].answer_moved or 0) <= 1
    assert moved[2][1].answer_moved is None


# -- verdicts -------------------------------------------------------------------------------------------------------


def test_a_green_that_cites_one_wrong_section_for_every_question_fails_with_retrieval_unharmed() -> None:
    wrong = on_green(lambda r: {**r, "cited": "one section", "cited_right": 0.0})
    assert not_passing(warm(probes(spoil=wrong))) == {"cited_right": "FAIL"}


def test_a_service_that_neither_answers_nor_cites_is_told_as_such_and_never_passes() -> None:
    silent = dict.fromkeys(("cited_right", "cited_retrieved", "uncited", "answer_f1", "answer_ds"))
    found = warm(probes(spoil=lambda r: {**r, **silent}))
    assert [found[rule].outcome for rule in ANSWERS] == [Outcome.OFF] * 4
    assert found["cited_right"].detail.startswith("not applicable: answers cite nothing, or the gold set")
    rows = [{name: value for name, value in row.items() if name not in silent} for row in probes()]  # an older ledger's
    assert {warm(rows)[rule].outcome for rule in ANSWERS} == {Outcome.OFF}


@pytest.mark.parametrize(
    ("blue", "rule"),
    [
        ({"cited_right": 0.0}, "cited_right"),
        ({"cited_retrieved": 0.0}, "cited_retrieved"),
        ({"uncited": 1.0}, "no_citation"),
        ({"ds_anchor": 1.0}, "ds_anchor"),
    ],
)
def test_a_blue_that_cannot_be_undercut_is_no_pass(blue: Row, rule: str) -> None:
    verdict = warm(probes(spoil=lambda r: {**r, **blue}))[rule]
    assert verdict.outcome is Outcome.OFF
    assert "which cannot get worse" in verdict.detail


def test_a_green_that_stops_citing_is_seen_by_the_missing_citations() -> None:
    nothing = {"cited": None, "cited_right": 0.0, "cited_retrieved": None, "uncited": 1.0}
    found = warm(probes(spoil=on_green(lambda r: {**r, **nothing})))
    assert (found["no_citation"].outcome, found["cited_right"].outcome) == (Outcome.FAIL, Outcome.FAIL)
    assert found["cited_retrieved"].outcome is Outcome.ERROR


def test_doubt_never_helps_green() -> None:
    lost = [row for row in probes() if not (row["arm"] == "green" and row["question"] == "q0")]
    found = warm(lost)
    assert {found[rule].outcome for rule in ANSWERS} == {Outcome.INCONCLUSIVE}
    worst = evidence(lost)
    gone = (worst.question == QUESTIONS.index("q0")) & (worst.arm == 1)
    assert [float(getattr(worst, name)[gone].max()) for name in ("cited_right", "answer_f1")] == [0.0, 0.0]
    assert float(worst.uncited[gone].min()) == 1.0
    assert isinstance(worst, Evidence)
