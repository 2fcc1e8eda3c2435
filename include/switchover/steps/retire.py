"""Remove what was Blue, for good: only after a promotion, when it was kept long enough and nothing uses it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from switchover.arms.client import read_reader
from switchover.edge import web
from switchover.edge.edge import Edge
from switchover.errors import BadInput, StateConflict, TargetRefused, Unreachable
from switchover.indexes import Index
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan
from switchover.pointers import Pointer
from switchover.protocol import State
from switchover.steps.move import leased


def retire(*, plan: Plan, edge: Edge, index: str, actor: str) -> str:
    """Remove ``index`` and its manifest; returns one line. A repeat says that it is gone.

    Raises
        BadInput       there is no such arm, or nothing may be removed by this name
        StateConflict  no run promoted away from it, it was not kept long enough, or a switchover is open
        TargetRefused  the pointer, a reader or something in the store still leads to it
        LeaseLost      somebody else holds the pointer
        Unreachable    a store or a reader does not answer: then nothing is known, and nothing is removed
    """
    if index not in plan.arms:
        raise BadInput(f"index {index!r}: is no arm of plan {plan.service!r}; allowed: {', '.join(plan.arms)}")
    ledger, pointer, store = Ledger(engine=edge.sql(plan.ledger)), plan.pointer.build(edge), plan.indexes(edge)
    with leased(ledger, pointer, actor=actor, seconds=plan.converge_s):
        run = _promoted_away(ledger, plan, pointer, index)
        _kept_long_enough(ledger, plan, run, index)
        _led_to_by_nobody(plan, edge, pointer, index)
        if not store.health(index).exists:
            return f"index {index!r}: is gone already; nothing was removed"
        shared = store.shared(index, [arm for arm in plan.arms if arm != index])
        if shared:
            raise TargetRefused(
                f"index {index!r}: is also the index of {', '.join(map(repr, shared))}, so it would go with it;"
                " nothing was removed"
            )
        ledger.journal.say(run.id, f"removing index {index!r} for good", actor=actor, audited="retire")
        _remove(store, index)
        line = f"index {index!r} is removed; {run.green!r} has been live since {run.ended_at:%Y-%m-%d %H:%M} UTC"
        ledger.journal.say(run.id, line, actor=actor, audited="retire")
    return line


def _remove(store: Index, index: str) -> None:
    """Once a removal is sent, no message may say that nothing was removed."""
    sent = f"index {index!r}: its removal was sent; whether it is gone is not known, run this again"
    try:
        store.drop(index)
    except Unreachable as error:
        raise Unreachable(f"{sent}: {error}") from error
    try:
        there = store.health(index).exists
    except (BadInput, Unreachable) as error:
        raise Unreachable(f"{sent}: {error}") from error
    if there:
        raise StateConflict(f"index {index!r}: is still there after it was removed; is something writing to it?")


def _promoted_away(ledger: Ledger, plan: Plan, pointer: Pointer, index: str) -> RunRow:
    """The newest run that ended well; it must have left ``index``."""
    newest = ledger.runs.newest(plan.service, State.PROMOTED)
    if newest is None or newest.pointer != pointer.key or newest.blue != index:
        found = "none was" if newest is None else f"the newest promotion went from {newest.blue!r} to {newest.green!r}"
        raise StateConflict(f"index {index!r}: only Blue of a promoted switchover can be retired; {found}")
    return newest


def _kept_long_enough(ledger: Ledger, plan: Plan, run: RunRow, index: str) -> None:
    assert run.ended_at is not None, "a promoted run has ended"
    until = run.ended_at + timedelta(hours=plan.retire.after_h)
    if ledger.now() < until:
        raise StateConflict(
            f"index {index!r}: is kept for {plan.retire.after_h:g} h after the promotion,"
            f" until {until:%Y-%m-%d %H:%M} UTC; nothing was removed"
        )


def _led_to_by_nobody(plan: Plan, edge: Edge, pointer: Pointer, index: str) -> None:
    live = pointer.read().target
    if live is None or live not in plan.arms or live == index:
        raise TargetRefused(f"index {index!r}: the pointer is on {live or 'nothing'!r}; nothing was removed")
    for name, arm in asyncio.run(_served(plan, edge)).items():
        if arm == index:
            raise TargetRefused(f"index {index!r}: reader {name!r} still serves it; nothing was removed")


async def _served(plan: Plan, edge: Edge) -> dict[str, str]:
    """Reader -> the arm that it serves."""
    served: dict[str, str] = {}
    for reader in plan.readers:
        async with web.async_client(**edge.http_options(reader.connection)) as client:
            served[reader.name] = (await read_reader(client, reader)).arm
    return served
