"""Every HTTP exchange with the outside: one place that bounds its time, its size and the depth of its JSON.

A client that is made here gives each exchange one *total* time, from the first byte sent to the last byte received: a
server that sends one byte now and then ends it no later than one that is silent. The time is the request's ``timeout``.
The body is unpacked here, and is given up when it grows over ``LARGEST``. Redirects are never followed. What goes
wrong is an ``httpx.TransportError``, whose text says what was too slow, too large or unreadable.
"""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

ANSWER_S = 5.0  # of an exchange whose request sets no time
LARGEST = 4 << 20  # bytes of a body, after unpacking
_CHUNK = 1 << 16

_KEPT = ("http_version", "reason_phrase")  # of a response, besides its headers and its body

_until: ContextVar[float] = ContextVar("until", default=math.inf)  # when the exchange of this thread is over


def client(*, verify: Any = True, timeout: float = ANSWER_S, **options: Any) -> httpx.Client:
    """A client whose exchanges are bounded; ``options`` are those of ``httpx.Client``."""
    transport = Bounded(httpx.HTTPTransport(verify=verify, trust_env=False))
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False, **options)


def async_client(*, verify: Any = True, timeout: float = ANSWER_S, **options: Any) -> httpx.AsyncClient:
    """The same for an event loop; ``options`` are those of ``httpx.AsyncClient``."""
    transport = AsyncBounded(httpx.AsyncHTTPTransport(verify=verify, trust_env=False))
    return httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False, **options)


def bounded(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client, bounded also where somebody else has made it."""
    if not isinstance(client._transport, AsyncBounded):
        client._transport = AsyncBounded(client._transport)
    return client


class Bounded(httpx.BaseTransport):
    """Bounds the exchanges of another transport of httpx."""

    def __init__(self, inner: httpx.HTTPTransport) -> None:
        self._inner = inner
        inner._pool._network_backend = _Sockets()  # the one place where each read of a blocking socket can be bounded

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See ``httpx.BaseTransport``."""
        seconds = _seconds(request)
        before = _until.set(time.monotonic() + seconds)
        try:
            response = self._inner.handle_request(request)
            try:
                body = _Body(request, response)
                for chunk in response.iter_raw():
                    body.add(chunk)
            finally:
                response.close()
        except httpx.TimeoutException:
            raise _too_slow(request, seconds) from None
        finally:
            _until.reset(before)
        return body.response()

    def close(self) -> None:
        """See ``httpx.BaseTransport``."""
        self._inner.close()


class AsyncBounded(httpx.AsyncBaseTransport):
    """The same for an event loop."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See ``httpx.AsyncBaseTransport``."""
        seconds = _seconds(request)
        try:
            return await asyncio.wait_for(self._whole(request), seconds)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            raise _too_slow(request, seconds) from None

    async def _whole(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if response.is_stream_consumed:  # made in this process
            return response
        try:
            body = _Body(request, response)
            async for chunk in response.aiter_raw():
                body.add(chunk)
        finally:
            await response.aclose()
        return body.response()

    async def aclose(self) -> None:
        """See ``httpx.AsyncBaseTransport``."""
        await self._inner.aclose()


def _seconds(request: httpx.Request) -> float:
    """The total time of an exchange; asks for no packing that is not bounded here."""
    request.headers["Accept-Encoding"] = "gzip"
    given: float | None = request.extensions.get("timeout", {}).get("read")
    return ANSWER_S if given is None else given


def _too_slow(request: httpx.Request, seconds: float) -> httpx.ReadTimeout:
    return httpx.ReadTimeout(f"no whole answer within {seconds:g} s", request=request)


class _Body:
    """The body of a response as it comes in, unpacked, never more than ``LARGEST`` bytes of it."""

    def __init__(self, request: httpx.Request, response: httpx.Response) -> None:
        self._request = request
        self._response = response
        self._parts: list[bytes] = []
        self._size = 0
        packing = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
        if packing not in ("identity", "gzip", "x-gzip"):
            raise self._wrong(f"answer is packed as {packing[:40]!r}; allowed: gzip, or not packed")
        self._gzip = None if packing == "identity" else zlib.decompressobj(wbits=31)

    def add(self, raw: bytes) -> None:
        """The next piece, as the server sent it."""
        if self._gzip is None:
            self._keep(raw)
            return
        while raw:
            try:
                self._keep(self._gzip.decompress(raw, _CHUNK))
            except zlib.error:
                raise self._wrong("answer cannot be unpacked: no gzip") from None
            raw = self._gzip.unconsumed_tail

    def response(self) -> httpx.Response:
        """The whole answer, unpacked."""
        given = self._response
        if self._gzip is not None:
            self._keep(self._gzip.flush())
            if not self._gzip.eof and self._size:
                raise self._wrong("answer cannot be unpacked: it ends too early")
        gone = ("content-encoding", "content-length", "transfer-encoding")
        headers = [(name, value) for name, value in given.headers.multi_items() if name not in gone]
        kept: dict[str, Any] = {key: given.extensions[key] for key in _KEPT if key in given.extensions}
        content = b"".join(self._parts)
        return httpx.Response(
            given.status_code, headers=headers, content=content, request=self._request, extensions=kept
        )

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > LARGEST:
            raise self._wrong(f"answer is larger than {LARGEST >> 20} MB")
        self._parts.append(part)

    def _wrong(self, text: str) -> httpx.RemoteProtocolError:
        return httpx.RemoteProtocolError(text, request=self._request)


def _left(given: float | None) -> float:
    """Seconds that the next step of an exchange may take; an exchange that is over times out."""
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time of this exchange is over")
    return left if given is None else min(left, given)


class _Sockets(httpcore.SyncBackend):
    """Blocking sockets whose every read and write ends with the exchange that it belongs to."""

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        """See ``httpcore.NetworkBackend``."""
        return _Socket(super().connect_tcp(host, port, _left(timeout), *args, **more))


class _Socket(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        return _Socket(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()
