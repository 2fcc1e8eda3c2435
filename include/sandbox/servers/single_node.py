"""What OpenSearch and Elasticsearch are told alike, as single nodes on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.processes import ports
from sandbox.servers.base import lasting_port

LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1.}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def single_node(data: Path, port: int) -> dict[str, Any]:
    """Settings of a node that keeps its files below ``data``."""
    return {
        "cluster.name": "sandbox",
        "node.name": "sandbox",
        "discovery.type": "single-node",
        "network.host": ports.HOST,
        "http.port": port,
        "transport.port": lasting_port(),
        "path.data": data / "data",
        "path.logs": data / "logs",
        # A full disk of the developer's must not make every index read-only.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        "action.auto_create_index": "false",
    }
