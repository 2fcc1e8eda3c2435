"""Column types that take text of any origin: what PostgreSQL cannot store is replaced, so that no line is lost.

What a store, an arm or a metrics server says in an error ends in the ledger. A NUL or half a surrogate in it must not
keep a look of a hold from being written.
"""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from switchover.edge.fields import storable


class AnyText(sa.types.TypeDecorator[str]):
    """Text; NUL and half a surrogate are replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """See ``TypeDecorator``."""
        return storable(value) if isinstance(value, str) else value


class AnyJson(sa.types.TypeDecorator[Any]):
    """JSON; its texts as in ``AnyText``, and null in place of a number that is not finite."""

    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """See ``TypeDecorator``."""
        return _storable(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """See ``TypeDecorator``: an index into the JSON is no JSON itself."""
        return self.impl_instance.coerce_compared_value(op, value)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list | tuple) else value
