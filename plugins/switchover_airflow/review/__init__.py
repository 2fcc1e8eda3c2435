"""The review page inside Airflow: who may see what, and where the ledger is. What it shows is ``switchover.page``."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

MOUNT = "/switchover"


class LazyApp:
    """The app, built at its first request: Airflow loads plugins in every process, and only one serves pages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        await (self._app or await asyncio.to_thread(self._build))(scope, receive, send)

    def _build(self) -> Any:
        from switchover_airflow.review.app import build_app

        with self._lock:
            self._app = self._app or build_app()
            return self._app
