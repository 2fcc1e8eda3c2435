"""A ledger that the tests of what reads it share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from switchover.ledger import Ledger
from switchover.planfile.load import load_plan

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(fresh_db: str) -> Iterator[Ledger]:
    """One run, docs:1, has been opened."""
    engine = sa.create_engine(fresh_db)
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    plan = load_plan(ROOT / "include" / "plans" / "docs.yaml")
    ledger.runs.open(id="docs:1", plan=plan, pointer="p", blue="docs_v1", green="docs_v2", hold_minutes=20)
    yield ledger
    engine.dispose()
