"""HTTP requests signed as AWS asks for (Signature Version 4), with the credentials of an AWS connection.

Inside Airflow the client, and so its credentials, come from the amazon provider's hook; see ``Edge.client``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx

from switchover.edge.http_connection import trusted

SIGNED = ("host", "content-type")  # headers that are part of the signature


class AwsSigned(httpx.Auth):
    """Signs each request for one service of AWS."""

    requires_request_body = True

    def __init__(self, *, credentials: Any, service: str, region: str) -> None:
        self._credentials = credentials
        self._service = service
        self._region = region

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See ``httpx.Auth``."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        headers = {name: request.headers[name] for name in SIGNED if name in request.headers}
        given = AWSRequest(method=request.method, url=str(request.url), data=request.content, headers=headers)
        SigV4Auth(self._credentials, self._service, self._region).add_auth(given)
        request.headers.update(dict(given.headers.items()))
        yield request


def signed_options(client: Any) -> dict[str, Any]:
    """Keyword arguments for an httpx client that asks what a boto3 client would: its address, signed as it signs."""
    signer = client._request_signer  # the one place where a client keeps the credentials that it was made with
    auth = AwsSigned(
        credentials=signer._credentials,
        service=client.meta.service_model.signing_name,
        region=client.meta.region_name,
    )
    return {"base_url": client.meta.endpoint_url, "auth": auth, "verify": trusted()}
