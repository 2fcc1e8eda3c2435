"""``POINTER=opensearch``: both indexes in one OpenSearch, an alias on the live one."""

from __future__ import annotations

from sandbox.demo.planes.base import DataPlane
from sandbox.demo.stack import python
from sandbox.servers import start_opensearch
from switchover.pointers.search_alias import OpenSearchSpec


class OpenSearchPlane(DataPlane):
    """One service, which resolves the alias at the start of each request and searches that index."""

    file = "docs_opensearch.yaml"
    connections = ("docs_opensearch",)
    made = ("opensearch",)

    def start_servers(self) -> None:
        """See :class:`DataPlane`."""
        self._start_server("OpenSearch", start_opensearch, "docs_opensearch")

    def build(self, target: str, variant: str) -> None:
        """See :class:`DataPlane`."""
        argv = python("sandbox.service.opensearch", "--target", target, "--variant", variant)
        self.stack.run(f"build {target}", argv)

    def create_pointer(self, target: str) -> None:
        """See :class:`DataPlane`."""
        spec = self.plan.pointer
        assert isinstance(spec, OpenSearchSpec)
        client = self.edge.client("opensearch", spec.connection)
        client.indices.put_alias(index=target, name=spec.alias)
