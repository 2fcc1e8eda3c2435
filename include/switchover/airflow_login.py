"""Login to an Airflow REST API by a user's name and password."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from switchover.errors import BadInput


class AirflowToken(httpx.Auth):
    """Logs in at ``/auth/token`` and sends the token; asks for a new one when it is refused."""

    requires_response_body = True

    def __init__(self, *, login: str, password: str) -> None:
        self._body = {"username": login, "password": password}
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See ``httpx.Auth``."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
        login = yield httpx.Request("POST", request.url.join("/auth/token"), json=self._body)
        if login.is_error:
            raise BadInput(f"Airflow at {request.url.host}: login refused with {login.status_code}")
        self._token = login.json()["access_token"]
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
