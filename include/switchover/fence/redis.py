"""A fence in Redis or Valkey: one hash a key, each verb one script, so that it is atomic on the server.

The server's clock decides about leases. A done key expires by itself; a pending one never does. What the server
forgets (a crash between two writes of its log, a fail-over to a replica that is behind, eviction) the fence forgets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn

import redis as client_library

from switchover.errors import BadInput, Unreachable
from switchover.fence.base import Claim, Done, Held

# A server that would do it at another moment, or its successor: a demoted primary, full memory, too few replicas.
_NOT_NOW = (
    client_library.ReadOnlyError,
    client_library.OutOfMemoryError,
    client_library.exceptions.MasterDownError,
    client_library.exceptions.ClusterDownError,
    client_library.exceptions.TryAgainError,
)
_NOT_NOW_CODES = frozenset(
    ["READONLY", "OOM", "NOREPLICAS", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"]
)
_NOW = "local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
_CLAIM = (
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'token', 'digest', 'lease_until', 'attempt', 'done')
local mine = held[1] == ARGV[1]
local free = mine or (held[1] and tonumber(held[3]) <= now)
if not held[1] or (held[5] == '0' and held[2] == ARGV[4] and free) then
    local attempt = (held[4] or 0) + (mine and 0 or 1)
    redis.call('HSET', KEYS[1], 'token', ARGV[1], 'holder', ARGV[2], 'lease_until', now + ARGV[3], 'digest', ARGV[4],
        'payload', ARGV[5], 'source_type', ARGV[6], 'attempt', attempt, 'done', '0', 'receipt', '')
end
return redis.call('HGETALL', KEYS[1])"""
)
_DONE = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'done', '1', 'receipt', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1"""
_RELEASE = (
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'token', 'done', 'attempt', 'lease_until')
if held[1] ~= ARGV[1] or held[2] ~= '0' then return end
if held[3] == '1' then redis.call('DEL', KEYS[1])
elseif tonumber(held[4]) > now then redis.call('HSET', KEYS[1], 'lease_until', now) end"""
)


class RedisStore:
    """Keys as hashes under ``prefix``; many go in one pipeline."""

    in_transaction = False

    def __init__(self, client: client_library.Redis, *, prefix: str = "switchover:effect:") -> None:
        """``client``: redis-py's, of a Redis from version 5 or a Valkey. It may repeat a command by itself."""
        self._client = client
        self._prefix = prefix
        self.place = f"{_where(client)}, keys {prefix}*"

    def joined(self, connection: Any) -> NoReturn:
        """See :class:`Store`. Never: an effect elsewhere cannot commit together with a key here."""
        raise BadInput(f"fence: {self.place}: Redis cannot join a transaction; use once() without connection")

    def claim(self, claims: Sequence[Claim]) -> list[Held]:
        """See :class:`Store`."""
        found = self._scripts(
            _CLAIM,
            [
                (c.key, c.token, c.holder, round(c.lease_s * 1000), c.digest, c.payload or "", c.key.source_type)
                for c in claims
            ],
        )
        return [_held(claim.key, answer) for claim, answer in zip(claims, found, strict=True)]

    def mark_done(self, effects: Sequence[Done]) -> Collection[str]:
        """See :class:`Store`."""
        found = self._scripts(_DONE, [(e.key, e.token, e.receipt, max(1, round(e.ttl_s * 1000))) for e in effects])
        return {effect.key for effect, recorded in zip(effects, found, strict=True) if recorded}

    def release(self, attempts: Sequence[tuple[str, str]]) -> None:
        """See :class:`Store`."""
        self._scripts(_RELEASE, attempts)

    def read(self, keys: Sequence[str]) -> list[Held]:
        """See :class:`Store`."""
        with _translated(self.place):
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(self._prefix + key)
            return [_held(key, answer) for key, answer in zip(keys, pipeline.execute(), strict=True) if answer]

    def purge(self) -> int:
        """See :class:`Store`. Nothing to do: the server deletes a key when its time is over."""
        return 0

    def _scripts(self, script: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """One call a key, all in one round trip."""
        with _translated(self.place):
            pipeline = self._client.pipeline(transaction=False)
            for key, *arguments in calls:
                pipeline.eval(script, 1, self._prefix + key, *arguments)
            return list(pipeline.execute())


def _held(key: str, answer: Any) -> Held:
    """From what HGETALL gives: a flat list inside a script, a mapping outside, bytes or text as the client decodes."""
    if not isinstance(answer, dict):
        answer = dict(zip(answer[::2], answer[1::2], strict=True))
    row = {_text(name): _text(value) for name, value in answer.items()}
    return Held(
        key=key,
        token=row["token"],
        holder=row["holder"],
        attempt=int(row["attempt"]),
        lease_until=datetime.fromtimestamp(float(row["lease_until"]) / 1000, timezone.utc),
        digest=row["digest"],
        payload=row["payload"] or None,
        done=row["done"] == "1",
        receipt=row["receipt"] or None,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _where(client: client_library.Redis) -> str:
    """Socket, host and port, or the name that a Sentinel knows; a pool says only what differs from the defaults."""
    pool: Any = client.connection_pool
    if name := getattr(pool, "service_name", None):
        return f"{name}, found by Sentinel"
    given = pool.connection_kwargs
    return str(given.get("path") or f"{given.get('host', 'localhost')}:{given.get('port', 6379)}")


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    """The client's errors as one line that says what to do."""
    try:
        yield
    except (client_library.AuthenticationError, client_library.ResponseError) as error:
        # In a pipeline the client puts the whole command before it, payload included.
        said = str(error).rpartition(" of pipeline caused error: ")[2]
        if isinstance(error, _NOT_NOW) or said.split(" ", 1)[0].lstrip("-") in _NOT_NOW_CODES:
            raise Unreachable(f"fence: {place}: cannot write now: {said}") from error
        raise BadInput(f"fence: {place}: refused: {said}; docs/fence.md has the rights") from error
    except (client_library.ConnectionError, client_library.TimeoutError) as error:
        raise Unreachable(f"fence: {place}: did not answer: {error}") from error
