"""The bounds of every HTTP exchange, on a real server that is slow, endless, packed or malformed."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
from tests.hostile import GOOD, Hostile, hostile

from switchover.edge import body, web
from switchover.edge.body import BadAnswer, parse_json

SECONDS = 0.3


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    with hostile() as running:
        yield running


@pytest.fixture(params=["blocking", "async"])
def get(request: pytest.FixtureRequest, server: Hostile):
    """GET by either client, with a total time of ``SECONDS``."""

    def blocking(path: str) -> httpx.Response:
        with web.client(base_url=server.url, timeout=SECONDS) as client:
            return client.get(path)

    async def waiting(path: str) -> httpx.Response:
        async with web.async_client(base_url=server.url, timeout=SECONDS) as client:
            return await client.get(path)

    return blocking if request.param == "blocking" else lambda path: asyncio.run(waiting(path))


@pytest.mark.parametrize("way", ["silent", "drip/0.05", "driphead/0.05", "interim"])
def test_an_exchange_has_a_total_time(get, way: str) -> None:
    began = time.monotonic()
    with pytest.raises(httpx.TransportError, match=r"no whole answer within 0\.3 s"):
        get(f"/{way}")
    assert time.monotonic() - began < 10 * SECONDS, "a dripping server went on and on"


@pytest.mark.parametrize("way", ["endless", "bomb/1000"])
def test_no_more_is_kept_of_a_body_than_the_bound(get, way: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(httpx.TransportError, match="larger than 4 MB|no whole answer"):
            get(f"/{way}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * web.LARGEST, f"{peak / 1e6:.0f} MB were held"


def test_a_packed_answer_is_unpacked(get) -> None:
    assert body.read_object(get("/packed")) == GOOD


@pytest.mark.parametrize("packing", ["gzip", "br", "zstd", "gzip, gzip"])
def test_what_cannot_be_unpacked_is_an_error_in_words(get, packing: str) -> None:
    with pytest.raises(httpx.TransportError, match="cannot be unpacked|is packed as"):
        get(f"/labelled/{packing}".replace(" ", "%20"))


def test_a_redirect_is_not_followed(get, server: Hostile) -> None:
    before = server.requests
    assert get("/redirect").status_code == 307
    assert server.requests == before + 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "answer is empty"),
        (b"<html>", "no JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b"1" * 5000, "5000 digits"),
        (b'{"a":"\xff"}', "no UTF-8"),
        (b"[" * 100_000, "deeper than|brackets"),
        (b"[" * 99_000 + b"]" * 99_000, "deeper than|brackets"),
        (b"[" * 40 + b"]" * 40, "deeper than 32"),
        (b"[" + b"{}," * 100_001 + b"{}]", "brackets; allowed"),
    ],
)
def test_json_beyond_the_bounds_is_refused_in_words(body: bytes, said: str) -> None:
    with pytest.raises(BadAnswer, match=said):
        parse_json(body)


def test_json_within_the_bounds_is_read() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    assert parse_json(b'\xef\xbb\xbf{"a": 1e30, "b": -9223372036854775808}') == {"a": 1e30, "b": -(2**63)}
    assert len(parse_json(b"[" + b"{}," * 1000 + b"{}]")) == 1001


def test_every_client_of_the_product_is_bounded() -> None:
    """No file makes an httpx client of its own."""
    import switchover

    own = {"edge/web.py", "notify/channels.py"}  # a message's answer is not read
    from pathlib import Path

    root = Path(switchover.__file__).parent
    made = ("httpx.Client(", "httpx.AsyncClient(", "httpx.get(", "httpx.post(", "urlopen(")
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in made)
    }
    assert found <= own, f"unbounded HTTP clients in {sorted(found - own)}"
