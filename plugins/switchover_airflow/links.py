"""Links from a task to the thing it moves."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class PointerLink(BaseOperatorLink):
    """The pointer's page in its store's console. Empty for stores that have none."""

    name = "Pointer"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The task notes the address when it opens the pointer; stored when it ends or defers."""
        return str(getattr(operator, "pointer_url", "") or "")
