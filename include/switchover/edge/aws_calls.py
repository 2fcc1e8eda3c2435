"""What AWS pointers and writers share: one way to call a service; the one place where botocore's errors become ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from switchover.edge.edge import Edge
from switchover.errors import BadInput, Unreachable
from switchover.text import first_line

ACCOUNT = r"^\d{12}$"
EPOCH_TAG = "switchover:epoch"

# How IAM calls a service where boto3 calls it otherwise.
IAM_PREFIX = {"elbv2": "elasticloadbalancing"}

# Answers that mean "ask again", beside every 5xx.
BUSY = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "ProvisionedThroughputExceededException",
        "PriorRequestNotComplete",
        "TooManyUpdates",
        "TransactionConflictException",
        "ReplicatedWriteConflictException",
        "RequestTimeout",
        "RequestTimeoutException",
    ]
)
DENIED = frozenset(["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
STRANGER = frozenset(
    [
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "OptInRequired",
    ]
)


class Declined(Exception):
    """The service answered with an error code that the caller expects; it changed nothing."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Service:
    """One AWS service on one client; ``where`` begins every message, ``page`` has the policies."""

    def __init__(self, *, client: Any, where: str, page: str = "docs/pointers/") -> None:
        self._client = client
        self._page = page
        self._where = where
        self._url = client.meta.endpoint_url
        self.region = str(client.meta.region_name)
        name = client.meta.service_model.service_name
        self._iam = IAM_PREFIX.get(name, name)

    def call(self, operation: str, *, expect: Collection[str] = (), **parameters: Any) -> Mapping[str, Any]:
        """Do one operation (``describe_rules``) and return its answer.

        Raises
            Declined     the answer is one of the error codes in ``expect``
            Unreachable  no answer, a 5xx, or throttled; whether it acted is not known
            BadInput     refused: no right, no valid key, wrong parameters
        """
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
        from botocore.parsers import ResponseParserError

        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(**parameters)
        except ClientError as error:
            raise self._ours(error, expect) from error
        except (ConnectionError, HTTPClientError) as error:
            raise Unreachable(f"{self._where}: did not answer: {_line(error)}") from error
        except (ResponseParserError, UnicodeDecodeError, KeyError) as error:
            raise Unreachable(f"{self._where}: {self._url} does not answer as AWS does: {_line(error)}") from error
        except BotoCoreError as error:
            raise BadInput(f"{self._where}: the connection cannot be used: {_line(error)}") from error
        if "RequestId" not in answer["ResponseMetadata"]:  # botocore takes any page for an empty answer
            raise Unreachable(f"{self._where}: {self._url} does not answer as AWS does")
        return answer

    def _ours(self, error: Any, expect: Collection[str]) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = _line(error.response.get("Error", {}).get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        # A role is assumed by STS on the way to the service itself.
        service = "sts" if error.operation_name.startswith("AssumeRole") else self._iam
        action = f"{service}:{error.operation_name}"
        if code in expect:
            return Declined(code, said)
        if code in BUSY or status >= 500:
            return Unreachable(f"{self._where}: {action} was not answered: {said or status} ({code})")
        if code in DENIED:
            return BadInput(f"{self._where}: the connection lacks the right {action}; {self._page} has the policies")
        if code in STRANGER:
            return BadInput(f"{self._where}: AWS does not accept the connection's key: {said} ({code})")
        if status == 403:  # a proxy on the way, which does not answer as the service does
            return BadInput(f"{self._where}: {action} was refused (403): the connection lacks this right, or its key")
        return BadInput(f"{self._where}: {action} was refused: {said} ({code})")


def service(
    edge: Edge, name: str, connection: str, *, where: str, region: str | None = None, page: str = "docs/pointers/"
) -> Service:
    """A service by its boto3 name. ``BadInput`` when the connection is for another region than ``region``."""
    from botocore.exceptions import BotoCoreError

    try:
        client = edge.client("aws", connection, name)
    except (BotoCoreError, ValueError) as error:
        raise BadInput(f"connection {connection!r}: cannot be used: {_line(error)}") from error
    found = client.meta.region_name
    if region is not None and found != region:
        raise BadInput(f"connection {connection!r}: is for region {found}, but {where} is in {region}")
    return Service(client=client, where=where, page=page)


def distinct(targets: dict[str, str]) -> dict[str, str]:
    """Refuse two arms in one place: a pointer there could not be told apart."""
    for place in targets.values():
        arms = [arm for arm, other in targets.items() if other == place]
        if len(arms) > 1:
            raise ValueError(f"found {place!r} for {' and '.join(arms)}; allowed: another place for each arm")
    return targets


def place_of(targets: Mapping[str, str], arm: str, *, where: str) -> str:
    """The place of an arm. ``BadInput`` for a name that is no arm's."""
    if arm not in targets:
        raise BadInput(f"{where}: {arm!r} has no place; allowed: {', '.join(targets)}; nothing was changed")
    return targets[arm]


def epoch_in(tags: Collection[Mapping[str, str]], *, where: str) -> int | None:
    """The epoch in a list of tags; ``None`` without the tag."""
    for tag in tags:
        if tag["Key"] == EPOCH_TAG:
            if not tag["Value"].isdecimal():
                raise BadInput(f"{where}: tag {EPOCH_TAG}: found {tag['Value']!r}; allowed: a whole number")
            return int(tag["Value"])
    return None


def epoch_tag(epoch: int) -> dict[str, str]:
    """The tag that keeps an epoch."""
    return {"Key": EPOCH_TAG, "Value": str(epoch)}


def _line(said: object) -> str:
    """The first line of what was said, without a full stop."""
    return first_line(said).rstrip(".")
