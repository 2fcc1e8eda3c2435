"""The sandbox's users: Airflow's simple auth manager, and a guest who may see one DAG only.

The simple one gives every user every DAG, so nobody could try what a colleague without rights sees.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

ONLY = {"guest": "docs_ingest"}  # user -> the one DAG that he may see


class SandboxAuthManager(SimpleAuthManager):
    """Everybody has what the role gives, but a guest on one DAG alone."""

    def is_authorized_dag(self, *, user: SimpleAuthManagerUser, details: Any = None, **more: Any) -> bool:
        """See ``BaseAuthManager``. A question about no DAG in particular is answered by the role."""
        allowed = ONLY.get(user.username)
        if allowed is not None and details is not None and details.id not in (None, allowed):
            return False
        return super().is_authorized_dag(user=user, details=details, **more)
