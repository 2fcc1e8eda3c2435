"""The stack's database, ports and Airflow settings. A whole run with a real Airflow is in tests/demo."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml

from sandbox.demo.stack import Stack
from sandbox.errors import KeeperGone, PortTaken, SandboxError, ServiceFailed
from sandbox.processes import accounts, airflow_home, leftovers, ports, postgres
from sandbox.processes.airflow_home import AirflowHome, Secrets, base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.processes.postgres import Postgres


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "state"
    yield state
    if state.exists():
        leftovers.end_keeper(state)
        leftovers.end_orphans(state)


def stack(state: Path) -> Stack:
    return Stack(state=state, airflow_port=0, service_port=0)


def query(server: Postgres, database: str, text: str) -> object:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        row = connection.execute(text).fetchone()
        return row[0] if row else None


def leave_data(state: Path) -> None:
    """A stopped run's data with a row in it."""
    with stack(state) as first:
        first.start_postgres()
        with psycopg.connect(first.postgres.url("docs")) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")


def start_server_by_hand(state: Path) -> psutil.Process:
    """A server on the state directory's data that no keeper knows and that carries no marker."""
    account = accounts.unprivileged()
    data = state / leftovers.PG_DATA
    server = subprocess.Popen(
        [str(postgres._INSTALL / "bin" / "postgres"), "-D", str(data), "-k", str(data), "-c", "listen_addresses="],
        user=account,
        group=pwd.getpwnam(account).pw_gid if account else None,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not Postgres(socket_dir=data).answers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    threading.Thread(target=server.wait, daemon=True).start()  # so that it does not stay a zombie of this test
    return psutil.Process(server.pid)


def test_three_databases_on_a_socket_only_and_nothing_alive_afterwards(state: Path) -> None:
    with stack(state) as running:
        running.start_postgres()
        server = running.postgres
        assert str(query(server, "docs", "SHOW server_version")).startswith("18.")
        assert query(server, "docs", "SELECT '[3,4]'::vector <-> '[0,0]'") == 5.0
        assert query(server, "airflow", "SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == 0
        assert query(server, "ledger", "SHOW max_connections") == "200"
        process = psutil.Process(running.keeper.pids()["postgres"])
        assert not [c for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) & 0o077 == 0
        ours = [process, *process.children(), psutil.Process(running.keeper.pid)]
        assert list(running.seconds) == ["PostgreSQL"]
    assert not any(leftovers.alive(each) for each in ours)
    assert leftovers.ours(state) == []


def test_a_server_left_by_a_killed_run_is_ended_and_its_data_kept(state: Path) -> None:
    leave_data(state)
    left = start_server_by_hand(state)
    with stack(state) as second:
        assert not leftovers.alive(left)
        second.start_postgres()
        assert query(second.postgres, "docs", "SELECT n FROM kept") == 7


def test_a_killed_server_leaves_a_stale_file_that_stops_nothing(state: Path) -> None:
    leave_data(state)
    left = start_server_by_hand(state)
    left.send_signal(signal.SIGKILL)
    leftovers.wait_gone([left], 10)
    bystander = subprocess.Popen(["sleep", "600"])
    try:  # the pid in the file is somebody else's by now
        pid_file = state / leftovers.PG_DATA / "postmaster.pid"
        pid_file.write_text(re.sub(r"^\d+", str(bystander.pid), pid_file.read_text()))
        with stack(state) as second:
            second.start_postgres()
            assert query(second.postgres, "docs", "SELECT n FROM kept") == 7
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_killed_driver_takes_the_database_with_it(state: Path) -> None:
    code = f"""if True:
        import time
        from pathlib import Path
        from sandbox.demo.stack import Stack
        with Stack(state=Path({str(state)!r}), airflow_port=0, service_port=0) as stack:
            stack.start_postgres()
            print("up", flush=True)
            time.sleep(600)
    """
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "up\n"
    keeper, ours = leftovers.recorded_keeper(state), leftovers.ours(state)
    assert keeper is not None and any(process.name() == "postgres" for process in ours)
    driver.kill()
    driver.communicate()
    assert leftovers.wait_gone([keeper, *ours], 20)
    log = (state / "logs" / "postgres.log").read_text()
    assert "database system is shut down" in log  # in order, not killed


def test_a_long_directory_name_gets_a_short_socket_that_is_removed(tmp_path: Path) -> None:
    state = tmp_path / ("a" * 60) / ("b" * 60)
    with stack(state) as running:
        running.start_postgres()
        short = running.postgres.socket_dir
        assert short != state / leftovers.PG_DATA
        assert query(running.postgres, "docs", "SELECT 1") == 1
    assert not short.exists()


def test_a_throwaway_server_takes_its_directory_along(state: Path) -> None:
    with KeeperClient(state=state) as keeper:
        postgres.start(keeper, env=base_environment(), databases=(), throwaway=True)
        assert state.exists()
    assert not state.exists()


def test_a_restarted_server_keeps_its_data_even_a_throwaway_one(state: Path) -> None:
    with KeeperClient(state=state) as keeper:
        server = postgres.start(keeper, env=base_environment(), databases=("kept",), throwaway=True)
        before = keeper.pids()["postgres"]
        server.restart()
        assert keeper.pids()["postgres"] != before
        assert query(server, "kept", "SELECT 1") == 1
    assert not state.exists()


def test_a_server_of_somebody_else_is_not_restarted(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="was not started here"):
        Postgres(socket_dir=tmp_path).restart()


def test_data_of_another_version_is_refused(state: Path) -> None:
    (state / leftovers.PG_DATA).mkdir(parents=True)
    (state / leftovers.PG_DATA / "PG_VERSION").write_text("16\n")
    with stack(state) as running, pytest.raises(SandboxError, match="is data of PostgreSQL 16; .* delete it"):
        running.start_postgres()


def test_a_taken_port_is_named_with_its_owner_before_anything_starts(state: Path) -> None:
    with socket.socket() as other:
        other.bind((ports.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        name = psutil.Process().name()
        expected = rf"port {port} on 127.0.0.1 is taken by pid {os.getpid()} \({re.escape(name)}\); free it or set "
        with pytest.raises(PortTaken, match=expected + "AIRFLOW_PORT="), Stack(state=state, airflow_port=port):
            pass
        with (
            pytest.raises(PortTaken, match=expected + "SERVICE_PORT="),
            Stack(state=state, airflow_port=0, service_port=port),
        ):
            pass
    assert leftovers.recorded_keeper(state) is None
    assert not (state / leftovers.PG_DATA).exists()


def test_a_port_that_was_used_a_moment_ago_is_free(state: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((ports.HOST, port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the server closes first: its side stays in TIME_WAIT
            assert client.recv(1) == b""
    ports.require_free(port, variable="AIRFLOW_PORT")
    with pytest.raises(PortTaken, match="AIRFLOW_PORT=70000 is no port"):
        ports.require_free(70000, variable="AIRFLOW_PORT")


def test_when_one_of_two_jobs_fails_the_other_is_stopped(state: Path) -> None:
    ended: list[BaseException] = []

    def waits(running: Stack) -> None:
        try:
            running.start_service("waits", ["sleep", "600"], ready=lambda: False)
        except KeeperGone as error:
            ended.append(error)
            raise

    def fails(running: Stack) -> None:
        running.run("fails", ["sh", "-c", "sleep 1; exit 4"])

    begin = time.monotonic()
    with stack(state) as running:
        running.start_postgres()
        with pytest.raises(ServiceFailed, match="fails ended with exit code 4"):
            running.together(lambda: waits(running), lambda: fails(running))
        assert len(ended) == 1
    assert time.monotonic() - begin < 20
    assert leftovers.ours(state) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AirflowHome:
    state = tmp_path / "state with a space"
    state.mkdir()
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("NO_PROXY", "example.org")
    return AirflowHome(
        state=state,
        port=18080,
        service_port=18801,
        postgres=Postgres(socket_dir=state / "pg"),
        secrets=Secrets.of(state),
    )


def test_every_setting_exists_in_the_installed_airflow(home: AirflowHome) -> None:
    airflow = importlib.util.find_spec("airflow")
    assert airflow is not None and airflow.origin is not None
    known = yaml.safe_load((Path(airflow.origin).parent / "config_templates" / "config.yml").read_text())
    settings = [name.split("__") for name in home.environment() if name.startswith("AIRFLOW__")]
    assert len(settings) > 30
    for _, section, key in settings:
        assert key.lower() in known[section.lower()]["options"], f"[{section}] {key}"


def test_secrets_stay_with_their_owner_and_with_their_directory(home: AirflowHome, tmp_path: Path) -> None:
    home.prepare()
    for name in ("secrets.json", "airflow/passwords.json"):
        assert stat.S_IMODE((home.state / name).stat().st_mode) == 0o600
    assert json.loads((home.home / "passwords.json").read_text()) == dict.fromkeys(
        ("admin", "guest"), home.secrets.password
    )
    assert Secrets.of(home.state) == home.secrets
    other = tmp_path / "other"
    other.mkdir()
    assert not set(vars(Secrets.of(other)).values()) & set(vars(home.secrets).values())
    assert home.secrets.password not in repr(home) and home.secrets.jwt_secret not in repr(home)


def test_connections_are_what_the_command_line_reads_too(home: AirflowHome) -> None:
    from switchover.edge.connection import environment_connections

    connection = environment_connections(home.environment())
    docs, api = connection("docs_db"), connection("switchover_airflow")
    assert (docs.conn_type, docs.host, docs.schema) == ("postgres", str(home.state / "pg"), "docs")
    assert (api.login, api.password, api.place) == ("admin", home.secrets.password, "127.0.0.1:18080/http")
    assert connection("switchover_ledger").schema == "ledger"
    assert connection("docs_service").port == 18801


def test_the_callers_environment_does_not_leak_in(home: AirflowHome) -> None:
    env = {**base_environment(), **home.environment()}
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "PGHOST" not in env and "PYTHONDONTWRITEBYTECODE" not in env
    assert env["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    bundles = json.loads(env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert [bundle["kwargs"]["path"] for bundle in bundles] == [
        str(airflow_home.REPOSITORY / "dags"),
        str(airflow_home.SANDBOX_DAGS),
    ]
