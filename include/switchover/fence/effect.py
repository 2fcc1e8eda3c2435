"""What the block of ``Fence.once`` is given: whether to do the work, or what came of it the first time."""

from __future__ import annotations

import json
from typing import Any

from switchover.errors import BadInput
from switchover.fence.base import Claim, Held
from switchover.fence.payload import receipt_json


class Effect:
    """One key. ``first``: do the work, then call ``done``. Otherwise ``receipt`` is the first one's.

    ``attempt`` above 1: an earlier attempt ended without a word, so its effect may have happened already.
    """

    def __init__(self, *, claim: Claim, payload: Any, held: Held, same_as: Effect | None) -> None:
        """``held``: what the key holds after ``claim``. ``same_as``: the effect of this key earlier in the batch."""
        self.key = claim.key
        self.token = claim.token
        self.payload = payload
        self.attempt = held.attempt
        self.first = self.open = held.token == claim.token
        self.abandoned = False
        self._receipt = held.receipt
        self._same_as = same_as

    def done(self, receipt: Any = None) -> None:
        """The effect has happened. Recorded when the block ends; a duplicate will get ``receipt`` (JSON)."""
        text = receipt_json(receipt)
        self._close("done")
        self._receipt = text

    def abandon(self) -> None:
        """The effect has certainly not happened: when the block ends, anybody may try."""
        self._close("abandon")
        self.abandoned = True

    @property
    def receipt(self) -> Any:
        """What the first effect gave to ``done``. ``BadInput`` while there is none."""
        text = self.receipt_text
        if text is None:
            raise BadInput(f"{named(self.key)}: there is no receipt before done()")
        return json.loads(text)

    @property
    def receipt_text(self) -> str | None:
        """The receipt as JSON text."""
        return self._same_as.receipt_text if self._same_as else self._receipt

    def _close(self, verb: str) -> None:
        if not self.open:
            reason = "it was called already" if self.first else "this is a duplicate; only a first has an effect"
            raise BadInput(f"{named(self.key)}: {verb}(): {reason}")
        self.open = False


def named(key: str) -> str:
    """A key in messages."""
    return f"fence key {key[:12]}…"
