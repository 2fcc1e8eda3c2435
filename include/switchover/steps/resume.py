"""The writers go on, onto the arm that is proven live, and each only under its contract.

A writer whose pins are not the live arm's, and one that somebody else has changed, stays as it is: it is *held*,
the ledger says why, and a person resumes it after the mend (``switchover writers resume``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from switchover.edge import web
from switchover.edge.body import BadAnswer, read_json
from switchover.edge.edge import reaching
from switchover.edge.fields import Fields
from switchover.errors import BadInput, StateConflict, SwitchoverError, Unreachable, WriterChanged
from switchover.ledger.journal import Row
from switchover.protocol import State
from switchover.steps.act import prove_live
from switchover.steps.frozen import held_lines
from switchover.steps.replay import put_back
from switchover.steps.switch import Switch
from switchover.writers import Writer, WriterSpec
from switchover.writers.base import REPORTED
from switchover.writers.base import State as WriterState

Pins = Mapping[str, str]


class Way(str, Enum):
    """What a person wants of a writer that somebody else has changed."""

    REFUSE = "refuse"  # leave it, and say so
    KEEP = "keep"  # it stays as it is now, and counts as resumed
    OVERWRITE = "overwrite"  # it is put back as the run found it


def resume_writers(switch: Switch, target: str, *, index_hash: str | None) -> list[str]:
    """Resume every writer that this run froze, onto an arm that is proven live. Returns their names.

    One writer that is held or cannot be resumed does not keep the others frozen; an error is raised at the end.
    """
    frozen = {row["name"]: row for row in switch.ledger.journal.writers(switch.id) if row["resumed_at"] is None}
    if not frozen:
        return []
    prove_live(switch, target, index_hash=index_hash or switch.index.health(target).stored_hash or "")
    resumed: list[str] = []
    failed: list[str] = []
    # In reverse: what was stopped last depends on what was stopped before.
    for spec, writer in reversed(list(zip(switch.plan.writers, switch.writers, strict=True))):
        if writer.name not in frozen:
            continue
        try:
            if _resume(switch, spec, writer, frozen[writer.name], target):
                resumed.append(writer.name)
        except SwitchoverError as error:
            failed.append(f"{writer.name}: {error}")
    if failed:
        raise BadInput(f"not every writer could be resumed on {target!r}: {'; '.join(failed)}")
    return resumed


def resume_one(switch: Switch, name: str, *, mended: Pins | None = None, way: Way = Way.REFUSE) -> str:
    """Resume one writer of a run that has ended, after the mend; returns what was done. Safe to repeat.

    ``mended``: the values of pins that the plan gives as values, as they are now.
    """
    row = switch.read()
    writers = {each["name"]: each for each in switch.ledger.journal.writers(switch.id)}
    if name not in writers:
        raise BadInput(f"switchover {switch.id!r}: froze no writer {name!r}; allowed: {', '.join(writers) or 'none'}")
    if not row.state.ended:
        raise StateConflict(
            f"switchover {switch.id!r}: is {row.state.value}; its writers are resumed when it has ended"
        )
    if writers[name]["resumed_at"] is not None:
        return f"writer {name!r} was resumed already, on {writers[name]['resumed_on']!r}; nothing was changed"
    target, index_hash = (row.green, row.approved_hash) if row.state is State.PROMOTED else (row.blue, row.blue_hash)
    spec, writer = next(pair for pair in zip(switch.plan.writers, switch.writers, strict=True) if pair[0].name == name)
    spec = spec.model_copy(update={"pins": {**spec.pins, **(mended or {})}})
    switch.leadership.take()
    try:
        prove_live(switch, target, index_hash=index_hash or switch.index.health(target).stored_hash or "")
        if not _resume(switch, spec, writer, writers[name], target, way=way):
            raise WriterChanged("; ".join(held_lines(switch, name)))
    finally:
        switch.leadership.release()
    return f"writer {name!r} {'left as it is' if way is Way.KEEP else 'resumed'} on {target!r}"


def _resume(switch: Switch, spec: WriterSpec, writer: Writer, row: Row, target: str, *, way: Way = Way.REFUSE) -> bool:
    """Whether it was resumed; otherwise the ledger says what holds it."""
    journal, lease = switch.ledger.journal, switch.leadership.renew()
    broken = pins_differ(switch, spec, target)
    if broken:
        return _hold(switch, writer.name, f"writer {writer.name!r} stays frozen: {broken}")
    if way is Way.REFUSE:
        try:
            writer.refuse_foreign(row["found"], proven=row["drained_at"] is not None and row["resumed_on"] is None)
        except WriterChanged as changed:
            return _hold(switch, writer.name, str(changed))
    journal.resuming(switch.id, writer.name, on=target)
    if way is not Way.KEEP:
        if not writer.thawed(row["found"]):
            put_back(switch, spec, target)
        try:
            writer.restore(row["found"], epoch=lease.epoch)
        except BadInput:
            if row["drained_at"] is not None or not _as_found(writer, row["found"]):
                raise
            # The right that is missing was missing for the freeze as well: there is nothing to put back.
    journal.resumed(switch.id, writer.name, on=target)
    switch.say(f"writer {writer.name!r} {'left as it is' if way is Way.KEEP else 'resumed'} on {target!r}")
    return True


def _as_found(writer: Writer, found: WriterState) -> bool:
    now = writer.find()
    return all(now.get(key) == found.get(key) for key in writer.frozen(found))


def _hold(switch: Switch, name: str, why: str) -> bool:
    switch.ledger.journal.held(switch.id, name, why=why)
    switch.say(why)
    return False


def pins_differ(switch: Switch, spec: WriterSpec, target: str) -> str:
    """Where the writer's declared pins differ from the live arm's, in words; empty when they are the same."""
    if not spec.pins:
        return ""
    arm, shape = switch.plan.arms[target], switch.plan.shape(target)
    live: Pins = arm.promised
    if (call := shape.report_call()) is not None:
        name = f"arm {target!r}"
        live = {**live, **_reported(switch, arm.connection, call.url, shape.pins, name=name, headers=call.headers)}
    asked: Pins = {}
    if spec.reports is not None and REPORTED in spec.pins.values():
        reports = spec.reports
        asked = _reported(switch, reports.connection, reports.path, _pins, name=f"writer {spec.name!r}")
    differ: list[str] = []
    for name, declared in spec.pins.items():
        own = asked.get(name, "") if declared == REPORTED else declared
        if not own or own != live.get(name):
            differ.append(f"{name} is {own or 'absent'}, the live arm {target!r} has {live.get(name) or 'none'}")
    return "; ".join(differ)


def _pins(body: Any) -> Pins:
    return Fields(body).inner("pins").texts()


def _reported(
    switch: Switch,
    connection: str,
    path: str,
    pins_of: Callable[[Any], Pins],
    *,
    name: str,
    headers: Pins | None = None,
) -> Pins:
    what = f"{name}: GET {path}"
    with web.client(**switch.edge.http_options(connection)) as client, reaching(what):
        response = client.get(path, headers=dict(headers or {}))
    if not response.is_success:
        raise Unreachable(f"{what}: answered {response.status_code}")
    try:
        return pins_of(read_json(response))
    except BadAnswer as error:
        raise Unreachable(f"{what}: answer cannot be read: {error}") from error
