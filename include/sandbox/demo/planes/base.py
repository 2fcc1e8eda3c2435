"""What every data plane has: its plan, its servers, its pointer, its services."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

from sandbox.demo.stack import Stack, answers, python
from sandbox.processes import ports
from sandbox.processes.airflow_home import REPOSITORY
from sandbox.servers import Server, start_redis
from sandbox.service import answer_cache
from sandbox.service.live import Live, live_of
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.plan import Plan

PLANS = REPOSITORY / "include" / "plans"


class DataPlane(ABC):
    """One kind of pointer on a started stack. The indexes are tables of its PostgreSQL unless a plane says more.

    ``file``: the plan. ``connections``: those that it names beyond what every stack has. ``made``: directories
    that its servers leave in the state directory.
    """

    file: ClassVar[str]
    connections: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, stack: Stack, plan: Plan) -> None:
        self.stack = stack
        self.plan = plan

    def start_servers(self) -> None:  # noqa: B027 - pgvector and others have none
        """Start what stands beside PostgreSQL. Comes before Airflow, which must know the connections."""

    def start_cache(self) -> None:
        """Start what the services share their answers in. ``NotHere``: they cache in their own memory only."""
        self._start_server("Redis (cached answers)", start_redis, answer_cache.CONNECTION)

    def build(self, target: str, variant: str) -> None:
        """Build one index and its manifest."""
        self.stack.run(f"build {target}", python("sandbox.service.build", "--target", target, "--variant", variant))

    @abstractmethod
    def create_pointer(self, target: str) -> None:
        """Create the pointer, on ``target``. The indexes are there."""

    def start_services(self) -> None:
        """Start what answers questions at the stack's service address. The pointer is there."""
        self._start_service("service", self.stack.service_port, ready="/healthz/ready")

    def arm_url(self, arm: str) -> str:
        """Where an arm answers whether it is live or not, given the header that names it."""
        return self.stack.service_url

    @cached_property
    def edge(self) -> Edge:
        """An edge on the stack's connections; first used when all of them are known."""
        return Edge(connections=environment_connections(self.stack.environment()))

    @cached_property
    def live(self) -> Live:
        """The pointer, read as the sandbox's processes read it."""
        return live_of(self.plan, self.edge)

    def _start_service(self, name: str, port: int, *arguments: str, ready: str) -> None:
        argv = python("sandbox.service.service", "--port", str(port), *arguments)
        self.stack.start_service(name, argv, ready=answers(f"http://{ports.HOST}:{port}{ready}"), timeout=180)

    def _start_server(self, what: str, start: Any, conn_id: str) -> Server:
        """Start a server and make it known under a connection id."""
        with self.stack.step(what):
            server: Server = start(self.stack.keeper)
        self.stack.connections[conn_id] = server.airflow_connection()
        return server
