"""The local stack: PostgreSQL, a real Airflow and the sandbox's own services, started and stopped as one.

    with Stack(state=Path(".demo"), progress=print) as stack:
        stack.start_postgres()
        stack.together(stack.start_airflow, build_the_corpus)
        stack.wait_for_dags(["switchover__docs"])
        stack.api.post("dags/switchover__docs/dagRuns", {"logical_date": None, "conf": {}})

Leaving the block in any way, also by a crash or a kill, ends every process. ``keep()`` leaves them running.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import httpx
import sqlalchemy as sa

from sandbox.errors import SandboxError, ServiceFailed
from sandbox.processes import airflow_home, ports, postgres
from sandbox.processes.airflow_api import AirflowApi
from sandbox.processes.airflow_home import AirflowHome, Secrets, base_environment
from sandbox.processes.keeper_client import KeeperClient, Spec
from sandbox.processes.postgres import DOCS_DB, LEDGER_DB, Postgres
from sandbox.service.live import PLAN
from switchover.ledger import Ledger

AIRFLOW_PORT, SERVICE_PORT = 8080, 8801
_MIGRATE_S = 180.0
_AIRFLOW_START_S = 180.0
_DAGS_S = 120.0

Progress = Callable[[str, float], None]  # what is done, seconds that it took


class Stack:
    """One state directory's stack. A port of 0 means any free one.

    ``env``: more environment variables for every Airflow process. ``dags``: another folder than the
    repository's; ``more_dags``: than the sandbox's. ``plan``: the one plan that the stack runs; without
    it Airflow shows every plan.
    ``connections``: id -> text of more Airflow connections, to be filled in before the processes that need them
    are started.

    Raises, from every method
        PortTaken      another process listens on one of the ports
        ServiceFailed  a process ended or was not ready in time; the message ends with its log
        KeeperGone     another start took the state directory over
    """

    def __init__(
        self,
        *,
        state: Path,
        airflow_port: int = AIRFLOW_PORT,
        service_port: int = SERVICE_PORT,
        progress: Progress = lambda what, seconds: None,
        dags: Path = airflow_home.REPOSITORY / "dags",
        more_dags: Path = airflow_home.SANDBOX_DAGS,
        env: Mapping[str, str] | None = None,
        plan: Path | None = None,
    ) -> None:
        self.state = state.resolve()
        self.connections: dict[str, str] = {}
        self.airflow_port = airflow_port or ports.free_port()
        self.service_port = service_port or ports.free_port()
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._dags = dags
        self._more_dags = more_dags
        self._env = dict(env or {})
        self._plan = plan
        self._keeper: KeeperClient | None = None
        self._postgres: Postgres | None = None
        self._airflow_since = datetime.now(timezone.utc)

    def __enter__(self) -> Stack:
        self._keeper = KeeperClient(state=self.state)
        try:
            ports.require_free(self.airflow_port, variable="AIRFLOW_PORT")
            ports.require_free(self.service_port, variable="SERVICE_PORT")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, unless ``keep`` was said."""
        if "api" in self.__dict__:
            self.api.close()
        if self._keeper is not None:
            self._keeper.close()

    def keep(self) -> None:
        """Leave the stack running. A start ends it, or ``python -m sandbox.processes.keeper --state DIR --end``."""
        self.keeper.detach()

    @property
    def keeper(self) -> KeeperClient:
        """The process that owns the stack's processes."""
        if self._keeper is None:
            raise SandboxError("the stack is not started; use it in a with block")
        return self._keeper

    @property
    def postgres(self) -> Postgres:
        """Where the database server is."""
        if self._postgres is None:
            raise SandboxError("PostgreSQL is not started; call start_postgres first")
        return self._postgres

    @functools.cached_property
    def secrets(self) -> Secrets:
        """This state directory's passwords and keys."""
        return Secrets.of(self.state)

    @property
    def airflow(self) -> AirflowHome:
        """Airflow's settings, addresses and connections."""
        return AirflowHome(
            state=self.state,
            port=self.airflow_port,
            service_port=self.service_port,
            postgres=self.postgres,
            secrets=self.secrets,
            dags=self._dags,
            more_dags=self._more_dags,
            more_connections=self.connections,
        )

    @property
    def url(self) -> str:
        """Address of Airflow's UI."""
        return f"http://{ports.HOST}:{self.airflow_port}"

    @property
    def service_url(self) -> str:
        """Address of the retrieval service."""
        return f"http://{ports.HOST}:{self.service_port}"

    @property
    def password(self) -> str:
        """Password of Airflow's user ``admin``."""
        return self.secrets.password

    @functools.cached_property
    def api(self) -> AirflowApi:
        """Airflow's REST API; closed with the stack."""
        return AirflowApi(url=self.url, login=airflow_home.LOGIN, password=self.password)

    def environment(self) -> dict[str, str]:
        """Variables of the sandbox's own processes, and of the command line when it works on this stack."""
        plan = {name: str(self._plan) for name in (PLAN, "SWITCHOVER_PLANS") if self._plan}
        return {
            **base_environment(),
            **self.airflow.connections(),
            **plan,
            "DOCS_DB_URL": self.postgres.url(DOCS_DB),
            "LEDGER_DB_URL": self.postgres.url(LEDGER_DB),
            "DOCS_SERVICE_TOKEN": self.secrets.service_token,
            "DOCS_SERVICE_URL": self.service_url,
        }

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Time a step, keep its seconds under its name and report it when it is done."""
        begin = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - begin
        self._progress(what, self.seconds[what])

    def start_postgres(self) -> None:
        """Start the database server with the three databases."""
        with self.step("PostgreSQL"):
            self._postgres = postgres.start(self.keeper, env=base_environment())

    def start_service(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        timeout: float = 60.0,
    ) -> int:
        """Start a process of the sandbox, wait until it is ready, return its pid."""
        with self.step(name):
            pid = self.keeper.start(self._spec(name, argv, env))
            self.keeper.wait_ready(name, ready, timeout=timeout)
            return pid

    def start_watchdog(self) -> int:
        """Start the process that rolls back when Airflow cannot; the ledger's tables must be there."""
        ledger = Ledger(engine=sa.create_engine(self.postgres.sqlalchemy_url(LEDGER_DB)))
        return self.start_service(
            "watchdog",
            python("switchover.cli", "watchdog", "--listen", "off"),
            ready=lambda: ledger.watchdogs.living() is not None,
        )

    def run(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 300.0
    ) -> None:
        """Run a process of the sandbox to its successful end."""
        with self.step(name):
            self.keeper.run(self._spec(name, argv, env), timeout=timeout)

    def _spec(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None) -> Spec:
        return Spec(name=name, argv=argv, env={**self.environment(), **(env or {})}, cwd=str(self.state))

    def start_airflow(self) -> None:
        """Bring the metadata database up to date, start the four components, wait until they are healthy."""
        self.airflow.prepare()
        with self.step("Airflow's database"):
            self.keeper.run(self._airflow_spec("airflow-migrate", ("db", "migrate")), timeout=_MIGRATE_S)
        self._airflow_since = since = datetime.now(timezone.utc)
        with self.step("Airflow"):
            for name in airflow_home.COMPONENTS:
                self.start_component(name)
            for name in airflow_home.COMPONENTS:
                self.keeper.wait_ready(
                    name, functools.partial(self.api.healthy, name, since=since), timeout=_AIRFLOW_START_S
                )

    def start_component(self, name: str) -> int:
        """Start one of ``airflow_home.COMPONENTS``, also again after its end; returns its pid at once."""
        return self.keeper.start(self._airflow_spec(name, airflow_home.COMPONENTS[name]))

    def _airflow_spec(self, name: str, words: Sequence[str]) -> Spec:
        home = self.airflow
        return Spec(
            name=name,
            argv=[sys.executable, "-m", "airflow", *words],
            env={**self.environment(), **home.environment(), **self._env},
            cwd=str(home.home),
            # Running tasks report their end to the api-server, and retry for long when it is gone.
            # It keeps nothing itself, and an orderly exit spends 2 s on freeing memory.
            stop_order=1 if name == "api-server" else 0,
            stop_signal="SIGKILL" if name == "api-server" else "SIGTERM",
        )

    def wait_for_dags(self, dag_ids: Collection[str], *, timeout: float = _DAGS_S) -> None:
        """Wait until the DAG processor has parsed these DAGs since Airflow was started."""
        with self.step("DAGs parsed"):
            try:
                self.keeper.wait_ready(
                    "dag-processor",
                    lambda: self.api.parsed(dag_ids, since=self._airflow_since),
                    timeout=timeout,
                )
            except ServiceFailed as error:
                problems = self.api.import_errors()
                raise ServiceFailed("; ".join(problems) if problems else str(error)) from None

    def together(self, *jobs: Callable[[], object]) -> None:
        """Run jobs at the same time; when one fails, or on Ctrl-C, the stack is stopped and the others with it."""
        with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                self.close()
                raise


def python(module: str, *arguments: str) -> list[str]:
    """The command line of a module, for ``start_service`` and ``run``."""
    return [sys.executable, "-m", module, *arguments]


def answers(url: str) -> Callable[[], bool]:
    """A ready check: the address answers with success."""

    def check() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    return check
