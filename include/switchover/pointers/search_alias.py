"""An index alias in OpenSearch or Elasticsearch, moved by one ``_aliases`` call.

The call removes the alias from the old index, adds it to the new one, and exchanges the mark that carries the epoch
(``search_marks``). Each removal says ``must_exist``: where one finds nothing, the whole call changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from switchover.edge.edge import Edge
from switchover.edge.names import search_name
from switchover.edge.search_api import SearchApi, search_api
from switchover.errors import BadInput, PointerConflict, TargetRefused
from switchover.pointers import search_block as write_block
from switchover.pointers.base import (
    Applied,
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    arm_of,
    not_of_a_rehearsal,
)
from switchover.pointers.search_marks import (
    PREFIX,
    Seen,
    act,
    add,
    exchange,
    frozen_name,
    look,
    new_mark,
    remove,
)
from switchover.pointers.search_target import NARROWING, count, indexes, unseen, wrong_with

REHEARSAL = "--rehearsal"
#: What an alias can carry, in the words of an answer and of an ``add`` action alike.
CARRIED = ("filter", "index_routing", "search_routing", "is_write_index", "is_hidden")


def _not_ours(alias: str) -> str:
    if PREFIX in alias or alias.endswith(REHEARSAL):
        raise ValueError(f"a name without {PREFIX!r}, and without {REHEARSAL!r} at its end")
    return alias


Alias = Annotated[
    str,
    Field(max_length=150, pattern=r"^[^-_+\\/*?\"<>|\s,#:][^\\/*?\"<>|\s,#:]*$"),
    AfterValidator(_not_ours),
]


class SearchAliasSpec(PointerSpec):
    """What both kinds are told."""

    #: One word for both kinds: a client of either may well be pointed at one cluster.
    names_indexes_of: ClassVar[str] = "a search cluster"

    alias: Alias = Field(description="The alias that readers search.")
    targets: dict[str, str] | None = Field(
        None, description="Index of each arm; without it an arm's name is its index's name."
    )
    freeze_writes: bool = Field(
        False, description="Block writes to the index that is left, acknowledged before the alias moves."
    )

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`PointerSpec`."""
        super().check_arms(arms)
        for arm in arms:
            search_name((self.targets or {}).get(arm, arm), f"pointer: arm {arm!r}", ValueError)

    def _build(self, edge: Edge, kind: str) -> Pointer:
        return SearchAlias(
            api=search_api(edge, kind=kind, connection=self.connection),
            alias=self.alias,
            targets=self.targets or {},
            freeze_writes=self.freeze_writes,
        )


