"""The AWS APIs (ELBv2, Route 53, SSM, DynamoDB, …) as moto emulates them, in one process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version

from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import Server, answers, data_directory, lasting_port, launch

REGION = "us-east-1"


def start_moto(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start the emulator. Any access key is accepted; all keys see one account.

    It holds its state in memory, writes it when it is stopped and reads it when it starts; a crash loses it.

    Raises
        ServiceFailed  it did not start; the message ends with its log
    """
    data = data_directory(keeper, "moto")
    port = lasting_port()
    url = f"http://{ports.HOST}:{port}"
    return launch(
        keeper,
        name="moto",
        port=port,
        argv=[sys.executable, "-m", "sandbox.servers.moto_process", "--port", str(port), "--data", str(data)],
        connection={
            "conn_type": "aws",
            "login": "sandbox",  # no real key: nothing here could reach a real account
            "password": "sandbox",
            "extra": {"endpoint_url": url, "region_name": REGION},
        },
        describe=f"moto {version('moto')}, emulator of the AWS APIs",
        data=data,
        ready=answers(f"{url}/moto-api/config"),
        env=env,
    )
