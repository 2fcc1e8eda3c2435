"""The readers: which arm each serves, who does not follow, and who cannot be read at all."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from switchover.arms.client import read_reader
from switchover.arms.spec import Reader
from switchover.edge import web
from switchover.errors import NotConverged, SwitchoverError, Unreachable
from switchover.report.advice import POINTER, Unproven
from switchover.steps.move import wait_until
from switchover.steps.world import World
from switchover.text import first_line

PAUSE_S = 0.05
#: What stands for an INDEX_HASH where there is none: the weaker proofs, in words.
ARM_ALONE = "by the arm's name alone"
READ_BACK = "pointer read back"
NO_READERS = "the plan names no reader: whether anybody follows the pointer is not known"


@dataclass(kw_only=True)
class Looked:
    """What the readers say. ``followed``: name -> INDEX_HASH; ``behind`` and ``unread``: name -> why."""

    followed: dict[str, str] = field(default_factory=dict)
    behind: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def prove_readers(world: World, target: str, *, index_hash: str, seconds: float) -> dict[str, str]:
    """Wait until every reader serves this build of ``target``; gives reader -> INDEX_HASH.

    One that a person left out, and that cannot be read, counts as followed, with those words instead of a hash.
    Raises ``NotConverged`` with the others.
    """
    if not world.plan.readers:
        return {READ_BACK: NO_READERS}
    looked = asyncio.run(_wait(world, target, index_hash, seconds))
    left_out = _left_out(world)
    missing = {name: why for name, why in looked.unread.items() if name not in left_out} | looked.behind
    if missing:
        raise NotConverged(f"after {seconds:g} s not every reader serves {target!r}: {'; '.join(missing.values())}")
    return looked.followed | {name: left_out[name] for name in looked.unread}


def unproven(world: World, target: str, *, index_hash: str) -> Unproven:
    """One look, for people: what keeps ``target`` from being proven now. Changes nothing, raises nothing."""
    left_out = _left_out(world)
    try:
        looked = asyncio.run(_wait(world, target, index_hash, 0.0))
    except (SwitchoverError, ValueError) as error:
        return Unproven(unread={"readers": first_line(error)})
    unread = {name: why for name, why in looked.unread.items() if name not in left_out}
    if POINTER not in left_out and (why := _pointer_unproven(world, target)):
        unread[POINTER] = why
    return Unproven(unread=unread, behind=looked.behind)


def prove_pointer(world: World, target: str, *, seconds: float) -> None:
    """Wait until the store proves that it serves ``target`` everywhere; ``NotConverged`` after ``seconds``.

    Where a person left this proof out, the pointer must still read ``target``.
    """
    try:
        wait_until(world.pointer, target, seconds=seconds)
    except NotConverged:
        if POINTER not in _left_out(world) or world.pointer.read().target != target:
            raise


def _pointer_unproven(world: World, target: str) -> str:
    try:
        proven = world.pointer.verify(target)
    except SwitchoverError as error:
        return first_line(error)
    return "" if proven else f"the store does not prove that it serves {target!r} everywhere"


def _left_out(world: World) -> dict[str, str]:
    row = world.ledger.runs.find(world.id)
    return dict(row.left_out or {}) if row is not None else {}


async def _wait(world: World, target: str, index_hash: str, seconds: float) -> Looked:
    deadline = time.monotonic() + seconds
    readers = {reader.name: reader for reader in world.plan.readers}
    looked = Looked()
    while True:
        for name in [name for name in readers if name not in looked.followed]:
            await _ask(world, readers[name], target, index_hash, looked)
        if len(looked.followed) == len(readers) or time.monotonic() >= deadline:
            return looked
        await asyncio.sleep(PAUSE_S)


async def _ask(world: World, reader: Reader, target: str, index_hash: str, looked: Looked) -> None:
    name = reader.name
    looked.unread.pop(name, None)
    looked.behind.pop(name, None)
    try:
        async with web.async_client(**world.edge.http_options(reader.connection)) as client:
            served = await read_reader(client, reader)
    except Unreachable as error:
        looked.unread[name] = str(error)
        return
    if served.arm == target and served.index_hash in (index_hash, None):
        looked.followed[name] = served.index_hash or ARM_ALONE
    else:
        build = "no INDEX_HASH" if served.index_hash is None else f"INDEX_HASH {served.index_hash[:12]}"
        looked.behind[name] = f"{name} serves {served.arm!r} with {build}"
