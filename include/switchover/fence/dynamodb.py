"""A fence in a DynamoDB table: conditional updates, one call a key.

DynamoDB tells no time, so the holders' own clocks decide about leases: they must agree to much less than a lease.
A done key carries the table's native time to live; the service deletes it some time after.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from switchover.errors import BadInput, Unreachable
from switchover.fence.base import TABLE, Claim, Done, Held

_REFUSED = ("ResourceNotFoundException", "AccessDeniedException", "ValidationException", "UnrecognizedClientException")
_CONDITION = "ConditionalCheckFailedException"
# Words that DynamoDB reserves are not worth knowing by heart: every attribute is named.
_NAMES = {
    f"#{name}": name
    for name in (
        "key", "token", "holder", "attempt", "lease_until", "digest", "payload", "source_type", "receipt", "expires_at"
    )
}  # fmt: skip


class DynamoDbStore:
    """Keys as items whose partition key is the string ``key``; one is done when it has a ``receipt``."""

    in_transaction = False

    def __init__(self, client: Any, *, table: str = TABLE) -> None:
        """``client``: boto3's ``dynamodb`` client; it may repeat a call by itself. ``table``: its name or its ARN."""
        self._client = client
        self._table = table
        self.place = f"DynamoDB {client.meta.region_name}, table {table}"

    def create_table(self) -> None:
        """Create the table, paid by request, and switch its time to live on."""
        with _translated(self.place):
            self._client.create_table(
                TableName=self._table,
                KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            self._client.get_waiter("table_exists").wait(TableName=self._table)
            self._client.update_time_to_live(
                TableName=self._table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
            )

    def joined(self, connection: Any) -> NoReturn:
        """See :class:`Store`. Never: an effect elsewhere cannot commit together with a key here."""
        raise BadInput(f"fence: {self.place}: DynamoDB cannot join a transaction; use once() without connection")

    def claim(self, claims: Sequence[Claim]) -> list[Held]:
        """See :class:`Store`."""
        return [self._claim(claim) for claim in claims]

    def mark_done(self, effects: Sequence[Done]) -> Collection[str]:
        """See :class:`Store`."""
        return {effect.key for effect in effects if self._mark_done(effect)}

    def release(self, attempts: Sequence[tuple[str, str]]) -> None:
        """See :class:`Store`."""
        for key, token in attempts:
            mine = "#token = :token AND attribute_not_exists(#receipt)"
            given = {":token": _s(token), ":one": _n(1)}
            if not self._write("delete_item", key, f"{mine} AND #attempt = :one", given):
                given = {":token": _s(token), ":now": _n(time.time())}
                self._write("update_item", key, f"{mine} AND #lease_until > :now", given, "SET #lease_until = :now")

    def read(self, keys: Sequence[str]) -> list[Held]:
        """See :class:`Store`. Consistent reads."""
        with _translated(self.place):
            items = [
                self._client.get_item(TableName=self._table, Key={"key": _s(key)}, ConsistentRead=True).get("Item")
                for key in keys
            ]
        return [_held(item) for item in items if item]

    def purge(self) -> int:
        """See :class:`Store`. Nothing to do: the table's time to live deletes them."""
        return 0

    def _claim(self, claim: Claim) -> Held:
        now = time.time()
        given = {
            ":token": _s(claim.token),
            ":holder": _s(claim.holder),
            ":lease_until": _n(now + claim.lease_s),
            ":digest": _s(claim.digest),
            ":payload": _s(claim.payload or ""),
            ":source_type": _s(claim.key.source_type),
            ":now": _n(now),
            ":none": _n(0),
            ":one": _n(1),
        }
        set_all = (
            "SET #token = :token, #holder = :holder, #lease_until = :lease_until, #digest = :digest, "
            "#payload = :payload, #source_type = :source_type, #attempt = if_not_exists(#attempt, :none) + :one"
        )
        free = "attribute_not_exists(#receipt) AND #digest = :digest AND #lease_until <= :now"
        while True:
            item = self._write("update_item", claim.key, f"attribute_not_exists(#key) OR ({free})", given, set_all)
            if item:
                return _held(item)
            held = self.read([claim.key])
            if held:  # otherwise it was given up between the two
                return held[0]

    def _mark_done(self, effect: Done) -> bool:
        given = {
            ":token": _s(effect.token),
            ":receipt": _s(effect.receipt),
            ":expires_at": _n(int(time.time() + effect.ttl_s) + 1),
        }
        set_done = "SET #receipt = :receipt, #expires_at = :expires_at"
        return bool(self._write("update_item", effect.key, "#token = :token", given, set_done))

    def _write(
        self, operation: str, key: str, condition: str, given: Mapping[str, Any], update: str | None = None
    ) -> Mapping[str, Any]:
        """One conditional write. Returns the new item (the old one of a deletion), empty when the condition failed."""
        text = f"{condition} {update or ''}"
        parameters = {
            "TableName": self._table,
            "Key": {"key": _s(key)},
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {name: real for name, real in _NAMES.items() if name in text},
            "ExpressionAttributeValues": {name: value for name, value in given.items() if name in text},
            "ReturnValues": "ALL_NEW" if update else "ALL_OLD",
            **({"UpdateExpression": update} if update else {}),
        }
        with _translated(self.place):
            try:
                attributes: Mapping[str, Any] = getattr(self._client, operation)(**parameters)["Attributes"]
            except ClientError as error:
                if error.response["Error"]["Code"] != _CONDITION:
                    raise
                return {}
        return attributes


def _s(text: str) -> dict[str, str]:
    return {"S": str(text)}


def _n(number: float) -> dict[str, str]:
    return {"N": f"{number:.6f}" if isinstance(number, float) else str(number)}


def _held(item: Mapping[str, Any]) -> Held:
    return Held(
        key=item["key"]["S"],
        token=item["token"]["S"],
        holder=item["holder"]["S"],
        attempt=int(item["attempt"]["N"]),
        lease_until=datetime.fromtimestamp(float(item["lease_until"]["N"]), timezone.utc),
        digest=item["digest"]["S"],
        payload=item["payload"]["S"] or None,
        done="receipt" in item,
        receipt=item["receipt"]["S"] if "receipt" in item else None,
    )


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    """The client's errors as one line that says what to do."""
    try:
        yield
    except ClientError as error:
        code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in _REFUSED:
            raise BadInput(f"fence: {place}: {code}: {said}; docs/fence.md has the table and the rights") from error
        raise Unreachable(f"fence: {place}: answered {code}: {said}") from error
    except BotoCoreError as error:
        raise Unreachable(f"fence: {place}: did not answer: {error}") from error
