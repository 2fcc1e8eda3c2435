"""The cache over a real Redis: single flight, both layers, and nothing served from another namespace."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio as client_library

from sandbox.servers import Server
from switchover.cache import CacheNamespace
from switchover.cache.layers import Cache
from switchover.errors import BadInput

PINS = {"INDEX_HASH": "aa", "PROMPT_VER": "p/1", "MODEL_VER": "m/1", "RERANK_CONF": "r"}
BLUE, GREEN = CacheNamespace.of(PINS), CacheNamespace.of({**PINS, "INDEX_HASH": "bb"})
PARTS = {"question": "What is a closure?", "k": 5}


class Filling:
    """A fill that counts, and that may be held up or fail."""

    def __init__(self, value: Any = "answer") -> None:
        self.value = value
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Any:
        self.calls += 1
        await self.go.wait()
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.fixture
async def shared(redis: Server) -> AsyncIterator[client_library.Redis]:
    async with client_library.Redis(host=redis.host, port=redis.port, socket_timeout=10) as client:
        yield client


@pytest.fixture
def made(shared: client_library.Redis) -> Callable[..., Cache]:
    """Caches that share a layer, as so many processes would."""
    prefix = f"cache:{uuid.uuid4().hex[:8]}:"
    return lambda **options: Cache(shared=shared, prefix=prefix, **options)


async def soon(look: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(500):
        if await look():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited 5 s in vain")


@pytest.mark.parametrize("pin", ["INDEX_HASH", "PROMPT_VER", "MODEL_VER", "RERANK_CONF"])
def test_each_of_the_four_pins_makes_another_namespace(pin: str) -> None:
    assert CacheNamespace.of({**PINS, pin: "other"}) != CacheNamespace.of(PINS)
    assert CacheNamespace.of({**PINS, "GIT_SHA": "other"}) == CacheNamespace.of(PINS)
    with pytest.raises(BadInput, match=f"pins without {pin}; needed: INDEX_HASH, PROMPT_VER"):
        CacheNamespace.of({**PINS, pin: ""})


async def test_an_entry_is_filled_once_then_shared_then_in_memory(made: Callable[..., Cache]) -> None:
    fill = Filling({"cited": "x"})
    one, two = made(), made()
    assert [(await cache.get_or_fill(BLUE, "a", PARTS, fill)).source for cache in (one, one, two, two)] == [
        "filled",
        "memory",
        "shared",
        "memory",
    ]
    assert fill.calls == 1
    entry = await two.get_or_fill(BLUE, "a", PARTS, fill)
    entry.value["cited"] = "changed by its reader"
    assert (await two.get_or_fill(BLUE, "a", PARTS, fill)).value == {"cited": "x"}


async def test_a_flip_and_a_rollback_change_the_namespace_and_delete_nothing(made: Callable[..., Cache]) -> None:
    cache, blue, green = made(), Filling("blue's"), Filling("green's")
    for namespace, fill, expected in ((BLUE, blue, "blue's"), (GREEN, green, "green's"), (BLUE, blue, "blue's")):
        assert (await cache.get_or_fill(namespace, "a", PARTS, fill)).value == expected
    assert (blue.calls, green.calls) == (1, 1)  # Blue's entries were still there after the rollback


async def test_what_lies_at_our_key_but_was_written_under_another_namespace_is_not_served(
    made: Callable[..., Cache], shared: client_library.Redis
) -> None:
    writer = made()
    await writer.get_or_fill(BLUE, "a", PARTS, Filling("poison"))
    stored = await shared.get(writer._prefix + BLUE.key("a", **PARTS))
    for raw in (stored, b"no envelope", f"{GREEN.id}\nnot json".encode()):
        await shared.set(writer._prefix + GREEN.key("a", **PARTS), raw)
        reader = made()
        entry = await reader.get_or_fill(GREEN, "a", PARTS, Filling("green's"))
        assert (entry.value, entry.source, reader.counts["refused"]) == ("green's", "filled", 1)


async def test_many_at_once_in_one_process_share_a_fill_also_when_the_first_goes_away(
    made: Callable[..., Cache],
) -> None:
    cache, fill = made(), Filling()
    fill.go.clear()
    first, *others = [asyncio.create_task(cache.get_or_fill(BLUE, "a", PARTS, fill)) for _ in range(20)]

    async def asked() -> bool:
        return fill.calls == 1

    await soon(asked)
    first.cancel()
    fill.go.set()
    assert {entry.value for entry in await asyncio.gather(*others)} == {"answer"}
    assert fill.calls == 1


async def test_many_processes_share_a_fill(made: Callable[..., Cache]) -> None:
    caches, fill = [made() for _ in range(5)], Filling()
    fill.go.clear()
    tasks = [asyncio.create_task(cache.get_or_fill(BLUE, "a", PARTS, fill)) for cache in caches]
    await asyncio.sleep(0.1)  # nothing tells that the four others have looked and wait
    fill.go.set()
    assert sorted(entry.source for entry in await asyncio.gather(*tasks)) == ["filled", *["shared"] * 4]
    assert fill.calls == 1


async def test_a_fill_that_fails_is_told_to_all_and_kept_by_none(made: Callable[..., Cache]) -> None:
    cache, fill = made(), Filling(OSError("the store is away"))
    answers = await asyncio.gather(
        *(cache.get_or_fill(BLUE, "a", PARTS, fill) for _ in range(3)), return_exceptions=True
    )
    assert [str(answer) for answer in answers] == ["the store is away"] * 3
    fill.value = "well again"
    assert (await made().get_or_fill(BLUE, "a", PARTS, fill)).value == "well again"
    assert fill.calls == 2


async def test_a_process_that_died_while_it_filled_holds_up_the_others_only_so_long(
    made: Callable[..., Cache], shared: client_library.Redis
) -> None:
    cache = made(fill_s=0.2)
    await shared.set(f"{cache._prefix}{BLUE.key('a', **PARTS)}:filling", "dead", px=60_000)
    assert (await cache.get_or_fill(BLUE, "a", PARTS, Filling())).source == "filled"


async def test_what_may_not_be_kept_is_filled_again(made: Callable[..., Cache]) -> None:
    cache, fill = made(), Filling("mixed")
    for _ in range(2):
        entry = await cache.get_or_fill(BLUE, "a", PARTS, fill, keep=lambda value: value != "mixed")
        assert entry.source == "filled"
    assert fill.calls == 2


async def test_every_key_has_a_time_to_live(made: Callable[..., Cache], shared: client_library.Redis) -> None:
    cache = made(ttl_s=0.05, memory_ttl_s=0.05)
    await cache.get_or_fill(BLUE, "a", PARTS, Filling("old"))

    async def gone() -> bool:
        return (await cache.get_or_fill(BLUE, "a", PARTS, Filling("new"))).value == "new"

    await soon(gone)
    await made().get_or_fill(GREEN, "a", PARTS, Filling())
    keys = [key async for key in shared.scan_iter(f"{cache._prefix}{GREEN.id}*")]
    assert keys and all([0 < await shared.pttl(key) <= 3_600_000 for key in keys])


async def test_without_the_shared_layer_memory_alone_serves_and_nobody_waits() -> None:
    dead = client_library.Redis(port=1, socket_connect_timeout=0.2)
    cache, fill = Cache(shared=dead), Filling()
    sources = [(await cache.get_or_fill(BLUE, "a", PARTS, fill)).source for _ in range(3)]
    assert sources == ["filled", "memory", "memory"]
    for number in range(20):
        await cache.get_or_fill(BLUE, "a", {"n": number}, fill)
    assert cache.counts["shared_away"] == 1  # then it was left out, not asked again at each request
    await dead.aclose()


async def test_memory_is_bounded_in_bytes() -> None:
    cache = Cache(memory_bytes=1000)
    for number in range(50):
        await cache.get_or_fill(BLUE, "a", {"n": number}, Filling("x" * 98))
    assert cache._memory.currsize <= 1000
    assert (await cache.get_or_fill(BLUE, "a", {"n": 50}, Filling("x" * 2000))).source == "filled"


def test_a_namespace_costs_no_client() -> None:
    program = """
import sys, json
import switchover.cache
print(json.dumps(sorted({"redis", "cachetools", "airflow", "numpy"} & set(sys.modules))))
"""
    assert json.loads(subprocess.check_output([sys.executable, "-c", program])) == []
