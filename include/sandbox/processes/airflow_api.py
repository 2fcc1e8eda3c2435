"""A small client of the sandbox Airflow's REST API, for the driver and for tests."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx

from sandbox.errors import SandboxError
from switchover.edge.airflow_login import AirflowToken

# The name of each component in /monitor/health, and of the time at which it was last alive.
HEALTH = {
    "scheduler": ("scheduler", "latest_scheduler_heartbeat"),
    "dag-processor": ("dag_processor", "latest_dag_processor_heartbeat"),
    "triggerer": ("triggerer", "latest_triggerer_heartbeat"),
}


class AirflowApi:
    """Calls under ``/api/v2``; logs in by itself. Each verb returns the answer's JSON or raises one line."""

    def __init__(self, *, url: str, login: str, password: str, timeout: float = 30.0) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=f"{url}/api/v2/",
            auth=AirflowToken(login=login, password=password),
            timeout=timeout,
            trust_env=False,
        )

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read, for example ``get("dags", limit=10)``."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """Create, for example ``post("dags/x/dagRuns", {"logical_date": None, "conf": {}})``."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: Any) -> dict[str, Any]:
        """Change, for example ``patch("dags/x", {"is_paused": True})``."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        """Delete, for example ``delete("dags/x/dagRuns/y")``."""
        return self._call("DELETE", path)

    def _call(self, verb: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._client.request(verb, path.lstrip("/"), **options)
        except httpx.TransportError as error:
            raise SandboxError(f"Airflow at {self.url}: {verb} {path}: {type(error).__name__}: {error}") from error
        if response.is_error:
            raise SandboxError(f"Airflow at {self.url}: {verb} {path}: {response.status_code} {response.text[:500]}")
        return dict(response.json()) if response.content else {}

    def healthy(self, component: str, *, since: datetime) -> bool:
        """True when a component reported itself after ``since``; an older report is an earlier run's."""
        # The API that tasks talk to is built on its first request, which takes seconds: have it built now.
        path = "execution/health" if component == "api-server" else "api/v2/monitor/health"
        try:
            response = httpx.get(f"{self.url}/{path}", timeout=10.0, trust_env=False)
            health = response.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return False
        if component == "api-server":
            return True
        name, heartbeat = HEALTH[component]
        return health[name]["status"] == "healthy" and _time(health[name][heartbeat]) >= since

    def parsed(self, dag_ids: Collection[str], *, since: datetime) -> bool:
        """True when every DAG was parsed after ``since``."""
        found = {dag["dag_id"]: dag["last_parsed_time"] for dag in self.get("dags", limit=100)["dags"]}
        return all(found.get(dag_id) and _time(found[dag_id]) >= since for dag_id in dag_ids)

    def import_errors(self) -> list[str]:
        """The last line of every DAG file that failed to import, with the file's name."""
        errors = self.get("importErrors", limit=100)["import_errors"]
        return [f"{each['filename']}: {each['stack_trace'].strip().splitlines()[-1]}" for each in errors]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
