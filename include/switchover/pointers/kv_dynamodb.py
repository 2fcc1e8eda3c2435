"""A key in a DynamoDB table: an update that holds only if the item is still the one that was read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import Field

from switchover.edge.aws_calls import Declined, Service, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.pointers.base import Pointer
from switchover.pointers.kv import Entry, KeyPointer, KeySpec

COMPARED = ("target", "epoch", "version")


class DynamoDbSpec(KeySpec):
    """An item of a DynamoDB table that names the live arm."""

    kind: Literal["kv_dynamodb"]
    table_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:\d{12}:table/[A-Za-z0-9_.-]{3,255}$",
        description="The table: arn:aws:dynamodb:REGION:ACCOUNT:table/NAME."
        " Its partition key is the string `key`; it has no sort key.",
    )

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        where = f"{self.kind}:{self.table_arn}"
        table = service(edge, "dynamodb", self.connection, where=where, region=self.table_arn.split(":")[3])
        store = DynamoDbStore(service=table, table_arn=self.table_arn)
        return KeyPointer(kind=self.kind, store=store, name=self.key, check=self.checked(edge))


class DynamoDbStore:
    """Items ``{key, target, epoch, version, actor, moved_at}``; what else an item holds is left alone."""

    def __init__(self, *, service: Service, table_arn: str) -> None:
        self._service = service
        self.place = table_arn

    def get(self, key: str) -> Entry | None:
        """See :class:`KeyStore`. A consistent read: it sees every write that was answered before."""
        item = self._call("get_item", key, ConsistentRead=True).get("Item")
        if item is None:
            return None
        try:
            return Entry(
                target=item["target"]["S"],
                epoch=int(item.get("epoch", {"N": 0})["N"]),
                actor=item.get("actor", {}).get("S", ""),
                version=int(item.get("version", {"N": 0})["N"]),
                token={name: item.get(name) for name in COMPARED},
            )
        except (KeyError, ValueError):
            found = {name: item.get(name) for name in COMPARED}
            raise BadInput(
                f"{self.place}, key {key!r}: found {str(found)[:160]}; allowed: target S, epoch N, version N"
            ) from None

    def put(self, key: str, entry: Entry, *, instead_of: Entry | None) -> bool:
        """See :class:`KeyStore`."""
        names = {f"#{name}": name for name in (*COMPARED, "actor", "moved_at")}
        values = {
            ":target": {"S": entry.target},
            ":epoch": {"N": str(entry.epoch)},
            ":version": {"N": str(1 + (instead_of.version or 0) if instead_of else 1)},
            ":actor": {"S": entry.actor},
            ":moved_at": {"S": datetime.now(timezone.utc).isoformat(timespec="milliseconds")},
        }
        conditions = []
        if instead_of is None:
            names["#key"] = "key"
            conditions.append("attribute_not_exists(#key)")
        else:
            for name, value in instead_of.token.items():
                if value is None:
                    conditions.append(f"attribute_not_exists(#{name})")
                else:
                    conditions.append(f"#{name} = :old_{name}")
                    values[f":old_{name}"] = value
        try:
            self._call(
                "update_item",
                key,
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in (*COMPARED, "actor", "moved_at")),
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except Declined:
            return False
        return True

    def delete(self, key: str) -> None:
        """See :class:`KeyStore`."""
        self._call("delete_item", key)

    def _call(self, operation: str, key: str, **parameters: Any) -> Mapping[str, Any]:
        conditional = ("ConditionalCheckFailedException",) if "ConditionExpression" in parameters else ()
        try:
            return self._service.call(
                operation,
                expect=(*conditional, "ResourceNotFoundException", "ValidationException"),
                TableName=self.place,
                Key={"key": {"S": key}},
                **parameters,
            )
        except Declined as declined:
            if declined.code == "ResourceNotFoundException":
                raise BadInput(f"{self.place}: there is no such table; docs/pointers/kv_dynamodb.md makes it") from None
            if declined.code == "ValidationException":
                raise BadInput(
                    f"{self.place}: {declined}; allowed: a table whose only key is the string attribute 'key'"
                ) from None
            raise
