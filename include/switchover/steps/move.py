"""One move of a pointer outside a switchover: for operators in any DAG, and for people at the command line."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from switchover.errors import BadInput, NotConverged, StateConflict, Unreachable
from switchover.ledger import Ledger
from switchover.pointers import AnyPointer, Change, Pointer, PointerSpec

TRIES = 4
PAUSE_S = 0.1
LEASE_SLACK_S = 60.0
_ADAPTER: TypeAdapter[PointerSpec] = TypeAdapter(AnyPointer)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a move did. ``seconds`` from the first read until the store reads the target everywhere."""

    pointer: str
    before: str
    after: str
    changed: bool
    version: int | None
    epoch: int
    seconds: float

    @property
    def line(self) -> str:
        """For people."""
        if not self.changed:
            return f"{self.pointer}: was on {self.after!r} already; nothing was changed"
        return f"{self.pointer}: moved from {self.before!r} to {self.after!r} in {self.seconds:.2f} s"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def pointer_spec(values: Mapping[str, Any]) -> PointerSpec:
    """A pointer's part of a plan, given without a plan. ``BadInput`` names every wrong key."""
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        raise BadInput("; ".join(_problem(values, detail) for detail in error.errors())) from None


def move(
    pointer: Pointer, *, expect: str, to: str, actor: str, epoch: int | None = None, converge_s: float = 30
) -> Moved:
    """Move from ``expect`` to ``to`` and wait until the store reads it everywhere.

    Without an ``epoch`` the store's own is kept, so a switchover that has fenced is not shut out. A store that
    does not answer is read back and asked again. Raises as :meth:`Pointer.apply`, and ``NotConverged``.
    """
    began = time.monotonic()
    for attempt in range(TRIES):
        try:
            held = epoch if epoch is not None else (pointer.read().epoch or 0)
            applied = pointer.apply(Change(before=expect, after=to, epoch=held, actor=actor))
            break
        except Unreachable:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)
    wait_until(pointer, to, seconds=converge_s)
    return Moved(
        pointer=pointer.key,
        before=expect,
        after=to,
        changed=applied.changed,
        version=applied.version,
        epoch=held,
        seconds=time.monotonic() - began,
    )


def wait_until(pointer: Pointer, target: str, *, seconds: float) -> None:
    """Wait until the store serves ``target`` everywhere; ``NotConverged`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while why := pointer.behind(target):
        if time.monotonic() >= deadline:
            raise NotConverged(f"{pointer.key}: does not serve {target!r} everywhere after {seconds:g} s: {why}")
        time.sleep(PAUSE_S)


@contextlib.contextmanager
def leased(ledger: Ledger, pointer: Pointer, *, actor: str, seconds: float) -> Iterator[int]:
    """Hold the pointer's lease for one move; gives its epoch.

    ``LeaseLost`` while a switchover holds it; ``StateConflict`` while one is open that holds it no more.
    """
    open_runs = ledger.runs.open_on(pointer.key)
    if open_runs:
        raise StateConflict(
            f"{pointer.key}: switchover {open_runs[0].id!r} is {open_runs[0].state.value}; nothing was changed."
            f" If nobody drives it any more, `switchover restore '{open_runs[0].id}'` ends it"
        )
    holder = f"{actor}, process {os.getpid()} on {socket.gethostname()}"
    lease = ledger.leases.take(pointer.key, holder=holder, seconds=seconds + LEASE_SLACK_S)
    try:
        pointer.refuse_older(lease.epoch)
        yield lease.epoch
    finally:
        ledger.leases.release(lease)


def _problem(values: Mapping[str, Any], detail: Any) -> str:
    kind = values.get("kind")
    key = ".".join(str(step) for step in detail["loc"] if step != kind) or "pointer"
    context = detail.get("ctx", {})
    allowed = context.get("expected_tags") or context.get("expected") or detail["msg"]
    if detail["type"] == "missing":
        return f"pointer: {key}: missing; this key is required"
    if detail["type"] == "union_tag_not_found":
        return f"pointer: kind: missing; allowed: {', '.join(kinds())}"
    if detail["type"] == "union_tag_invalid":
        return f"pointer: kind: found {kind!r}; allowed: {', '.join(kinds())}"
    if detail["type"] == "extra_forbidden":
        return f"pointer: {key}: unknown key for kind {kind!r}"
    return f"pointer: {key}: found {str(detail['input'])[:80]!r}; allowed: {allowed}"


def kinds() -> list[str]:
    """Every kind of pointer, sorted."""
    return sorted(_ADAPTER.json_schema()["discriminator"]["mapping"])
