"""What only Redis and DynamoDB do: logins, clients that decode, servers that are away, no transactions to join."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis as client_library
from redis.sentinel import Sentinel

from sandbox.servers import Server
from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.errors import BadInput, Unreachable
from switchover.fence import Fence, Store
from switchover.fence.dynamodb import DynamoDbStore
from switchover.fence.redis import RedisStore
from tests.contract.test_fence import PAYLOAD, new_key

DEAD_PORT = 1


@pytest.fixture
def redis_client(redis: Server) -> Iterator[client_library.Redis]:
    with client_library.Redis(host=redis.host, port=redis.port) as client:
        yield client


def dead_stores() -> dict[str, Store]:
    aws = Connection(
        id="aws",
        conn_type="aws",
        login="key",
        password="secret",
        extra={"endpoint_url": f"http://127.0.0.1:{DEAD_PORT}", "region_name": "us-east-1"},
    )
    return {
        "redis": RedisStore(client_library.Redis(port=DEAD_PORT, username="user", password="secret")),
        "dynamodb": DynamoDbStore(clients.aws(aws, "dynamodb")),
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("redis", "fence: localhost:1, keys switchover:effect:*: did not answer"),
        ("dynamodb", "fence: DynamoDB us-east-1, table switchover_effects: did not answer"),
    ],
)
def test_a_server_that_is_away_is_one_line_without_the_login(kind: str, words: str) -> None:
    fence = Fence(store=dead_stores()[kind], holder="one")
    with pytest.raises(Unreachable) as found:
        fence.once(new_key(), PAYLOAD).__enter__()
    assert str(found.value).startswith(words)
    assert "secret" not in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize("kind", ["redis", "dynamodb"])
def test_a_transaction_cannot_be_joined(kind: str) -> None:
    with pytest.raises(BadInput, match=r"cannot join a transaction; use once\(\) without connection"):
        Fence(store=dead_stores()[kind], holder="one").once(new_key(), PAYLOAD, connection=object()).__enter__()


def test_a_client_that_decodes_serves_too(redis: Server) -> None:
    key = new_key()
    with client_library.Redis(host=redis.host, port=redis.port, decode_responses=True) as client:
        fence = Fence(store=RedisStore(client), holder="one")
        with fence.once(key, PAYLOAD) as effect:
            effect.done("§")
        with fence.once(key, PAYLOAD) as effect:
            assert effect.receipt == "§"


def test_a_done_key_expires_on_the_server_and_a_pending_one_does_not(redis_client: client_library.Redis) -> None:
    fence = Fence(store=RedisStore(redis_client), holder="one", ttl_s={"kafka": 1000})
    done, pending = new_key(), new_key()
    with fence.once_many([(done, 0), (pending, 0)]) as effects:
        assert redis_client.ttl(f"switchover:effect:{done}") == -1
        effects[0].done()
        effects[1].abandon()
    assert 990 < redis_client.ttl(f"switchover:effect:{done}") <= 1000


def test_rights_of_the_page_are_enough_and_less_is_one_line(redis: Server, redis_client: client_library.Redis) -> None:
    redis_client.acl_setuser(
        "fenced", enabled=True, passwords=["+word"], keys=["switchover:effect:*"], commands=["+get"]
    )
    with client_library.Redis(host=redis.host, port=redis.port, username="fenced", password="word") as client:
        fence = Fence(store=RedisStore(client), holder="one")
        with pytest.raises(BadInput, match=r"refused: .*docs/fence.md"):
            fence.once(new_key(), PAYLOAD).__enter__()
        words = ["+eval", "+time", "+hmget", "+hget", "+hset", "+hgetall", "+pexpire", "+del"]
        redis_client.acl_setuser("fenced", commands=words)
        with fence.once(new_key(), PAYLOAD) as effect:
            effect.done()
        with fence.once(new_key(), PAYLOAD) as effect:
            effect.abandon()
    redis_client.acl_deluser("fenced")
    with client_library.Redis(host=redis.host, port=redis.port, username="fenced", password="word") as client:
        fence = Fence(store=RedisStore(client), holder="one")
        with pytest.raises(BadInput, match="refused: invalid username-password pair"):
            fence.once(new_key(), PAYLOAD).__enter__()


@pytest.mark.parametrize(
    ("client", "place"),
    [
        (lambda: Sentinel([("127.0.0.1", DEAD_PORT)]).master_for("documents"), "documents, found by Sentinel"),
        (lambda: client_library.Redis(connection_pool=client_library.BlockingConnectionPool()), "localhost:6379"),
        (lambda: client_library.Redis(connection_pool=client_library.ConnectionPool(host="h")), "h:6379"),
        (lambda: client_library.Redis.from_url("redis://user:secret@h"), "h:6379"),
        (lambda: client_library.Redis.from_url("rediss://h:1"), "h:1"),
        (lambda: client_library.Redis.from_url("unix:///run/redis.sock"), "/run/redis.sock"),
    ],
    ids=["sentinel", "own pool", "own pool with a host", "URL without a port", "URL", "socket"],
)
def test_every_way_to_make_a_client_has_a_place(client: Callable[[], client_library.Redis], place: str) -> None:
    assert RedisStore(client()).place == f"{place}, keys switchover:effect:*"


#: What a server says that could not write at this moment: a command that brings it there, and one that leads back.
NOT_NOW = {
    "a demoted primary": (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
    "full memory": (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
    "too few replicas": (
        ["CONFIG", "SET", "min-replicas-to-write", "1"],
        ["CONFIG", "SET", "min-replicas-to-write", "0"],
    ),
}


@pytest.mark.parametrize("which", NOT_NOW)
def test_a_server_that_cannot_write_now_is_unreachable(redis_client: client_library.Redis, which: str) -> None:
    """The same write is well a moment later, or on another server: the caller asks again, and has mended nothing."""
    there, back = NOT_NOW[which]
    fence, key = Fence(store=RedisStore(redis_client), holder="one"), new_key()
    redis_client.execute_command(*there)
    try:
        with pytest.raises(Unreachable, match="cannot write now") as found:
            fence.once(key, {"text": "a payload"}).__enter__()
    finally:
        redis_client.execute_command(*back)
    assert "a payload" not in str(found.value)
    with fence.once(key, {"text": "a payload"}) as effect:
        assert effect.first
        effect.done()
