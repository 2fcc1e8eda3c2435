"""What both arms' indexes hold, for the rules of the warm gate: counted before the freeze, since it may take long.

A store without an index of the field with the documents' ids reads all its rows for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from switchover.errors import SwitchoverError
from switchover.gold.item import Grade
from switchover.judge.holdings import Holdings
from switchover.ledger import RunRow
from switchover.steps.switch import Switch
from switchover.steps.world import Arms


def counted(switch: Switch, row: RunRow) -> Holdings:
    """What was counted before; counted now where it was not, or for another gold set. An error is not kept."""
    kept = row.holdings
    if kept is not None and kept["gold"] == switch.gold.digest:
        return Holdings.from_json(kept["found"])
    found = holdings_of(switch, row)
    if not found.error:
        switch.ledger.runs.stamp(switch.id, holdings={"gold": switch.gold.digest, "found": found.to_json()})
    return found


def holdings_of(switch: Switch, arms: Arms) -> Holdings:
    """Rows of both indexes, and the gold set's documents or chunks among them."""
    what, asked = _named_by_answers(switch)
    try:
        if switch.index.shared(arms.green, [arms.blue]):
            return Holdings(one=True)
        blue, green = (switch.index.count(target) for target in (arms.blue, arms.green))
        in_blue, in_green = (_there(switch, target, what, asked) for target in (arms.blue, arms.green))
        cuts = {switch.index.manifest(target).pins.get("CHUNK_SCHEMA_VER") for target in (arms.blue, arms.green)}
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
        in_blue=frozenset(in_blue or ()),
        in_green=frozenset(in_green or ()),
        untold=untold,
        recut=len(cuts) > 1,
    )


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
