"""What the AWS worlds share, and the two that are a key and a parameter. All on moto, an emulator."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any, ClassVar

import boto3
import httpx
from botocore.config import Config

from switchover.edge.aws_calls import IAM_PREFIX
from switchover.edge.clients import aws
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers import Pointer
from switchover.steps.move import pointer_spec
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, Place, World

ACCOUNT = "123456789012"  # moto's
REGION = "us-east-1"
ELSEWHERE = "elsewhere"
TABLE = "switchover"
Call = tuple[str, Mapping[str, Any]]


@cache
def bare_client(service: str, url: str) -> Any:
    """A client that is not the pointer's; it may wait long while moto loads a service for the first time."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(read_timeout=60, retries={"total_max_attempts": 1}),
    )


def aws_connection(url: str, **given: Any) -> Connection:
    """A connection to the emulator at ``url``."""
    given = {"login": "sandbox", "password": "sandbox", **given}
    extra = {"endpoint_url": url, "region_name": REGION, **given.pop("extra", {})}
    return Connection(id=CONNECTION, conn_type="aws", extra=extra, **given)


class Guard:
    """moto with its authorization switched on: a user with a policy of ours."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.iam = bare_client("iam", url)
        self.off()
        for key in self.keys():
            self.iam.delete_access_key(UserName="switchover", AccessKeyId=key)
        if "switchover" not in {user["UserName"] for user in self.iam.list_users()["Users"]}:
            self.iam.create_user(UserName="switchover")
        self.key = self.iam.create_access_key(UserName="switchover")["AccessKey"]

    def keys(self) -> list[str]:
        try:
            found = self.iam.list_access_keys(UserName="switchover")["AccessKeyMetadata"]
        except self.iam.exceptions.NoSuchEntityException:
            return []
        return [each["AccessKeyId"] for each in found]

    def off(self) -> None:
        httpx.post(f"{self.url}/moto-api/reset-auth", content="inf", trust_env=False).raise_for_status()

    def on(self) -> None:
        httpx.post(f"{self.url}/moto-api/reset-auth", content="0", trust_env=False).raise_for_status()

    def allow(self, allowed: set[str]) -> None:
        """The user may do these and nothing else; from now on it is enforced."""
        self.off()
        self.iam.put_user_policy(UserName="switchover", PolicyName="it", PolicyDocument=document(allowed))
        self.on()

    def connection(self, **extra: Any) -> Connection:
        login = {"login": self.key["AccessKeyId"], "password": self.key["SecretAccessKey"]}
        return aws_connection(self.url, **login, extra=extra)


def document(allowed: set[str]) -> str:
    statement = {"Effect": "Allow", "Action": sorted(allowed), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class AwsPlace(Place):
    """Something of its own on the session's moto."""

    fixture = "moto_server"
    service: ClassVar[str]

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return aws_connection(f"http://{address[0]}:{address[1]}")

    def client(self, service: str = "") -> Any:
        return bare_client(service or self.service, self.server.url)

    def restart(self) -> None:
        self.server.restart()


class AwsWorld(AwsPlace, World):
    """A pointer on the session's moto. A third arm stands ready for moves to elsewhere."""


def pointer_of(world: AwsWorld, calls: list[Call], connection: Connection | None = None) -> Pointer:
    """The world's pointer, whose calls are written down: IAM action and parameters."""

    def build(connection: Connection, service: str) -> Any:
        client = aws(connection, service)
        prefix = IAM_PREFIX.get(service, service)
        client.meta.events.register(
            "provide-client-params", lambda params, model, **_: calls.append((f"{prefix}:{model.name}", params))
        )
        return client

    edge = Edge(connections=lambda _: connection or world.connection(world.address), builders={"aws": build})
    return pointer_spec({"kind": world.kind, "connection": CONNECTION, **world.spec()}).build(edge)


class DynamoDbWorld(AwsWorld):
    kind = "kv_dynamodb"
    service = "dynamodb"
    write_marker = b"UpdateItem"

    def set_up(self) -> None:
        if TABLE not in self.client().list_tables()["TableNames"]:
            self.client().create_table(
                TableName=TABLE,
                KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        self.client().put_item(TableName=TABLE, Item={**self.key, "target": {"S": BLUE}})

    @property
    def key(self) -> dict[str, Any]:
        return {"key": {"S": self.name}}

    def tear_down(self) -> None:
        self.remove()

    def spec(self) -> dict[str, Any]:
        return {"key": self.name, "table_arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"}

    def item(self) -> dict[str, Any]:
        return self.client().get_item(TableName=TABLE, Key=self.key, ConsistentRead=True).get("Item", {})

    def serve(self) -> frozenset[str]:
        item = self.item()
        return frozenset([item["target"]["S"]] if item else [])

    def move(self, target: str) -> None:
        self.client().update_item(
            TableName=TABLE,
            Key=self.key,
            UpdateExpression="SET target = :target",
            ExpressionAttributeValues={":target": {"S": target}},
        )

    def plant(self) -> Callable[[], object]:
        stranger = copy.copy(self)
        stranger.name += "__rehearsal"
        stranger.set_up()
        return stranger.serve

    def remove(self) -> None:
        self.client().delete_item(TableName=TABLE, Key=self.key)


class SsmWorld(AwsWorld):
    kind = "ssm"
    service = "ssm"
    write_marker = b"AmazonSSM.PutParameter"

    @cached_property
    def parameter(self) -> str:
        return f"/switchover/{self.name}"

    @property
    def targets(self) -> dict[str, str]:
        return {arm: f"https://{arm}.example.test" for arm in (BLUE, GREEN, ELSEWHERE)}

    def set_up(self) -> None:
        self.client().put_parameter(Name=self.parameter, Value=self.targets[BLUE], Type="String")

    def tear_down(self) -> None:
        self.remove()

    def spec(self) -> dict[str, Any]:
        return {"parameter": self.parameter, "account": ACCOUNT, "targets": self.targets}

    def serve(self) -> frozenset[str]:
        value = self.client().get_parameter(Name=self.parameter)["Parameter"]["Value"]
        return frozenset(arm for arm, place in self.targets.items() if place == value)

    def move(self, target: str) -> None:
        self.client().put_parameter(Name=self.parameter, Value=self.targets[target], Overwrite=True)

    def remove(self) -> None:
        self.client().delete_parameters(Names=[self.parameter])
