"""A look's figures of live traffic, as the ledger keeps them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB


def figures_alone(sample: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A sample without what its store was asked: that is much, and only people read it."""
    alone = sample.op("-", return_type=JSONB())(sa.literal("asked", sa.Text))
    return sa.case((sa.func.jsonb_typeof(sample) == "object", alone), else_=sample)
