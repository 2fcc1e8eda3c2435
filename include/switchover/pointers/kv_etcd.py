"""A key in etcd: a transaction that holds only if the key's modification revision is the one that was read."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Literal

from switchover.edge.body import BadAnswer, read_json
from switchover.edge.edge import Edge, reaching
from switchover.errors import BadInput, Unreachable
from switchover.lazy import lazy
from switchover.pointers.base import Pointer
from switchover.pointers.kv import Entry, KeyPointer, KeySpec

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

BUSY = frozenset([408, 429])
REFUSED = frozenset([401, 403])


class EtcdSpec(KeySpec):
    """A key in etcd that names the live arm."""

    kind: Literal["kv_etcd"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        store = EtcdStore(client=edge.client("etcd", self.connection))
        return KeyPointer(kind=self.kind, store=store, name=self.key, check=self.checked(edge))


class EtcdStore:
    """Keys below no prefix; the value is JSON ``{"target", "epoch", "actor"}``, so that any reader can read it."""

    def __init__(self, *, client: httpx.Client) -> None:
        self._client = client
        self.place = client.base_url.netloc.decode()

    def get(self, key: str) -> Entry | None:
        """See :class:`KeyStore`."""
        found = self._call("/v3/kv/range", {"key": _b64(key)}).get("kvs")
        if not found:
            return None
        text = ""
        try:
            text = base64.b64decode(found[0].get("value", "")).decode(errors="replace")
            version, revision = int(found[0]["version"]), int(found[0]["mod_revision"])
            value = json.loads(text)
            return Entry(
                target=str(value["target"]),
                epoch=int(value.get("epoch", 0)),
                actor=str(value.get("actor", "")),
                version=version,
                token=revision,
            )
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise BadInput(
                f"etcd at {self.place}, key {key!r}: found {text[:60]!r};"
                ' allowed: JSON {"target": ARM, "epoch": N}; nothing was changed'
            ) from None

    def put(self, key: str, entry: Entry, *, instead_of: Entry | None) -> bool:
        """See :class:`KeyStore`. A key that does not exist has revision 0."""
        revision = 0 if instead_of is None else instead_of.token
        value = json.dumps({"target": entry.target, "epoch": entry.epoch, "actor": entry.actor})
        body = {
            "compare": [{"key": _b64(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}],
            "success": [{"request_put": {"key": _b64(key), "value": _b64(value)}}],
        }
        return bool(self._call("/v3/kv/txn", body).get("succeeded", False))

    def delete(self, key: str) -> None:
        """See :class:`KeyStore`."""
        self._call("/v3/kv/deleterange", {"key": _b64(key)})

    def _call(self, path: str, body: Any) -> Any:
        where = f"etcd at {self.place}"
        with reaching(where):
            response = self._client.post(path, json=body)
        answer = _json(response)
        if response.is_success and isinstance(answer, dict) and "header" in answer:  # without it, no answer of etcd's
            return answer
        said = str(answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else "no JSON"
        said = said or ("is not etcd's" if response.is_success else "")
        text = f"{where}: answered {response.status_code}: {said or response.reason_phrase}"
        if response.is_server_error or response.is_success or response.status_code in BUSY:  # it may have acted
            raise Unreachable(text)
        if response.status_code in REFUSED:
            text += "; needed: a role that may read and write the key and KEY__rehearsal"
        raise BadInput(f"{text}; this request changed nothing")


def _json(response: httpx.Response) -> Any:
    try:
        return read_json(response)
    except BadAnswer:
        return None


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
