"""A real Airflow for one state directory: its environment variables, its secrets, its four processes.

Everything is an environment variable ``AIRFLOW__SECTION__KEY``; there is no configuration file to drift.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.processes import ports
from sandbox.processes.postgres import AIRFLOW_DB, DOCS_DB, LEDGER_DB, Postgres

REPOSITORY = Path(__file__).parents[3]
SANDBOX_DAGS = Path(__file__).parents[1] / "dags"
LOGIN, GUEST = "admin", "guest"
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    # One file system serves all logs, and Airflow's log servers listen on every address: leave them out.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Made once for a state directory and kept in a file that only its owner can read."""

    password: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    api_secret_key: str = field(repr=False)
    fernet_key: str = field(repr=False)
    service_token: str = field(repr=False)

    @classmethod
    def of(cls, state: Path) -> Secrets:
        """Read the state directory's secrets; make them where they are missing."""
        path = state / "secrets.json"
        if not path.exists():
            values = {name: secrets.token_urlsafe(64) for name in cls.__dataclass_fields__}
            values["password"] = secrets.token_urlsafe(12)
            values["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_private(path, json.dumps(values))
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True, kw_only=True)
class AirflowHome:
    """Where one Airflow lives and what it is told."""

    state: Path
    port: int
    service_port: int
    postgres: Postgres
    secrets: Secrets = field(repr=False)
    dags: Path = REPOSITORY / "dags"
    more_dags: Path = SANDBOX_DAGS
    more_connections: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Path:
        """``AIRFLOW_HOME``."""
        return self.state / "airflow"

    @property
    def url(self) -> str:
        """Address of the UI and of the REST API."""
        return f"http://{ports.HOST}:{self.port}"

    def prepare(self) -> None:
        """Make the home and the password file of the simple auth manager."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        write_private(self._passwords, json.dumps(dict.fromkeys((LOGIN, GUEST), self.secrets.password)))

    @property
    def _passwords(self) -> Path:
        return self.home / "passwords.json"

    def connections(self) -> dict[str, str]:
        """The Airflow connections that the sandbox's plans name; the command line reads the same variables."""
        login = {"login": LOGIN, "password": self.secrets.password}
        return {
            "AIRFLOW_CONN_DOCS_DB": self.postgres.airflow_connection(DOCS_DB),
            "AIRFLOW_CONN_SWITCHOVER_LEDGER": self.postgres.airflow_connection(LEDGER_DB),
            "AIRFLOW_CONN_DOCS_SERVICE": http_connection(self.service_port),
            "AIRFLOW_CONN_SWITCHOVER_AIRFLOW": http_connection(self.port, **login),
            **{f"AIRFLOW_CONN_{conn_id.upper()}": text for conn_id, text in self.more_connections.items()},
        }

    def environment(self) -> dict[str, str]:
        """What every Airflow process needs on top of ``base_environment``."""
        return {"AIRFLOW_HOME": str(self.home), **self.connections(), **self._settings()}

    def _settings(self) -> dict[str, str]:
        # A killed scheduler's workers have inherited its connection: without this the transaction it was in keeps its
        # locks as long as they live, and the next scheduler can queue nothing.
        metadata = f"{self.postgres.sqlalchemy_url(AIRFLOW_DB)}&options=-c%20idle_in_transaction_session_timeout%3D20s"
        sections: dict[str, dict[str, object]] = {
            "core": {
                "executor": "LocalExecutor",
                "parallelism": 4,  # the default of 32 starts 32 processes of 136 MB
                "dags_folder": self.dags,
                "plugins_folder": REPOSITORY / "plugins",
                "load_examples": False,
                "dags_are_paused_at_creation": False,
                "auth_manager": "sandbox.processes.auth_manager.SandboxAuthManager",
                "simple_auth_manager_users": f"{LOGIN}:admin,{GUEST}:viewer",
                "simple_auth_manager_passwords_file": self._passwords,
                "fernet_key": self.secrets.fernet_key,
                "execution_api_server_url": f"{self.url}/execution/",
                # The default asks the DNS for this machine's name, which takes seconds where there is none.
                "hostname_callable": "sandbox.processes.ports.host",
                "default_task_retry_delay": 2,  # 300 s would break any TTR
                "min_serialized_dag_update_interval": 1,
            },
            "database": {
                "sql_alchemy_conn": metadata,
                # Airflow would derive asyncpg, which reads a socket directory in a URL differently.
                "sql_alchemy_conn_async": metadata,
            },
            "api": {
                "base_url": self.url,
                "host": ports.HOST,
                "port": self.port,
                "workers": 1,
                "secret_key": self.secrets.api_secret_key,
                "instance_name": "Switchover sandbox",
            },
            "api_auth": {"jwt_secret": self.secrets.jwt_secret, "jwt_issuer": "switchover-sandbox"},
            "scheduler": {
                "scheduler_idle_sleep_time": 0.1,  # hand-over between tasks: 0.1 s instead of 1 s
                "task_instance_heartbeat_timeout": 30,  # 300 s: a dead worker would be noticed too late
                "task_instance_heartbeat_timeout_detection_interval": 5,
                "orphaned_tasks_check_interval": 30,
                "trigger_timeout_check_interval": 5,
                "enable_health_check": False,  # its server listens on every address
            },
            "workers": {
                # A supervisor that sees its task's sockets close before the task's exit sleeps this long:
                # its worker is not free and a failure not reported until then.
                "min_heartbeat_interval": 1,
                "max_failed_heartbeats": 15,  # as long as the defaults together: 15 s
                "execution_api_timeout": 15,
            },
            "dag_processor": {
                "dag_bundle_config_list": json.dumps(self._bundles()),
                "dag_bundle_storage_path": self.home / "bundles",  # the default is a fixed name under /tmp
                "refresh_interval": 5,
                "min_file_process_interval": 10,
                "bundle_refresh_check_interval": 2,
                "parsing_processes": 1,
                "print_stats_interval": 0,
            },
            "logging": {
                "colored_console_log": False,
                # Nobody listens there. Another Airflow's log server on the default ports would refuse with a
                # warning about secret keys in each log.
                "worker_log_server_port": 1,
                "trigger_log_server_port": 1,
            },
        }
        return {
            f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
            for section, settings in sections.items()
            for key, value in settings.items()
        }

    def _bundles(self) -> list[dict[str, object]]:
        folders = {"dags-folder": self.dags, "sandbox": self.more_dags}
        return [
            {"name": name, "classpath": _LOCAL_BUNDLE, "kwargs": {"path": str(path)}}
            for name, path in folders.items()
            if path.is_dir()
        ]


def base_environment() -> dict[str, str]:
    """The caller's environment without what would change the sandbox: settings of another Airflow, libpq or Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW", "PG", "PYTHON"))
    }
    local = f"{ports.HOST},localhost"
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "PYTHONPATH": str(REPOSITORY / "include"),
        "PYTHONUNBUFFERED": "1",  # a log is complete when its process dies
        # A proxy of the caller must not stand between two processes of this machine.
        "NO_PROXY": ",".join(filter(None, (kept.get("NO_PROXY"), local))),
        "no_proxy": ",".join(filter(None, (kept.get("no_proxy"), local))),
    }


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def http_connection(port: int, **login: str) -> str:
    """A server on this machine as the JSON text of an ``AIRFLOW_CONN_*`` variable."""
    return json.dumps({"conn_type": "http", "schema": "http", "host": ports.HOST, "port": port, **login})
