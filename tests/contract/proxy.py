"""A TCP proxy that can lose a server's answer after the server has acted."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Forwards to ``upstream`` (host and port, or a Unix socket).

    After :meth:`lose_answer` the next bytes with the marker are still forwarded, and the server answers, but
    the client gets no answer: the connection is closed (``hang=False``) or stays silent (``hang=True``).
    """

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = ("127.0.0.1", self._listener.getsockname()[1])
        self._marker: bytes | None = None
        self._hang = False
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer(self, marker: bytes, *, hang: bool) -> None:
        """Lose the answer to the next write."""
        self._marker, self._hang = marker, hang

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._upstream, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._upstream)
            return server
        return socket.create_connection(self._upstream)

    def _serve(self, client: socket.socket) -> None:
        losing = False
        with contextlib.suppress(OSError), client, self._connect() as server, selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    source, sink = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client:
                        if self._marker is not None and self._marker in data:
                            self._marker, losing = None, True
                        sink.sendall(data)
                    elif not losing:
                        sink.sendall(data)
                    else:
                        self.lost += 1
                        if self._hang:
                            _until_closed(client)
                        return


def _until_closed(client: socket.socket) -> None:
    while client.recv(65536):
        pass


@contextlib.contextmanager
def proxy_to(upstream: tuple[str, int] | str) -> Iterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
