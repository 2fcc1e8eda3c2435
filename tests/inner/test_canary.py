"""Poison canaries: what the replies of two arms mean."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from switchover.arms.cache_canary import ask_canaries
from switchover.arms.client import ArmClient
from switchover.arms.spec import Arm
from switchover.judge.outcome import Outcome
from switchover.judge.rules.cache_poison import CachePoisonRule

HASHES = {"v1": "hash-1", "v2": "hash-2"}


class Service:
    """A service with a cache by ``key``, over httpx's in-process transport."""

    def __init__(self, key: Any, *, says: bool = True, caching: bool = True, hashes: dict[str, str] = HASHES) -> None:
        self.key = key
        self.says = says
        self.caching = caching
        self.hashes = hashes
        self.cache: dict[Any, dict[str, Any]] = {}
        self.down: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        arm, question = request.headers["X-Arm"], request.content
        if arm in self.down:
            return httpx.Response(503)
        assert request.headers["X-Switchover-Probe"] == "cache"
        index_hash = self.hashes[arm]
        answer = {"arm": arm, "index_hash": index_hash, "hits": [{"index_hash": index_hash, "text": "x", "tokens": 1}]}
        key = self.key(arm, question)
        told = {"cache": "hit" if key in self.cache else "miss"} if self.says else {}
        if self.caching:
            answer = self.cache.setdefault(key, answer)
        return httpx.Response(200, json={**answer, **told})

    def verdict(self) -> Any:
        async def ask() -> Any:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self), base_url="http://arm") as client:
                arms = {
                    role: ArmClient(
                        client=client, name=name, spec=Arm(connection="c", headers={"X-Arm": name}), timeout_s=1
                    )
                    for role, name in (("blue", "v1"), ("green", "v2"))
                }
                hashes = {"blue": self.hashes["v1"], "green": self.hashes["v2"]}
                return CachePoisonRule().verdict("accept", await ask_canaries(arms, k=5, hashes=hashes))

        return asyncio.run(ask())


def per_arm(arm: str, question: bytes) -> Any:
    return arm, question


def for_all(arm: str, question: bytes) -> Any:
    return question


def test_a_namespace_an_arm_passes() -> None:
    verdict = Service(per_arm).verdict()
    assert (verdict.outcome, verdict.value, verdict.n) == (Outcome.PASS, 0.0, 2)


@pytest.mark.parametrize("says", [True, False], ids=["says hit", "says nothing"])
def test_keys_that_forget_the_arm_fail_both_ways(says: bool) -> None:
    verdict = Service(for_all, says=says).verdict()
    assert (verdict.outcome, verdict.value) == (Outcome.FAIL, 2.0)
    assert "green served what was cached for blue; blue served what was cached for green" in verdict.detail


class Renaming(Service):
    """Says its own name over an answer that it has cached."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = super().__call__(request).json()
        return httpx.Response(200, json={**body, "arm": request.headers["X-Arm"]})


@pytest.mark.parametrize("says", [True, False], ids=["by its hit", "by its INDEX_HASH"])
def test_an_answer_that_only_calls_itself_the_right_arm_fails(says: bool) -> None:
    assert Renaming(for_all, says=says).verdict().outcome is Outcome.FAIL


@pytest.mark.parametrize("service", [Service(per_arm, caching=False), Service(per_arm, says=False)])
def test_a_cache_that_was_never_seen_proves_nothing(service: Service) -> None:
    verdict = service.verdict()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "found none on blue and green" in verdict.detail


def test_an_arm_that_does_not_answer_is_an_error() -> None:
    service = Service(per_arm)
    service.down.add("v2")
    verdict = service.verdict()
    assert verdict.outcome is Outcome.ERROR
    assert "a canary was not answered: HTTP 503" in verdict.detail


def test_two_arms_of_one_build_may_share_an_answer() -> None:
    assert Renaming(for_all, hashes={"v1": "same", "v2": "same"}).verdict().outcome is Outcome.PASS


def test_no_canary_is_no_proof() -> None:
    assert CachePoisonRule().verdict("stop", []).outcome is Outcome.INCONCLUSIVE
