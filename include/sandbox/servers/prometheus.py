"""A real Prometheus, from the system's package or as ``make servers`` unpacked it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from sandbox.errors import NotHere
from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import FETCHED, Server, answers, data_directory, lasting_port, launch, output_of

UNPACKED = FETCHED / "prometheus" / "usr" / "bin"


def binary(name: str = "promtool") -> str:
    """Path of ``promtool`` or ``prometheus``: on the PATH, or where ``make servers`` has put it.

    Raises
        NotHere  neither has it
    """
    found = shutil.which(name) or (str(UNPACKED / name) if os.access(UNPACKED / name, os.X_OK) else None)
    if found is None:
        raise NotHere(f"{name}: not on the PATH and not fetched; run `make servers`, or install the package prometheus")
    return found


def start_prometheus(
    keeper: KeeperClient,
    *,
    targets: Sequence[str] = (),
    scrape_s: float = 1.0,
    name: str = "prometheus",
    env: Mapping[str, str] | None = None,
) -> Server:
    """Start one that scrapes ``targets`` (``host:port``) every ``scrape_s`` seconds.

    It reads its targets from ``targets.json`` in its data directory, again whenever that changes.

    Raises
        NotHere        there is no Prometheus on this machine
        ServiceFailed  it did not start; the message ends with its log
    """
    program = binary("prometheus")
    version = output_of(program, "--version").split()[2].rstrip(",")
    data = data_directory(keeper, name)
    port = lasting_port()
    scrape_to(data, targets)
    every = f"{round(1000 * scrape_s)}ms"
    scrape = {
        "job_name": "sandbox",
        "file_sd_configs": [{"files": [str(data / "targets.json")], "refresh_interval": "1s"}],
    }
    settings = {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": [scrape]}
    (data / "prometheus.yml").write_text(yaml.safe_dump(settings))
    url = f"http://{ports.HOST}:{port}"
    options = {
        "config.file": data / "prometheus.yml",
        "storage.tsdb.path": data / "tsdb",
        "web.listen-address": f"{ports.HOST}:{port}",
        "log.level": "warn",
    }
    return launch(
        keeper,
        name=name,
        port=port,
        argv=[program, *(f"--{option}={value}" for option, value in options.items())],
        connection={"conn_type": "http", "schema": "http"},
        describe=f"Prometheus {version}, real server",
        data=data,
        ready=answers(f"{url}/-/ready"),
        env=env,
    )


def scrape_to(data: Path, targets: Sequence[str]) -> None:
    """Let a Prometheus scrape these targets from now on; it reads a file that is moved into its place."""
    fresh = data / "targets.new"
    fresh.write_text(json.dumps([{"targets": list(targets)}]))
    fresh.replace(data / "targets.json")
