"""``POINTER=kv``: a key in etcd names the live arm; the data stays where it is."""

from __future__ import annotations

from sandbox.demo.planes.base import DataPlane
from sandbox.servers import start_etcd
from switchover.pointers.kv import Entry
from switchover.pointers.kv_etcd import EtcdSpec, EtcdStore


class KvPlane(DataPlane):
    """One service, which resolves the key at the start of each request."""

    file = "docs_kv.yaml"
    connections = ("docs_etcd",)
    made = ("etcd",)

    def start_servers(self) -> None:
        """See :class:`DataPlane`."""
        self._start_server("etcd", start_etcd, "docs_etcd")

    def create_pointer(self, target: str) -> None:
        """See :class:`DataPlane`."""
        spec = self.plan.pointer
        assert isinstance(spec, EtcdSpec)
        store = EtcdStore(client=self.edge.client("etcd", spec.connection))
        store.put(spec.key, Entry(target=target, epoch=0, actor="sandbox"), instead_of=None)