class OpenSearchSpec(SearchAliasSpec):
    """An index alias in OpenSearch that names the live index."""

    kind: Literal["opensearch"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        return self._build(edge, self.kind)


class ElasticsearchSpec(SearchAliasSpec):
    """An index alias in Elasticsearch that names the live index."""

    kind: Literal["elasticsearch"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        return self._build(edge, self.kind)


class SearchAlias(Pointer):
    """The alias ``alias`` of one cluster. ``targets``: arm to index, where the two differ."""

    def __init__(self, *, api: SearchApi, alias: str, targets: Mapping[str, str], freeze_writes: bool = False) -> None:
        self._api = api
        self._alias = alias
        self._targets = targets
        self._freezes = freeze_writes
        self.key = f"{api.kind}:{api.place}/{alias}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fencing=EpochCheck.WITH_THE_WRITE,
            propagation="at once: every node acknowledges the move before the call returns",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`. ``BadInput`` when the name is that of an index."""
        seen = look(self._api, self._alias)
        if not seen.holders and self._alias in indexes(self._api, self._alias):
            raise BadInput(f"{self.key}: is an index; allowed: an alias on the live arm's index")
        arms = [arm_of(self._targets, index) for index in sorted(seen.holders)]
        return Reading(target=" and ".join(arms) or None, version=seen.version, epoch=seen.epoch, token=seen)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. The hash is ``index_hash`` in the ``_meta`` of the mapping, where there is one.

        Counted as the alias would: through the filter and the routing that it carries and takes along.
        """
        index = self._index(target)
        carried = next(iter(look(self._api, self._alias).holders.values()), {})
        if wrong := wrong_with(self._api, index, approved_hash) or unseen(self._api, index, carried):
            raise TargetRefused(f"{self.key}: index {index!r} {wrong}; nothing was changed")

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`.

        Where there is no mark yet the first one is set and the caller looks again: two holders that both
        found none would otherwise have nothing that one can take from the other.
        """
        seen: Seen | None = now.token
        assert seen is not None, "a reading of this pointer"
        ((old, carried),) = seen.holders.items()
        new = self._index(change.after)
        self._refuse_unknown(carried)
        if not seen.marks:
            self._first_mark(old)
            return False
        thaw = []
        if self._freezes and new in seen.frozen:  # the way back: what a move froze is thawed, nothing is frozen
            write_block.off(self._api, new)
            thaw = [remove(new, frozen_name(self._alias))]
        elif self._freezes:
            seen = self._freeze(old, seen, change.epoch)
            if seen is None:
                return False
        mark = new_mark(self._alias, index=new, epoch=change.epoch, version=(seen.version or 0) + 1)
        move = [remove(old, self._alias), add(new, self._alias, **carried)]
        return act(self._api, *move, *thaw, *exchange(seen.marks, mark))

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        while (seen := look(self._api, self._alias)).holders and (seen.epoch is None or seen.epoch < epoch):
            home = min(seen.holders)
            if not seen.marks:
                self._first_mark(home)
                continue
            mark = new_mark(self._alias, index=home, epoch=epoch, version=seen.version or 0)
            if act(self._api, *exchange(seen.marks, mark)):
                return

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`. It carries what the alias carries, so that a filter is tried on both indexes."""
        carried = dict(next(iter(look(self._api, self._alias).holders.values()), {}))
        carried["is_hidden"] = True  # no search with a wildcard finds it
        name, index = self._alias + REHEARSAL, self._index(target)
        first = new_mark(name, index=index, epoch=0, version=0)
        self._forget(name)
        if look(self._api, name).holders:
            raise not_of_a_rehearsal(self.key, f"alias {name!r}")
        act(self._api, add(index, name, **carried), *exchange((), first))
        try:
            yield SearchAlias(api=self._api, alias=name, targets=self._targets)
        finally:
            self._forget(name)

    def plan(self, change: Change) -> str:
        """See :class:`Pointer`. With a filter or a routing also: what readers see of each index through it."""
        said = super().plan(change)
        carried = next(iter(look(self._api, self._alias).holders.values()), {})
        if NARROWING & set(carried):
            seen = [
                f"{count(self._api, self._index(arm), carried)} in {arm!r}" for arm in (change.before, change.after)
            ]
            said += f"; through its filter or routing readers see {', '.join(seen)}"
        return said

    def behind(self, target: str) -> str:
        """See :class:`Pointer`. Counted through the alias itself, as readers reach it.

        ``BadInput`` when the live index still refuses writes because a move was cut short.
        """
        if why := super().behind(target):
            return why
        index = self._index(target)
        if self._freezes and index in look(self._api, self._alias).frozen and write_block.is_on(self._api, index):
            raise BadInput(
                f"{self.key}: {index!r} is live and still refuses writes since a move was cut short;"
                f" a swap to {target!r} takes the block off"
            )
        return "" if count(self._api, self._alias, {}) else "through the alias readers find no document"

    def apply(self, change: Change) -> Applied:
        """See :class:`Pointer`. A live index that a move of ours froze and then did not leave is thawed."""
        try:
            applied = super().apply(change)
        except (TargetRefused, PointerConflict):
            self._thaw_if_live(change.before, change.epoch)
            raise
        if not applied.changed:
            self._thaw_if_live(change.after, change.epoch)
        return applied

    def _freeze(self, index: str, seen: Seen, epoch: int) -> Seen | None:
        """Block writes; ``None`` when a newer holder came in between, and then nothing was frozen.

        What is frozen is written down first, under the fence. A block that somebody else set is left to them.
        """
        if index not in seen.frozen:
            if write_block.is_on(self._api, index):
                return seen
            claim = new_mark(self._alias, index=index, epoch=epoch, version=seen.version or 0)
            note = add(index, frozen_name(self._alias), is_hidden=True)
            if not act(self._api, *exchange(seen.marks, claim), note):
                return None
            seen = replace(seen, marks=(claim,))
        write_block.on(self._api, index)
        return seen

    def _thaw_if_live(self, arm: str, epoch: int) -> None:
        if not self._freezes:
            return
        seen, index = look(self._api, self._alias), self._targets.get(arm, arm)
        if set(seen.holders) == {index} and index in seen.frozen and (seen.epoch or 0) <= epoch:
            write_block.off(self._api, index)
            act(self._api, remove(index, frozen_name(self._alias)))

    def _first_mark(self, index: str) -> None:
        act(self._api, *exchange((), new_mark(self._alias, index=index, epoch=0, version=0)))

    def _forget(self, alias: str) -> None:
        """Remove a rehearsal's alias, and no other: a rehearsal's has a mark from the beginning."""
        seen = look(self._api, alias)
        if not seen.marks:
            return
        gone = [remove(index, alias) for index in seen.holders] + [remove(mark.index, mark.name) for mark in seen.marks]
        act(self._api, *gone)

    def _index(self, arm: str) -> str:
        return search_name(self._targets.get(arm, arm), f"{self.key}: arm {arm!r}")

    def _refuse_unknown(self, carried: Mapping[str, Any]) -> None:
        unknown = [name for name in carried if name not in CARRIED]
        if unknown:
            raise BadInput(
                f"{self.key}: the alias carries {', '.join(unknown)}; allowed: {', '.join(CARRIED)};"
                " nothing was changed"
            )
