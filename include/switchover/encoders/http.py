"""How a server of vectors is asked over HTTP: bounded in time and size, patient where it is busy."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from pydantic import Field

from switchover.edge.body import BadAnswer, read_json
from switchover.encoders.outside import OutsideEncoder, OutsideSpec, TooLong
from switchover.errors import BadInput, Unreachable
from switchover.lazy import lazy
from switchover.part import ConnectionId, at_most
from switchover.text import first_line, one_line

if TYPE_CHECKING:
    import httpx

    from switchover.edge.edge import Edge
else:
    httpx = lazy("httpx")

PATIENCE_S = 60.0  # how long a busy server is asked again and again, the waits that it asks for included
PAUSE_S = 0.5  # before the first repeat where the server does not say; doubled each time
LONGEST_PAUSE_S = 8.0
BUSY = (429, 502, 503, 504)
REFUSED = (400, 413, 422)  # for what was sent: a text too long, a batch too large


class HttpEncoderSpec(OutsideSpec):
    """The keys of all encoders behind HTTP."""

    connection: ConnectionId = Field(description="HTTP connection of the server; a password alone is a bearer token.")
    timeout_s: float = Field(30, gt=0, json_schema_extra=at_most(300), description="Seconds that one call may take.")


class Denied(BadInput):
    """The server refuses whoever asks, whatever is sent: a key, a path or a model that it does not take."""


class PatientServer:
    """A server behind an HTTP connection, asked until it is not busy. A repeat must be harmless there.

    ``what``: what it is to the person who reads an error.
    """

    def __init__(self, edge: Edge, connection: str, *, what: str, timeout_s: float) -> None:
        self._edge = edge
        self._connection = connection
        self._where = f"{what} at {connection!r}"
        self._timeout_s = timeout_s

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer. ``TooLong``, ``Denied``, ``BadInput`` or ``Unreachable`` say why there is none."""
        client = self._edge.client("http", self._connection)
        until = time.monotonic() + PATIENCE_S
        for attempt in itertools.count():
            pause = min(PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
            try:
                response = client.request(method, path, json=body, timeout=self._timeout_s)
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {first_line(error)}"
            else:
                if response.status_code not in BUSY:
                    return self._read(response, path)
                why = f"HTTP {response.status_code}: {_said(response)}"
                pause = _asked_for(response, pause)
            if time.monotonic() + pause > until:
                raise Unreachable(f"{self._where}: did not answer: {why}")
            time.sleep(pause)
        raise AssertionError("the loop ends by itself")

    def _read(self, response: httpx.Response, path: str) -> Any:
        if response.status_code in REFUSED:
            raise TooLong(f"HTTP {response.status_code}: {_said(response)}")
        if response.status_code != httpx.codes.OK:
            refusal = BadInput if response.is_server_error else Denied
            raise refusal(f"{self._where}: {path} answered HTTP {response.status_code}: {_said(response)}")
        try:
            return read_json(response)
        except BadAnswer as error:
            raise BadInput(f"{self._where}: {path}: {error}") from None


class HttpEncoder(OutsideEncoder):
    """An encoder behind HTTP. A repeat is harmless: nothing is changed there."""

    def __init__(self, spec: HttpEncoderSpec, edge: Edge) -> None:
        super().__init__(spec)
        self._connection = spec.connection
        self._server = PatientServer(edge, spec.connection, what=self._what, timeout_s=spec.timeout_s)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """See :class:`PatientServer`."""
        return self._server.ask(method, path, body)


def numbers(vector: Any) -> list[float]:
    """The vector of an answer; ``ValueError`` unless it is a list of numbers."""
    if not isinstance(vector, list) or not all(type(number) in (float, int) for number in vector):
        raise ValueError("no list of numbers")
    return vector


def _asked_for(response: httpx.Response, pause: float) -> float:
    """The seconds of Retry-After; ``pause`` where there are none (a date is not read: clocks differ)."""
    given = response.headers.get("retry-after", "").strip()
    return max(float(given), 0.05) if given.isdecimal() else pause


def _said(response: httpx.Response) -> str:
    return one_line(response.text, 200) or "(no body)"
