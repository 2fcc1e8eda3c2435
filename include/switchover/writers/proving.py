"""The dedupe fence of a writer, proven through the writer's own path: the same key twice has one effect (SPEC step 1).

The writer answers a canary write, which goes through its fence and does nothing else: ``POST {"key", "payload"}``
with a fence key gives 200 and ``{"receipt", "effects"}``, where ``effects`` is how often the effect of this key has
happened; the same key with another payload gives 409. It answers also while the writer is frozen.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from pydantic import Field

from switchover.edge.body import BadAnswer, read_json
from switchover.edge.edge import reaching
from switchover.edge.fields import Fields
from switchover.errors import BadInput, InvariantBroken, Unreachable
from switchover.fence import FenceKey, fence_key
from switchover.lazy import lazy
from switchover.part import ConnectionId, Part

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

EXPECTED = "the same key twice: one receipt, one effect; another payload: 409"


class ProvesAt(Part):
    """An HTTP endpoint of the writer that takes a canary write, also while it is frozen."""

    connection: ConnectionId = Field(description="HTTP connection of the writer.")
    path: str = Field("/canary", pattern=r"^/", description="Path that takes a canary write.")


def prove(client: httpx.Client, path: str, *, what: str) -> str:
    """Write one canary twice, then its key with another payload; what was seen, in words.

    ``InvariantBroken``: the effect happened twice, the receipts differ, or another payload was taken.
    ``BadInput``, ``Unreachable``: it could not be tried.
    """
    what = f"{what}: POST {client.base_url.host}{path}"
    key = fence_key(source_type="switchover", source_id="canary", revision=uuid.uuid4().hex, action="prove")
    first, second = (_taken(_write(client, path, key, {"canary": 1}, what), what) for _ in range(2))
    if first["receipt"] != second["receipt"]:
        raise InvariantBroken(f"{what}: the same key twice gave two receipts")
    if first["effects"] != 1 or second["effects"] != 1:
        raise InvariantBroken(
            f"{what}: {first['effects']} effects after the first write of a key, {second['effects']} after the second"
        )
    other = _write(client, path, key, {"canary": 2}, what)
    if other.status_code != httpx.codes.CONFLICT:
        raise InvariantBroken(f"{what}: the same key with another payload was answered {other.status_code}, not 409")
    return "one receipt, one effect; another payload: 409"


def _write(client: httpx.Client, path: str, key: FenceKey, payload: Any, what: str) -> httpx.Response:
    with reaching(what):
        response = client.post(path, json={"key": str(key), "payload": payload})
    if response.status_code in (401, 403, 404, 405, 422):
        raise BadInput(f"{what}: refused with {response.status_code}; docs/writers.md says what a canary write is")
    if response.is_server_error or response.is_redirect:
        raise Unreachable(f"{what}: answered {response.status_code}")
    return response


def _taken(response: httpx.Response, what: str) -> dict[str, Any]:
    if response.status_code == httpx.codes.CONFLICT:
        raise InvariantBroken(f"{what}: a key that is new was answered 409")
    try:
        body = Fields(read_json(response))
        return {"receipt": body.body["receipt"], "effects": body.whole("effects")}
    except (BadAnswer, KeyError) as error:
        found = response.content[:120].decode(errors="replace")
        raise BadInput(f"{what}: answered {found!r}; allowed: JSON with receipt and effects ({error})") from None
