"""The dry run: every read that the run will make, asked now. Nothing is changed, nothing is written but the log.

It is red when a read fails that the run would make: each line says what was asked and what came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from switchover.errors import InvariantBroken, LeaseLost, SwitchoverError
from switchover.planfile.departures import departed, departures
from switchover.pointers import Change
from switchover.steps.asked import ask_again, build_asked
from switchover.steps.attest import content_checks
from switchover.steps.checks import Check
from switchover.steps.flip import require_watchdog
from switchover.steps.seams import ANSWER, Seams, answers, checked
from switchover.steps.switch import Switch
from switchover.steps.verify import not_taken_back
from switchover.steps.world import Arms, BothArms

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

    yield answers("ledger", kept).check
    yield answers("watchdog", watched).check
    yield answers("other switchovers", alone).check


def _reads(switch: Switch, arms: Arms, word: str) -> Iterator[Check]:
    plan, key, seams = switch.plan, switch.pointer.key, Seams(switch, BothArms(blue=arms.blue, green=arms.green))
    yield answers(f"change of {key}", partial(_change, switch, arms)).check
    yield answers(f"build of {arms.green}", partial(_build, switch, arms, word)).check
    for part, reads in seams.parts.items():
        if part != "notify":  # a run does not fail for want of a channel
            yield from (read.check for read in reads())
    facts, _ = seams.looked
    if facts is not None and arms.blue in plan.sharing(arms.green):
        yield checked("Green was not taken back", partial(not_taken_back, switch, facts, arms, word)).check
    try:
        yield from content_checks(switch, arms, keep=False)
    except SwitchoverError as error:
        yield Check(name="Green content", ok=False, found=str(error), expected=ANSWER)


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
