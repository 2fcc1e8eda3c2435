"""Data planes with a service an arm and a real Envoy before both, which follows what the pointer's API says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from sandbox.demo.planes.base import DataPlane
from sandbox.demo.stack import answers, python
from sandbox.processes import ports
from sandbox.processes.airflow_home import http_connection
from sandbox.servers.alb_data_plane import start_proxy
from sandbox.servers.base import lasting_port


class TwoServices(DataPlane):
    """A service of its own for each arm. A subclass says what makes Envoy follow the pointer."""

    def place_services(self) -> dict[str, int]:
        """A port for each arm's service, which Airflow is told as a connection. Before Airflow is started."""
        self._ports = {arm: lasting_port() for arm in self.plan.arms}
        for arm, port in self._ports.items():
            self.stack.connections[f"{arm}_service"] = http_connection(port)
        return self._ports

    @abstractmethod
    def follower(self, out: Path) -> tuple[str, Sequence[str]]:
        """The module that writes Envoy's files into a folder, and its arguments."""

    def start_services(self) -> None:
        """See :class:`DataPlane`."""
        stack = self.stack
        for arm, port in self._ports.items():
            # Not /healthz/ready: whether Green is any good is for the switchover to find.
            self._start_service(f"service-{arm}", port, "--arm", arm, ready="/version")
        with stack.step("Envoy"):
            proxy = start_proxy(stack.keeper, port=stack.service_port)
        module, arguments = self.follower(proxy.data)
        stack.start_service(
            "data-plane", python(module, *arguments), ready=answers(f"{stack.service_url}/healthz/ready")
        )

    def arm_url(self, arm: str) -> str:
        """See :class:`DataPlane`."""
        return f"http://{ports.HOST}:{self._ports[arm]}"
