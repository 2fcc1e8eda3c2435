"""Login to an Airflow REST API by a user's name and password."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from switchover.edge.body import BadAnswer, read_json
from switchover.edge.fields import Fields
from switchover.errors import BadInput, Unreachable


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
        if login.is_server_error:
            raise Unreachable(f"Airflow at {request.url.host}: login got no answer: {login.status_code}")
        if not login.is_success:
            raise BadInput(f"Airflow at {request.url.host}: login refused with {login.status_code}")
        try:
            self._token = Fields(read_json(login)).id("access_token")
        except BadAnswer as error:
            raise Unreachable(f"Airflow at {request.url.host}: the login's answer cannot be read: {error}") from None
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
