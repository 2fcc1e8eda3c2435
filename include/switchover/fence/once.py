"""Each effect once: set-if-absent pending → effect → done with its receipt."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from switchover.errors import BadInput, FenceBusy, FenceConflict, FenceLost, SwitchoverError, Unreachable
from switchover.fence.base import Claim, Done, Held, Store
from switchover.fence.effect import Effect, named
from switchover.fence.key import FenceKey
from switchover.fence.payload import changes, payload_of

DAY_S = 86_400.0
#: How long a done key is remembered, in seconds by kind of source: longer than the source can deliver again.
DEFAULT_TTL_S: Mapping[str, float] = {
    "http": 2 * DAY_S,  # a client that repeats a request
    "sqs": 15 * DAY_S,  # the longest retention is 14 days
    "kafka": 30 * DAY_S,  # set it above the retention of your topics
    "airflow_dag": 90 * DAY_S,  # a run that is cleared and run again
}
OTHER_TTL_S = 30 * DAY_S
DECISIONS = ("new", "repeated", "duplicate", "conflict", "busy", "lost")
_SHOWN_CHANGES = 5

T = TypeVar("T")


class Fence:
    """Effects of one holder in one store; safe to share between threads if the store is."""

    def __init__(
        self, *, store: Store, holder: str, lease_s: float = 60.0, ttl_s: Mapping[str, float] | None = None
    ) -> None:
        """``holder``: the name that others are shown. ``lease_s``: longer than a block takes at its worst.

        ``ttl_s``: seconds by source type, on top of ``DEFAULT_TTL_S``; any other type has ``OTHER_TTL_S``.
        """
        if lease_s <= 0:
            raise BadInput(f"fence: lease_s: found {lease_s:g}; allowed: seconds above 0")
        self._store = store
        self._holder = holder
        self._lease_s = lease_s
        self._ttl_s = {**DEFAULT_TTL_S, **(ttl_s or {})}
        self._decided: Counter[str] = Counter()
        self._counting = threading.Lock()

    def decisions(self) -> dict[str, int]:
        """What this fence decided since it was made, in keys: one figure for each of ``DECISIONS``.

        ``new`` effects, of which ``repeated`` are further attempts of a key whose earlier attempt ended without a
        word; ``duplicate`` deliveries without an effect; ``conflict`` and ``busy`` keys that were refused; ``lost``:
        a receipt that could not be recorded, so its effect may have happened twice.
        """
        with self._counting:
            return {name: self._decided[name] for name in DECISIONS}

    def _count(self, **keys: int) -> None:
        with self._counting:
            self._decided.update(keys)

    @contextlib.contextmanager
    def once(self, key: str, payload: Any, *, connection: Any = None) -> Iterator[Effect]:
        """The effect of ``key``, once. With ``connection``, key and effect commit together in its transaction.

        ``FenceConflict``: the key has another payload. ``FenceBusy``: another attempt is alive. Both come before
        the block, with nothing applied. A block that raises leaves the key pending until its lease runs out:
        whether the effect happened is not known; where it certainly did not, call ``abandon`` first. A block that
        ends with neither ``done`` nor ``abandon`` raises ``BadInput``. ``FenceLost`` at the end of the block: it
        took longer than its lease, and another attempt has the key; this one's receipt was not recorded.
        """
        with self.once_many([(key, payload)], connection=connection) as effects:
            yield effects[0]

    @contextlib.contextmanager
    def once_many(self, pairs: Sequence[tuple[str, Any]], *, connection: Any = None) -> Iterator[list[Effect]]:
        """Many keys in one round trip, effects in the order given; a key may come twice. See :meth:`once`.

        All or nothing before the block: one conflict or one busy key gives up the other claims and raises; take
        the keys one by one then. What was ``done`` is recorded when the block ends, also when it raises.
        """
        store = self._store if connection is None else self._store.joined(connection)
        claims = [self._claim(key, payload) for key, payload in pairs]
        try:
            effects = _effects(store, claims, [payload for _, payload in pairs])
        except (FenceConflict, FenceBusy) as error:
            self._count(**{"conflict" if isinstance(error, FenceConflict) else "busy": 1})
            raise
        first = [effect for effect in effects if effect.first]
        again = sum(effect.attempt > 1 for effect in first)
        self._count(new=len(first), repeated=again, duplicate=len(effects) - len(first))
        try:
            yield effects
        except BaseException:
            with contextlib.suppress(SwitchoverError):  # the block's own error is the one to see
                self._record(store, effects)
            raise
        self._record(store, effects)
        left = [effect.key for effect in effects if effect.open]
        if left:
            raise BadInput(
                f"{named(left[0])}: its block ended without done() and without abandon();"
                f" it stays pending for {self._lease_s:g} s ({len(left)} such keys)"
            )

    def purge(self) -> int:
        """Delete done keys whose time to live is over, never a pending one. Returns how many."""
        return self._store.purge()

    def ttl_s(self, key: FenceKey) -> float:
        """How long a done key of this kind of source is remembered, in seconds."""
        return self._ttl_s.get(key.source_type, OTHER_TTL_S)

    def _claim(self, key: str, payload: Any) -> Claim:
        digested = payload_of(payload)
        return Claim(
            key=key if isinstance(key, FenceKey) else FenceKey(key),
            token=secrets.token_hex(16),
            holder=self._holder,
            lease_s=self._lease_s,
            digest=digested.digest,
            payload=digested.kept,
        )

    def _record(self, store: Store, effects: Sequence[Effect]) -> None:
        """Write what the block said of its firsts: receipts, and claims given up."""
        ended = [effect for effect in effects if effect.first and not effect.open]
        abandoned = [(effect.key, effect.token) for effect in ended if effect.abandoned]
        done = [
            Done(key=effect.key, token=effect.token, receipt=effect.receipt_text or "", ttl_s=self.ttl_s(effect.key))
            for effect in ended
            if not effect.abandoned
        ]
        if abandoned:
            _asked(store, lambda: store.release(abandoned))
        if done:
            recorded = _asked(store, lambda: store.mark_done(done))
            lost = [effect.key for effect in done if effect.key not in recorded]
            if lost:
                self._count(lost=len(lost))
                raise _lost(lost, store.read(lost[:1]))


def _effects(store: Store, claims: Sequence[Claim], payloads: Sequence[Any]) -> list[Effect]:
    """Claim every key once; the second of two alike in a batch is a duplicate of the first."""
    ahead: dict[str, Claim] = {}
    for claim in claims:
        ahead.setdefault(claim.key, claim)
    held = {row.key: row for row in _asked(store, lambda: store.claim(list(ahead.values())))}
    problem = next(filter(None, (_problem(claim, held[claim.key], ahead[claim.key]) for claim in claims)), None)
    if problem is not None:
        mine = [(claim.key, claim.token) for claim in ahead.values() if held[claim.key].token == claim.token]
        with contextlib.suppress(Unreachable):  # then their leases run out
            _asked(store, lambda: store.release(mine))
        raise problem
    firsts: dict[str, Effect] = {}
    effects = []
    for claim, payload in zip(claims, payloads, strict=True):
        effect = Effect(claim=claim, payload=payload, held=held[claim.key], same_as=firsts.get(claim.key))
        firsts.setdefault(claim.key, effect)
        effects.append(effect)
    return effects


def _asked(store: Store, call: Callable[[], T]) -> T:
    """Ask again once after a lost answer: every verb may be repeated with its tokens, but not in a lost transaction."""
    try:
        return call()
    except Unreachable:
        if store.in_transaction:
            raise
        return call()


def _problem(claim: Claim, held: Held, ahead: Claim) -> FenceConflict | FenceBusy | None:
    """Why this claim may not go on; ``ahead``: the claim of the same key that was made for the whole batch."""
    if claim.digest != held.digest:
        return _conflict(claim, held)
    if held.done or held.token == ahead.token:
        return None
    return FenceBusy(
        f"{named(claim.key)}: pending by {held.holder!r} (attempt {held.attempt}) until"
        f" {held.lease_until:%Y-%m-%dT%H:%M:%SZ}; try again then",
        key=claim.key,
        holder=held.holder,
        until=held.lease_until,
    )


def _conflict(claim: Claim, held: Held) -> FenceConflict:
    diff = changes(held.payload, claim.payload)
    more = f" and {len(diff) - _SHOWN_CHANGES} more" if len(diff) > _SHOWN_CHANGES else ""
    shown = "; ".join(diff[:_SHOWN_CHANGES]) + more
    return FenceConflict(
        f"{named(claim.key)}: was {'done' if held.done else 'claimed'} by {held.holder!r} with another payload;"
        f" nothing was applied: {shown or f'sha256 {held.digest[:12]}… → {claim.digest[:12]}…, too large to compare'}",
        key=claim.key,
        diff=diff,
    )


def _lost(keys: Sequence[str], found: Sequence[Held]) -> FenceLost:
    now = f"attempt {found[0].attempt} of {found[0].holder!r} has it" if found else "it is gone from the store"
    return FenceLost(
        f"{named(keys[0])}: not marked done: its lease ran out and {now};"
        f" the effect may have happened twice ({len(keys)} such keys)",
        key=keys[0],
    )
