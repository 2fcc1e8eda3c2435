"""docker-compose.yaml, Dockerfile and .env.example say what they must. No Docker engine is needed, and none is used."""

from __future__ import annotations

import fnmatch
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
AIRFLOW = ("init", *COMPONENTS, "watchdog")
SECRETS = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|CONN", re.IGNORECASE)
NO_SECRET = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"}
REQUIRED = re.compile(r"\$\{(\w+):\?set (\w+) in \.env\}")


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service]["environment"].items()}


def test_the_services_of_a_whole_airflow() -> None:
    assert set(SERVICES) == {"postgres", *AIRFLOW}
    for name in COMPONENTS:
        assert f"airflow {name}" in " ".join(SERVICES[name]["command"])
    assert SERVICES["watchdog"]["command"] == ["switchover", "watchdog"]
    assert SERVICES["init"]["command"][-1] == "airflow db migrate && switchover ledger init"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_that_stays_has_a_health_check_and_restarts(service: str) -> None:
    health = SERVICES[service]["healthcheck"]
    if service == "init":
        assert health == {"disable": True}
        assert SERVICES[service]["restart"] == "no"
        return
    assert health["test"][0] == "CMD" and health["retries"] >= 3
    assert SERVICES[service]["restart"] == "unless-stopped"
    if "python" in health["test"]:
        compile(health["test"][-1], service, "exec")
        asked = re.findall(r"\['(\w+)'\]\['status'\]", health["test"][-1])
        assert asked == ([] if service in ("api-server", "watchdog") else [service.replace("-", "_")])


def test_each_starts_after_what_it_needs() -> None:
    assert SERVICES["init"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in (*COMPONENTS, "watchdog"):
        assert SERVICES[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}
    assert SERVICES["scheduler"]["depends_on"]["api-server"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_secrets_come_from_the_environment_and_have_no_default(service: str) -> None:
    secret = {
        name: value for name, value in environment(service).items() if SECRETS.search(name) and name not in NO_SECRET
    }
    assert secret
    for name, value in secret.items():
        assert REQUIRED.search(value), f"{service}: {name} is not from the environment"
    for variable, default in re.findall(r"\$\{(\w+):?-([^}]*)\}", TEXT):
        assert not SECRETS.search(variable), f"{variable} has the default {default!r}"
    assert "_PIP_ADDITIONAL_REQUIREMENTS" not in TEXT


def test_the_example_names_every_required_secret_and_fills_in_none() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    required = set()
    for name, named_in_message in REQUIRED.findall(TEXT):
        assert name == named_in_message
        required.add(name)
    assert example == dict.fromkeys(required, "")
    for name in re.findall(r"\$\{(\w+):-", TEXT):
        assert any(line.startswith(f"#{name}=") for line in lines), f"{name} is not explained"


def test_ports_are_for_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_airflow_process_has_the_same_settings_and_they_exist() -> None:
    airflow = importlib.util.find_spec("airflow")
    assert airflow is not None and airflow.origin is not None
    known = yaml.safe_load((Path(airflow.origin).parent / "config_templates" / "config.yml").read_text())
    for name in AIRFLOW:
        own = {"AIRFLOW_ADMIN_PASSWORD"} if name == "api-server" else set()
        assert set(environment(name)) - own == set(environment("init"))
    in_image = dict.fromkeys(re.findall(r"AIRFLOW__\w+", DOCKERFILE), "")
    for setting in (*environment("init"), *in_image):
        if setting.startswith("AIRFLOW__"):
            _, section, key = setting.lower().split("__")
            assert key in known[section]["options"], setting


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.1"),
        ("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "1"),
        ("AIRFLOW__CORE__EXECUTOR", "LocalExecutor"),
        ("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://api-server:8080/execution/"),
    ],
)
def test_settings_that_the_time_to_restore_hangs_on(setting: str, value: str) -> None:
    assert environment("scheduler")[setting] == value
    assert float(environment("scheduler")["AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY"]) <= 10
    assert float(environment("scheduler")["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) <= 60


def test_named_volumes_are_declared_and_data_outlives_its_container() -> None:
    used = {
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service["volumes"]
        if not mount.startswith("./")
    }
    assert used == set(COMPOSE["volumes"])
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]  # PostgreSQL 18 moved it
    for service in SERVICES.values():
        for mount in service["volumes"]:
            if mount.startswith("./"):
                assert (ROOT / mount.split(":")[0]).exists() and mount.endswith(":ro")


def test_the_databases_of_the_connections_are_created() -> None:
    script = COMPOSE["configs"]["databases"]["content"]
    created = {SERVICES["postgres"]["environment"]["POSTGRES_DB"], *re.findall(r"CREATE DATABASE (\w+);", script)}
    urls = [value for value in environment("scheduler").values() if "@postgres/" in value]
    assert {url.rsplit("/", 1)[1] for url in urls} == created
    assert script.split(r"\connect docs")[1].strip() == "CREATE EXTENSION vector;"


def test_images_are_pinned_by_tag() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += [line.split()[1] for line in DOCKERFILE.splitlines() if line.startswith("FROM ")]
    for image in images:
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image), image
    assert "pg18" in SERVICES["postgres"]["image"]


def test_the_image_is_built_from_the_lock_and_runs_without_root() -> None:
    assert "pip install --require-hashes --requirement requirements.lock" in DOCKERFILE
    final = DOCKERFILE.split("FROM ")[-1]
    user = re.findall(r"^USER (\S+)$", final, re.MULTILINE)
    assert user == ["airflow"] and f"{user[0]}" in final.split("useradd")[1]
    for folder in re.findall(r":(/opt/airflow/\w+)$", TEXT, re.MULTILINE):
        assert folder in final.split("install --directory")[1].splitlines()[0], f"{folder} would belong to root"


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in shlex.split(line)[1:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in ignored, f"{source} never reaches the build"
    assert ignored[0] == "*"
    for secret in (".env", "connections.env"):
        assert not any(fnmatch.fnmatch(secret, line[1:]) for line in ignored if line.startswith("!"))
