"""The dry run: every read that the run will make, asked now. Nothing is changed, nothing is written but the log.

It is red when a read fails that the run would make: each line says what was asked and what came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial

from switchover.errors import InvariantBroken, LeaseLost, SwitchoverError
from switchover.planfile.departures import departed, departures
from switchover.pointers import Change
from switchover.steps.arm_checks import look_at_arms
from switchover.steps.asked import ask_again, build_asked
from switchover.steps.attest import content_checks
from switchover.steps.caches import questions_to_prime
from switchover.steps.checks import Check
from switchover.steps.controls import CANNOT, controls
from switchover.steps.flip import require_watchdog
from switchover.steps.resume import pins_differ
from switchover.steps.switch import Switch
from switchover.steps.verify import gold_valid, judge_encoder, look_there, not_taken_back, signals_answer
from switchover.steps.world import Arms
from switchover.writers import Writer, WriterSpec

ANSWER = "an answer"
log = logging.getLogger("switchover")


def look(
    switch: Switch, *, arms: Arms, minutes: float, word: str, refuse_others: Callable[[], None]
) -> tuple[str, ...]:
    """Every read and every intended change, in order, as lines for people.

    ``word``: what the form says for a build that was taken back. ``refuse_others`` raises what preflight does.
    ``InvariantBroken`` names each read that failed; then the lines are in the log.
    """
    checks = [*_ledger(switch, refuse_others), *_reads(switch, arms, word)]
    loose = [f"note    {line}"] if (line := departed(departures(switch.plan))) else []
    lines = (*map(_line, checks), *loose, *_intended(switch, minutes))
    failed = [check for check in checks if not check.ok]
    if failed:
        for line in lines:
            log.info("%s", line)
        told = "; ".join(f"{check.name}: {check.found}" for check in failed)
        raise InvariantBroken(f"dry run: {len(failed)} of {len(checks)} reads failed, as they would in the run: {told}")
    return lines


def _line(check: Check) -> str:
    failed = f"FAILED  {check.name}: {check.found}; expected: {check.expected}"
    return f"read    {check.name}: {check.found}" if check.ok else failed


def _answers(name: str, read: Callable[[], str]) -> Check:
    """A read whose answer, whatever it is, will do; one that raises has failed."""
    return _checked(name, lambda: Check(name=name, ok=True, found=read(), expected=ANSWER))


def _checked(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except CANNOT as error:
        return Check(name=name, ok=False, found=str(error), expected=ANSWER)


def _ledger(switch: Switch, refuse_others: Callable[[], None]) -> Iterator[Check]:
    """What preflight refuses a run for."""
    ledger = switch.ledger

    def kept() -> str:
        ledger.require_kept_commits()
        return "keeps what it commits"

    def watched() -> str:
        require_watchdog(switch.plan, ledger)
        return ledger.watchdogs.line()

    def alone() -> str:
        refuse_others()
        lease = ledger.leases.get(switch.pointer.key)
        if lease is not None and lease.alive:
            raise LeaseLost(f"the lease is held by {lease.holder!r} until {lease.expires_at:%H:%M:%S} UTC")
        return f"none is open; the lease is free, epoch {lease.epoch if lease else 0}"

    yield _answers("ledger", kept)
    yield _answers("watchdog", watched)
    yield _answers("other switchovers", alone)


def _reads(switch: Switch, arms: Arms, word: str) -> Iterator[Check]:
    plan, key = switch.plan, switch.pointer.key
    for what, read in controls(switch, blue=arms.blue, green=arms.green, seconds=0, canaries=False).items():
        yield _answers(what, read)
    yield _answers(f"change of {key}", partial(_change, switch, arms))
    yield from look_there(switch, arms)
    yield _answers(f"build of {arms.green}", partial(_build, switch, arms, word))
    facts, checks = look_at_arms(switch, arms)
    yield from checks
    if facts is not None and arms.blue in plan.sharing(arms.green):
        yield _checked("Green was not taken back", partial(not_taken_back, switch, facts, arms, word))
    try:
        yield from content_checks(switch, arms, keep=False)
    except SwitchoverError as error:
        yield Check(name="Green content", ok=False, found=str(error), expected=ANSWER)
    gold = _checked("gold set", partial(gold_valid, switch))
    yield gold
    if gold.ok:
        yield _checked("judge encoder reads the gold set", partial(judge_encoder, switch))
        yield _answers("questions to prime", partial(_to_prime, switch))
        for role in ("blue", "green"):
            yield _checked(f"question to {role.capitalize()}", partial(_question, switch, arms, role))
    yield _checked("signals answer", partial(signals_answer, switch, arms.blue))
    for spec, writer in zip(plan.writers, switch.writers, strict=True):
        yield _answers(f"writer {writer.name!r}", partial(_writer, switch, spec, writer, arms.blue))


def _change(switch: Switch, arms: Arms) -> str:
    lease = switch.ledger.leases.get(switch.pointer.key)
    epoch = (lease.epoch if lease else 0) + 1
    return switch.pointer.plan(
        Change(before=arms.blue, after=arms.green, epoch=epoch, actor="dry run", approved_hash="")
    )


def _build(switch: Switch, arms: Arms, word: str) -> str:
    plan, pointer = switch.plan, switch.pointer.key
    build = build_asked(plan, switch.index, blue=arms.blue, green=arms.green, word=word)
    again = ask_again(switch.ledger, plan=plan, pointer=pointer, green=arms.green, build=build, word=word)
    return again or (
        f"INDEX_HASH {build}, never taken back" if build else f"the index of {arms.blue!r}: its pins decide"
    )


def _to_prime(switch: Switch) -> str:
    return f"{len(questions_to_prime(switch))} for the cache" if switch.plan.cache else "the plan has no cache"


def _question(switch: Switch, arms: Arms, role: str) -> Check:
    async def ask() -> tuple[str | None, int, float]:
        async with switch.asking(arms) as clients:
            text = switch.gold.wordings(switch.gold.items[0])[0]
            reply = await clients[role].ask(text, seed=0, k=switch.plan.probes.k)
            return reply.error, len(reply.hits), reply.stages_ms.get("total", 0.0)

    error, hits, ms = asyncio.run(ask())
    return Check(
        name=f"question to {role.capitalize()}",
        ok=error is None and hits > 0,
        found=error or f"{hits} hits in {ms:.0f} ms",
        expected=f"hits to {switch.gold.items[0].id!r}",
    )


def _writer(switch: Switch, spec: WriterSpec, writer: Writer, live: str) -> str:
    told = [f"found {dict(writer.find())}", writer.drained().proof, f"{writer.waiting()} wait"]
    differ = pins_differ(switch, spec, live)
    return "; ".join([*told, *([f"its pins: {differ}"] if differ else [])])


def _intended(switch: Switch, minutes: float) -> Iterator[str]:
    """What the run would do, step by step."""
    plan, writers = switch.plan, switch.writers
    for writer in writers:
        yield f"would   freeze writer {writer.name!r}, drain in {writer.drain_s:g} s"
    for spec in plan.writers:
        if spec.proves is not None:
            yield f"would   prove the dedupe fence of writer {spec.name!r} with a canary write"
    yield "would   verify Green against its manifest and rehearse the rollback on a shadow pointer"
    yield f"would   ask the gold set x 3 paraphrases x {plan.probes.seeds} seeds of both arms"
    yield f"would   move pointer {switch.pointer.key}, compare-and-set"
    yield f"would   hold and watch for {minutes:g} min, a look every {plan.hold.tick_s:g} s"
    for writer in writers:
        yield f"would   resume writer {writer.name!r}"
