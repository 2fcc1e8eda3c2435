"""Logging in to etcd, and again when it forgets: a token ends some minutes after its last use."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import httpx

from switchover.edge.body import BadAnswer, read_object
from switchover.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from switchover.edge.connection import Connection

# Both are said before anything is done: the token has ended, or users and roles were changed since the login.
AGAIN = ("invalid auth token", "revision of auth store is old")


class EtcdLogin(httpx.Auth):
    """Sends the token of a login; logs in again when the server asks for it."""

    requires_response_body = True

    def __init__(self, *, connection: Connection) -> None:
        self._where = f"connection {connection.id!r} at {connection.place}"
        self._body = {"name": connection.login, "password": connection.password}
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See ``httpx.Auth``."""
        if self._token:
            request.headers["Authorization"] = self._token
            response = yield request
            if response.is_success or not any(words in response.text for words in AGAIN):
                return
        answer = yield httpx.Request("POST", request.url.join("/v3/auth/authenticate"), json=self._body)
        self._token = self._token_in(answer)
        if self._token:
            request.headers["Authorization"] = self._token
        yield request

    def _token_in(self, answer: httpx.Response) -> str:
        """Empty when the server knows no users, which is no error."""
        try:
            found = read_object(answer)
        except BadAnswer:
            found = {}
        said = str(found.get("message") or found.get("error") or answer.reason_phrase)
        if answer.is_success and found.get("token"):
            return str(found["token"])
        if answer.is_server_error:
            raise Unreachable(f"{self._where}: login got no answer: {answer.status_code}: {said}")
        if "authentication is not enabled" in said:
            return ""
        raise BadInput(f"{self._where}: login refused: {said}")
