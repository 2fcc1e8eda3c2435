"""By which vectors an encoder is known again of which nothing can be read back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.encoders.base import Encoder, Vectors
from switchover.encoders.check import PROBES
from switchover.lazy import lazy
from switchover.ledger.any_type import AnyText
from switchover.ledger.database import Database
from switchover.ledger.leases import Held, nobody, require_held
from switchover.ledger.tables import NOW, metadata
from switchover.pins import digest

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

table = sa.Table(
    "switchover_fingerprint",
    metadata,
    sa.Column("key", AnyText, primary_key=True),  # digest of the facts
    sa.Column("facts", postgresql.JSONB, nullable=False),  # an encoder's name, revision, dimension
    sa.Column("vectors", sa.LargeBinary, nullable=False),  # float32, little-endian, probe after probe
    sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
)


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What was kept: vectors (probes, dimension), and when."""

    vectors: Vectors
    at: datetime


class Fingerprints:
    """The fingerprints of a ledger, one for each name, revision and dimension of an encoder."""

    def __init__(self, *, database: Database, held: Held = nobody) -> None:
        self._db = database
        self._held = held

    def find(self, encoder: Encoder) -> Fingerprint | None:
        """The first that was kept of this encoder."""
        query = sa.select(table).where(table.c.key == digest(_facts(encoder)))
        with self._db.transaction() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        return Fingerprint(vectors=np.frombuffer(row["vectors"], "<f4").reshape(len(PROBES), -1), at=row["at"])

    def keep(self, encoder: Encoder, vectors: Vectors) -> None:
        """Write the first one; later ones change nothing."""
        facts = _facts(encoder)
        values = {"key": digest(facts), "facts": facts, "vectors": np.asarray(vectors, "<f4").tobytes()}
        with self._db.transaction() as connection:
            require_held(connection, self._held)
            connection.execute(postgresql.insert(table).values(**values).on_conflict_do_nothing())


def _facts(encoder: Encoder) -> dict[str, Any]:
    """What a fingerprint is kept under; with other probes it is another one."""
    said = {"name": encoder.name, "revision": encoder.revision, "dimension": encoder.dimension}
    return {**said, "probes": digest(PROBES)[:16]}
