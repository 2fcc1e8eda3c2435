"""What the contract suite of metrics stores must be able to do to one: a world is a store that shows what it is told.

``show`` says what the store has of live traffic; one method a fault lets it go wrong in the words of its own protocol.
A fault that a kind cannot have stands in ``not_here`` with its reason.
"""

from __future__ import annotations

import contextlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.judge.traffic import Dead, SignalSample
from switchover.plan import Plan
from switchover.signals import Signals, SignalsSpec, signals_of

ARMS = ("blue", "green")
CONNECTION = "store"
STEP_S = 15.0
#: What a store cannot be without giving no figure.
FAULTS = (
    "no_data",
    "not_a_number",
    "infinity",
    "minus_infinity",
    "two_series",
    "warning",
    "partial",
    "unauthorised",
    "forbidden",
    "too_many",
    "unavailable",
    "silent",
    "slow_body",
    "stale",
    "future",
    "wrong_arm",
    "nonsense",
    "errors_unreadable",
    "other_arm_unreadable",
)
#: What it must read rightly: the figures are then exact.
READ = ("no_5xx_series", "restart", "new_process", "unfinished")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What live traffic there is on Green: requests and 5xx, evenly from the flip to now."""

    requests: int = 1200
    errors_5xx: int = 0
    elsewhere: int = 0


class SignalsWorld(ABC):
    """One kind's store."""

    table: ClassVar[str] = "signals"
    kind: ClassVar[str]
    against: ClassVar[str]  # what it was measured on
    plan: ClassVar[dict[str, Any]]  # its part of a plan, without connection
    not_here: ClassVar[Mapping[str, str]] = {}
    step_s: ClassVar[float] = STEP_S
    #: Faults that concern one rule alone; all others concern every rule of live traffic.
    about: ClassVar[Mapping[str, str]] = {"two_series": "extra_depth"}

    def __init__(self) -> None:
        self.now = datetime.now(timezone.utc).replace(microsecond=0)
        self.flip = self.now - timedelta(minutes=5)

    @abstractmethod
    def connection(self) -> Connection:
        """How it is reached."""

    @abstractmethod
    def show(self, told: Told) -> None:
        """Have this traffic, without any fault."""

    def fault(self, name: str) -> None:
        """Go wrong."""
        getattr(self, name)()

    @property
    def spec(self) -> SignalsSpec:
        """Its part of a plan."""
        return spec_of({**self.plan, "kind": self.kind, "connection": CONNECTION})

    @contextlib.contextmanager
    def signals(self) -> Iterator[Signals]:
        """As a run has them."""
        edge = Edge(connections=lambda _: self.connection())
        try:
            yield signals_of(self.spec, edge, arms=ARMS, now=lambda: self.now)
        finally:
            edge.close()

    def look(self) -> SignalSample | Dead:
        """One look of a hold."""
        with self.signals() as signals:
            return signals.query(arm="green", since=self.flip, until=self.now)

    def close(self) -> None:  # noqa: B027 - some start nothing
        """End what was started."""

    def __enter__(self) -> SignalsWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def spec_of(part: Mapping[str, Any]) -> SignalsSpec:
    """A part of a plan, read as a plan is."""
    from pydantic import TypeAdapter

    found: SignalsSpec = TypeAdapter(Plan.model_fields["signals"].annotation).validate_python(part)
    return found


class StandIn(ABC):
    """An HTTP server on loopback that answers as one API does, or goes wrong as a server can."""

    def __init__(self) -> None:
        self.status, self.headers, self.fault = 200, {"Content-Type": "application/json"}, ""
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.serve(self, body)

            do_GET = do_POST = _serve

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @abstractmethod
    def answer(self, path: str, query: Mapping[str, str], body: bytes) -> Any:
        """What is answered when all is well: JSON, or bytes."""

    @abstractmethod
    def refusal(self) -> bytes:
        """The body of a status that is no success, in the words of the API."""

    def serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """One exchange."""
        url = urlsplit(handler.path)
        query = dict(parse_qsl(url.query))
        self.asked.append((handler.path, dict(handler.headers.items())))
        if self.fault == "silent":
            self._over.wait(30)
            return
        made = self.answer(url.path, query, body) if self.status == 200 else self.refusal()
        data = made if isinstance(made, bytes) else json.dumps(made).encode()
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if self.fault == "slow":
            for byte in data:
                if self._over.wait(0.2):
                    return
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
            return
        handler.wfile.write(data)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class WebWorld(SignalsWorld):
    """What all stores behind HTTP share: the faults of a server."""

    server: StandIn

    def connection(self) -> Connection:
        """See :class:`SignalsWorld`."""
        return Connection(id=CONNECTION, conn_type="http", host="127.0.0.1", port=self.server.port, schema="http")

    def unauthorised(self) -> None:
        """The login is not accepted."""
        self.server.status = 401

    def forbidden(self) -> None:
        """The login may not ask."""
        self.server.status = 403

    def too_many(self) -> None:
        """Asked too often."""
        self.server.status = 429
        self.server.headers["Retry-After"] = "30"

    def unavailable(self) -> None:
        """Not there for now."""
        self.server.status = 503

    def silent(self) -> None:
        """It takes the question and says nothing."""
        self.server.fault = "silent"

    def slow_body(self) -> None:
        """It sends its answer byte by byte."""
        self.server.fault = "slow"

    def close(self) -> None:
        """See :class:`SignalsWorld`."""
        self.server.close()


def spread(count: int, *, since: float, until: float, step: float) -> list[tuple[float, float]]:
    """A counter's samples: it grows evenly by ``count`` from ``since`` to ``until``."""
    times = [since + step * n for n in range(int((until - since) // step) + 1)]
    return [(at, float(count * n // max(1, len(times) - 1))) for n, at in enumerate(times)]
