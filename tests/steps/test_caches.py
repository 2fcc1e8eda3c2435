"""Caches in a whole switchover: primed for Green, shown by verify, and a poisoned one stops it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from switchover.errors import BadInput, PlanError
from switchover.judge.outcome import Outcome
from switchover.plan import Cache
from switchover.planfile.load import load_plan
from switchover.steps.caches import prime_green
from switchover.steps.flip import flip
from switchover.steps.freeze import freeze
from switchover.steps.hold import End, watch
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import ROOT, World


@pytest.fixture
def one_cache(world: World) -> Iterator[World]:
    """A service whose keys forget the arm."""
    for target in ("docs_v1", "docs_v2"):
        fault(world, target, "one-cache")
    yield world
    for target in ("docs_v1", "docs_v2"):
        fault(world, target, "none")


def fault(world: World, target: str, kind: str) -> None:
    httpx.post(f"{world.service}/sandbox/fault", json={"target": target, "kind": kind}).raise_for_status()


def asked(world: World, question: str, arm: str) -> str:
    headers = {"X-Switchover-Arm": arm, "X-Switchover-Probe": "cache"}
    answer = httpx.post(f"{world.service}/ask", json={"question": question, "k": 5}, headers=headers).json()
    return str(answer["cache"])


def test_priming_fills_green_alone_and_verify_shows_both_namespaces(world: World, tmp_path: Path) -> None:
    question = f"What is a closure? {uuid.uuid4()}"
    (tmp_path / "popular.txt").write_text(f"{question}\n\n{question}\n")
    plan = world.plan.model_copy(update={"cache": Cache(popular=str(tmp_path / "popular.txt"))})
    switch = world.open(plan=plan)
    freeze(switch)
    checks = {check.name: check for check in verify(switch)}
    shown = checks["cache namespaces"]
    assert shown.ok and shown.found.startswith("Blue ") and ", Green " in shown.found
    gold = switch.gold.items[0].paraphrases[2]
    count = len({text for item in switch.gold.items for text in item.paraphrases[:3]}) + 1
    assert asyncio.run(prime_green(switch, switch.read())) == f"{count} of {count} questions primed; "
    assert [asked(world, question, arm) for arm in ("docs_v2", "docs_v1")] == ["hit", "miss"]
    assert asked(world, gold, "docs_v2") == "hit"
    (tmp_path / "popular.txt").unlink()
    with pytest.raises(BadInput, match=r"cache.popular: .*popular.txt: cannot be read"):
        asyncio.run(prime_green(switch, switch.read()))


def test_a_cache_that_forgets_the_arm_stops_a_hold_at_its_first_look(one_cache: World) -> None:
    switch = one_cache.warmed()
    flip(switch)

    async def first() -> object:
        return await anext(watch(switch))

    tick = asyncio.run(first())
    assert tick.end is End.STOPPED, tick.line  # type: ignore[attr-defined]
    assert "cache_poison FAIL" in tick.line  # type: ignore[attr-defined]


def test_a_cache_that_forgets_the_arm_is_not_accepted_by_the_warm_gate(one_cache: World) -> None:
    probes = one_cache.plan.warm.model_copy(update={"min_rounds": 1, "max_rounds": 1})
    switch = one_cache.open(plan=one_cache.plan.model_copy(update={"warm": probes}))
    freeze(switch)
    verify(switch)
    verdicts = {verdict.rule: verdict for verdict in warm(switch)}
    assert verdicts["cache_poison"].outcome is Outcome.FAIL
    assert "green served what was cached for blue" in verdicts["cache_poison"].detail


def test_a_plan_without_a_cache_asks_none(world: World) -> None:
    switch = world.open(plan=world.plan.model_copy(update={"cache": None}))
    assert asyncio.run(prime_green(switch, switch.read())) == ""
    freeze(switch)
    assert "cache namespaces" not in {check.name for check in verify(switch)}


def test_a_file_of_questions_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    text = (ROOT / "include" / "plans" / "docs.yaml").read_text()
    plan = tmp_path / "docs.yaml"
    plan.write_text(text.replace("../gold/popular.txt", "none.txt").replace("../gold", str(ROOT / "include" / "gold")))
    with pytest.raises(PlanError, match=r"docs.yaml:\d+: cache.popular: no such file: none.txt; allowed: a text file"):
        load_plan(plan)
