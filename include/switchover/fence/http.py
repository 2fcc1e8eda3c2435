"""HTTP writers behind the fence: the ``Idempotency-Key`` of a request becomes a fence key, an error becomes a status.

The header is that of the IETF draft "The Idempotency-Key HTTP Header Field": a caller makes one value for one request
and repeats it with each retry of that request.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from switchover.errors import BadInput, FenceBusy, FenceConflict, SwitchoverError
from switchover.fence.key import FenceKey, fence_key

HEADER = "Idempotency-Key"
_VALUE = re.compile(r'"([ !#-\[\]-~]{1,255})"|([!#-+\--\[\]-~]{1,255})')


def request_key(value: str | None, *, caller: str, action: str) -> FenceKey:
    """The fence key of a request whose header has ``value``, with or without quotes, of 1 to 255 visible characters.

    ``caller``: the sender's login: two callers may choose the same value. ``action``: what the address does.
    ``BadInput`` when there is no value, or one that cannot be taken: answer 400.
    """
    found = _VALUE.fullmatch((value or "").strip())
    if found is None:
        shown = f"found {value[:60]!r}" if value else "there is none"
        raise BadInput(f"header {HEADER}: {shown}; allowed: 1 to 255 visible ASCII characters, one value a request")
    return fence_key(source_type="http", source_id=caller, revision=found[1] or found[2], action=action)


def refusal(error: SwitchoverError, *, now: datetime | None = None) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a request that the fence refused.

    400: the header. 409: the key has another payload (the error says which places differ), or, with ``Retry-After`` in
    seconds, another attempt is at it. 503: the store does not answer; the caller repeats the request with its key.
    """
    if isinstance(error, FenceConflict):
        return 409, {}
    if isinstance(error, FenceBusy):
        left = (error.until - (now or datetime.now(timezone.utc))).total_seconds() if error.until else 1
        return 409, {"Retry-After": str(max(1, round(left)))}
    if isinstance(error, BadInput):
        return 400, {}
    return 503, {"Retry-After": "1"}
