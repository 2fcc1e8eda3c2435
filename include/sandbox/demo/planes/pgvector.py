"""``POINTER=pgvector``: a row beside the indexes; the service reads it with the manifest in one statement."""

from __future__ import annotations

import psycopg

from sandbox.demo.planes.base import DataPlane
from sandbox.processes.postgres import DOCS_DB
from sandbox.service import build


class PgvectorPlane(DataPlane):
    """One service, which resolves the alias row at the start of each request."""

    file = "docs.yaml"

    def create_pointer(self, target: str) -> None:
        """See :class:`DataPlane`."""
        with psycopg.connect(self.stack.postgres.url(DOCS_DB), autocommit=True) as connection:
            assert self.live.alias is not None
            build.point(connection, alias=self.live.alias, target=target)
