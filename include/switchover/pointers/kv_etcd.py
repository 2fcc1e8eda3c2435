"""A key in etcd: a transaction that holds only if the key's modification revision is the one that was read."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any, Literal

import httpx

from switchover.edge import Edge, reaching
from switchover.errors import BadInput, Unreachable
from switchover.pointers.base import Pointer
from switchover.pointers.kv import Entry, KeyPointer, KeySpec


class EtcdSpec(KeySpec):
    """A key in etcd that names the live arm."""

    kind: Literal["kv_etcd"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        client = edge.client("etcd", self.connection)
        return KeyPointer(kind=self.kind, store=EtcdStore(client=client), name=self.key)


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
        text = base64.b64decode(found[0].get("value", "")).decode(errors="replace")
        version, revision = int(found[0]["version"]), int(found[0]["mod_revision"])
        try:
            value = json.loads(text)
            return Entry(
                target=str(value["target"]),
                epoch=int(value.get("epoch", 0)),
                actor=str(value.get("actor", "")),
                version=version,
                token=revision,
            )
        except (ValueError, TypeError, KeyError):
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
        with self._answering():
            response = self._client.post(path, json=body)
        if response.is_success:
            return response.json()
        said = str(response.json().get("message", "")) if "json" in response.headers.get("content-type", "") else ""
        text = f"etcd at {self.place}: answered {response.status_code}: {said or response.reason_phrase}"
        raise (Unreachable if response.is_server_error else BadInput)(text)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        with reaching(f"etcd at {self.place}"):
            yield


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
