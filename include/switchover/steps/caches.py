"""What the switchover does about cached answers: fills Green's namespace, and asks canaries."""

from __future__ import annotations

import asyncio
from pathlib import Path

from switchover.arms.cache_canary import ask_canaries, late_canaries
from switchover.errors import BadInput
from switchover.judge.canaries import Canary
from switchover.ledger import RunRow
from switchover.steps.switch import Switch


async def prime_green(switch: Switch, row: RunRow) -> str:
    """Ask Green each question of the gold set and the popular ones through its cache. Returns a note, or nothing.

    A question that fails is counted and not asked again: a cold entry costs a slow answer, no more.
    """
    if switch.plan.cache is None:
        return ""
    questions, probes = questions_to_prime(switch), switch.plan.probes
    limit = asyncio.Semaphore(probes.concurrency)
    async with switch.asking(row) as arms:

        async def answered(question: str) -> bool:
            async with limit:
                return (await arms["green"].ask(question, seed=0, k=probes.k, through_cache=True)).ok

        count = sum(await asyncio.gather(*(answered(question) for question in questions)))
    switch.say(f"{count} of {len(questions)} questions primed in Green's cache")
    return f"{count} of {len(questions)} questions primed; "


def questions_to_prime(switch: Switch) -> list[str]:
    """Each once, the gold set's first."""
    found = [text for item in switch.gold.items for text in switch.gold.wordings(item)]
    path = switch.plan.cache.popular if switch.plan.cache is not None else None
    if path:
        try:
            found += [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cache.popular: {path}: cannot be read: {error}") from None
    return [question for question in dict.fromkeys(found) if question]


async def canaries_of(switch: Switch, row: RunRow, *, seconds: float | None = None) -> list[Canary] | None:
    """What the canaries found; ``None`` when the plan has no ``cache``: then none is asked.

    When they take longer than ``seconds`` each says so.
    """
    if switch.plan.cache is None:
        return None
    hashes = {"blue": row.blue_hash, "green": row.approved_hash}
    async with switch.asking(row) as arms:
        try:
            return await asyncio.wait_for(ask_canaries(arms, k=switch.plan.probes.k, hashes=hashes), seconds)
        except asyncio.TimeoutError:
            return late_canaries(f"the canaries were not answered within {seconds:g} s")
