"""Counts what both arms' indexes hold, for the rules of the warm gate. A few quick reads, whatever their size."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from switchover.errors import SwitchoverError
from switchover.gold.item import Grade
from switchover.judge.holdings import Holdings
from switchover.steps.switch import Switch
from switchover.steps.world import Arms


def holdings_of(switch: Switch, arms: Arms) -> Holdings:
    """Rows of both indexes, and the gold set's documents or chunks among them."""
    what, asked = _named_by_answers(switch)
    try:
        if switch.index.shared(arms.green, [arms.blue]):
            return Holdings(one=True)
        blue, green = (switch.index.count(target) for target in (arms.blue, arms.green))
        in_blue, in_green = (_there(switch, target, what, asked) for target in (arms.blue, arms.green))
    except SwitchoverError as error:
        return Holdings(error=str(error))
    untold = ""
    if not asked:
        untold = "answers name no document"
    elif in_blue is None or in_green is None:
        untold = "the plan's `index.doc` does not say where the id of a row's document stands"
    return Holdings(
        blue=blue,
        green=green,
        what=what,
        asked=len(asked),
        in_blue=in_blue or (),
        in_green=in_green or (),
        untold=untold,
        recut=_chunking(switch, "green") != _chunking(switch, "blue"),
    )


def _chunking(switch: Switch, role: str) -> str | None:
    """How an arm cuts documents, as verify found it."""
    pin: str | None = switch.ledger.subjects.arms(switch.id).get(role, {}).get("pins", {}).get("CHUNK_SCHEMA_VER")
    return pin


def _named_by_answers(switch: Switch) -> tuple[str, Sequence[str]]:
    """``documents`` or ``chunks``, and their ids."""
    gold = switch.gold
    if gold.grade is Grade.ID:
        return gold.judged, sorted({id for relevant in gold.relevant for id in relevant})
    return "documents", sorted({doc for item in gold.items for doc in item.docs})


def _there(switch: Switch, target: str, what: str, ids: Sequence[str]) -> Collection[str] | None:
    """Those of the ids that the index holds; ``None`` where it cannot be asked for documents."""
    if not ids:
        return ()
    return switch.index.texts(target, ids).keys() if what == "chunks" else switch.index.documents(target, ids)
