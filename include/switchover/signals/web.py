"""One exchange with a metrics store over HTTP: bounded, and every refusal is one line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from switchover.edge.body import BadAnswer, read_json, read_object
from switchover.edge.clients import TIMEOUT_S
from switchover.lazy import lazy
from switchover.signals.reading import NoValue
from switchover.text import first_line

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

LOOK_S = 10.0  # for all figures of one look together
LONGEST_WAIT_S = 600.0  # of a Retry-After that is obeyed
MEANS = {
    400: "the store does not understand the query",
    401: "the store does not accept the connection's login",
    403: "the connection's login may not ask this",
    404: "there is no query API at this address",
    422: "the store cannot work out the query",
    429: "the store is asked too often",
    503: "the store is not available",
}


class StoreWeb:
    """The client of one store.

    All questions of one look share ``LOOK_S``. After a 429 or 503 with ``Retry-After`` it asks nothing until that time
    is over, and after a silence nothing for the rest of the look: a look must end soon.
    """

    def __init__(self, *, client: httpx.Client, where: str) -> None:
        self._client = client
        self._not_before, self._why = 0.0, ""
        self._over, self._silent = 0.0, ""
        self.where = where

    @contextlib.contextmanager
    def look(self) -> Iterator[None]:
        """The questions of one look."""
        self._over, self._silent = time.monotonic() + LOOK_S, ""
        try:
            yield
        finally:
            self._over, self._silent = 0.0, ""

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The JSON that the store answers. ``NoValue`` says in one line why there is none."""
        now = time.monotonic()
        if now < self._not_before:
            raise NoValue(f"not asked for another {self._not_before - now:.0f} s: {self._why}")
        if self._silent:
            raise NoValue(self._silent)
        left = min(self._over - now, TIMEOUT_S) if self._over else TIMEOUT_S
        if left <= 0:
            raise NoValue(f"not asked: the store took more than {LOOK_S:g} s for this look")
        try:
            response = self._client.request(method, path, timeout=left, **request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._silent = f"did not answer: {type(error).__name__}: {first_line(error)}"
            raise NoValue(self._silent) from None
        if not response.is_success:
            raise NoValue(self._refused(response))
        try:
            return read_json(response)
        except BadAnswer as error:
            raise NoValue(str(error)) from None

    def _refused(self, response: httpx.Response) -> str:
        """What a status means; the store's own word for it where it gives one."""
        try:
            said = read_object(response)
        except BadAnswer:
            said = {}
        told = said.get("error") or said.get("message") or said.get("errors")
        means = MEANS.get(response.status_code, "the store refused")
        why = f"{response.status_code}: {means}{f': {str(told)[:200]}' if told else ''}"
        after = response.headers.get("retry-after", "")
        if response.status_code in (429, 503) and after.isdecimal():
            self._not_before, self._why = time.monotonic() + min(float(after), LONGEST_WAIT_S), why
            why += f"; it asks to wait {after[:9]} s"
        return why
