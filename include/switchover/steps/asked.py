"""Whether a run is still what somebody wants: it begins near its time, and not with a build that was taken back."""

from __future__ import annotations

from datetime import datetime

from switchover.errors import BadInput, TargetRefused
from switchover.indexes import Index
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan

SHORTEST = 12  # characters of an INDEX_HASH that name a build


def too_late(plan: Plan, *, due: datetime | None, now: datetime) -> str | None:
    """Why a run that was due at ``due`` must not begin ``now`` any more, in one line; ``None`` when it may.

    Unpausing a DAG starts the run of a slot that is long over; a run may wait for hours behind another; an old
    run may be cleared. Nobody expects a switchover then. ``due`` unknown is never late.
    """
    late = (now - due).total_seconds() / 60 if due is not None else 0.0
    if due is None or late <= plan.start_within_minutes:
        return None
    return (
        f"skipped: was due at {due:%Y-%m-%d %H:%M} UTC, {_span(late)} ago; allowed: start_within_minutes"
        f" {plan.start_within_minutes:g}. Nothing was changed. To switch now, trigger switchover__{plan.service}"
    )


def _span(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def ask_again(ledger: Ledger, *, plan: Plan, pointer: str, green: str, build: str | None, word: str) -> str | None:
    """What to write down when a person asks for a build again that was taken back; ``None`` when none was.

    ``build`` is the INDEX_HASH of ``green``, ``None`` when it has none; ``word`` what the person gave, the beginning
    of an INDEX_HASH. ``TargetRefused`` when it was taken back and nobody asks for it, ``BadInput`` for a word that
    names no build or another one.
    """
    if word and len(word) < SHORTEST:
        raise BadInput(f"retry_build: found {len(word)} characters; allowed: at least {SHORTEST} of an INDEX_HASH")
    if word and not (build or "").startswith(word):
        raise BadInput(
            f"retry_build: found {word[:64]!r}, but {green!r} is build {build or 'without an INDEX_HASH'}; allowed: the"
            f" beginning of that; nothing was changed"
        )
    back = took_back(ledger, pointer=pointer, build=build)
    if back is None:
        return None
    if word:
        return f"{_told(back, green, build)}. A person asks for this build again: retry_build {word}"
    raise TargetRefused(
        f"{_told(back, green, build)}. Nothing was changed. Build another, or a person triggers"
        f" switchover__{plan.service} with retry_build = {(build or '')[:SHORTEST]}"
    )


def build_asked(plan: Plan, index: Index, *, blue: str, green: str, word: str) -> str | None:
    """The INDEX_HASH of Green that may have been taken back; ``None`` when it has none.

    None either where Green stands over Blue's own index and nobody names it: there its pins decide, which verify asks.
    """
    return None if blue in plan.sharing(green) and not word else index.health(green).stored_hash


def took_back(ledger: Ledger, *, pointer: str, build: str | None) -> RunRow | None:
    """The run that rolled this build back, unless a later one has promoted it; ``None`` when there is none."""
    return ledger.runs.took_back(pointer, build) if build else None


def _told(back: RunRow, green: str, build: str | None) -> str:
    at = back.ended_at or back.updated_at
    return (
        f"{green!r} is build {(build or '')[:SHORTEST]}, which switchover {back.id!r} took back at"
        f" {at:%Y-%m-%d %H:%M} UTC: {back.reason}"
    )
