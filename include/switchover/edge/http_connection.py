"""What a connection to something that speaks HTTP says: one rule for its address, its login and its TLS.

What a connection may say is used or is an error in words: a word that is ignored may be the one that keeps a password
from going in clear. Nothing here is sent, and no message holds a secret.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchover.edge.connection import Connection
from switchover.errors import BadInput
from switchover.lazy import lazy

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

#: Words of Airflow's hooks that say how *they* ask and read; our own time-outs and rules hold instead.
HOOKS_OWN = ("timeout", "stream", "allow_redirects", "max_redirects", "check_response", "trust_env", "http_compress")
_SCHEMES = ("http", "https")
_HEADER = re.compile(r"(?=.*-|[A-Z])[A-Za-z][A-Za-z0-9-]*")
_MEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


class Extra:
    """The extra of a connection, read word by word; :meth:`done` refuses what nobody has asked for."""

    def __init__(self, connection: Connection, *, ignored: tuple[str, ...] = ()) -> None:
        self.connection = connection
        self._left = {name: value for name, value in connection.extra.items() if value is not None}
        self._known: list[str] = []
        for name in ignored:
            self._left.pop(name, None)

    def take(self, *names: str) -> Any:
        """The value under the first of ``names`` that is there, else ``None``."""
        self._known += names
        found = [self._left.pop(name) for name in names if name in self._left]
        return found[0] if found else None

    def text(self, *names: str) -> str | None:
        """The same, which must be a text or a number."""
        found = self.take(*names)
        if found is not None and not isinstance(found, (str, int, float)):
            raise self.wrong(names[0], "a text")
        return None if found is None else str(found)

    def number(self, *names: str) -> int | None:
        """The same, which must be a whole number."""
        found = self.text(*names)
        if found is not None and not found.isdecimal():
            raise self.wrong(names[0], "a whole number")
        return None if found is None else int(found)

    def flag(self, *names: str) -> bool | None:
        """The same, which must be true or false; a connection that is written as a URI may have only text."""
        found = self.take(*names)
        if found is None:
            return None
        if str(found).lower() not in _MEANS:
            raise self.wrong(names[0], "true or false")
        return _MEANS[str(found).lower()]

    def headers(self, *, beside: bool) -> dict[str, str]:
        """``headers``, an object of texts; ``beside``: and each word that is a header's name, as Airflow does it."""
        given = self.take("headers") or {}
        if not isinstance(given, Mapping):
            raise self.wrong("headers", "an object of texts")
        found = dict(given)
        if beside:
            found |= {name: self._left.pop(name) for name in [*self._left] if _HEADER.fullmatch(name)}
        if not all(isinstance(value, (str, int)) for value in found.values()):
            raise self.wrong("headers", "an object of texts")
        return {str(name): str(value) for name, value in found.items()}

    def done(self) -> None:
        """``BadInput`` when there is a word that nobody has asked for."""
        if self._left:
            raise BadInput(
                f"connection {self.connection.id!r}: extra {sorted(self._left)[0]!r} is not used here; allowed:"
                f" {', '.join(dict.fromkeys(self._known)) or 'none'}"
            )

    def wrong(self, name: str, allowed: str) -> BadInput:
        """The error for a value, which is not shown: it may be a secret."""
        return BadInput(f"connection {self.connection.id!r}: extra {name!r}: allowed: {allowed}")


def base_url(
    connection: Connection,
    *,
    secure: bool | None = None,
    default: str = "http",
    schema: bool = True,
    secret: bool = False,
) -> str:
    """Scheme, host and port, and the path of a host that is a whole address. This is the one rule for it.

    The scheme is said by the host (``https://search``), the type ``https``, the schema, or ``secure`` (a word of the
    extra); all that say it must agree. ``schema``: whether the connection's schema is a scheme and no database.
    ``secret``: the extra holds one. A login goes over plain HTTP only to this machine, or where the connection says
    ``http`` in so many words (not by its type alone).
    """
    protocol, _, rest = connection.host.rpartition("://")
    host = (rest or "localhost").rstrip("/")
    if "@" in host:
        raise BadInput(f"connection {connection.id!r}: a login stands in its host; put it into login and password")
    said = {"host": protocol} if protocol else {}
    if connection.conn_type in ("https", "slackwebhook"):
        said["type"] = "https"
    if schema and connection.schema:
        said["schema"] = connection.schema
    if secure is not None:
        said["extra"] = "https" if secure else "http"
    for where, scheme in said.items():
        if scheme not in _SCHEMES:
            raise BadInput(f"connection {connection.id!r}: {where}: found scheme {scheme!r}; allowed: http, https")
    if len(set(said.values())) > 1:
        words = ", ".join(f"{where} says {scheme}" for where, scheme in said.items())
        raise BadInput(f"connection {connection.id!r}: {words}; say one")
    scheme = next(iter(said.values()), default)
    if scheme == "http" and not said and (connection.login or connection.password or secret) and not _is_here(host):
        raise BadInput(
            f"connection {connection.id!r}: has a login and does not say whether it may go in clear; set its schema to"
            " https, or to http if it may (`http://login:password@host:port/http` in a URI)"
        )
    name, slash, path = host.partition("/")
    port = f":{connection.port}" if connection.port and not re.search(r":\d+$", name) else ""
    return f"{scheme}://{name}{port}{slash}{path}"


def http_options(connection: Connection, *, ignored: tuple[str, ...] = (), login: bool = True) -> dict[str, Any]:
    """Keyword arguments for a client of httpx: ``base_url``, ``verify``, ``headers`` and, with a login, ``auth``.

    A login is basic authentication, a password alone a bearer token. The extra's words are those of Airflow's HTTP
    connections: ``headers`` (or each header by its name), ``verify`` (true, false, or certificates to trust) and
    ``cert`` (a client certificate, or it and its key). ``login=False``: the caller logs in by itself.
    """
    extra = Extra(connection, ignored=(*HOOKS_OWN, *ignored))
    headers = extra.headers(beside=True)
    tls = tls_of(extra, verify=("verify", "verify_ssl"), cert=("cert",), key=("key",))
    extra.done()
    options: dict[str, Any] = {"base_url": base_url(connection, secret=bool(headers))}
    if not options["base_url"].startswith("https"):
        no_certificates(extra.connection, tls)
    options["verify"] = context(connection.id, *tls)
    if login and connection.login:
        options["auth"] = (connection.login, connection.password)
    elif login and connection.password:
        headers.setdefault("Authorization", f"Bearer {connection.password}")
    return {**options, "headers": headers}


Tls = tuple["bool | str", "str | None", "str | None"]


def tls_of(extra: Extra, *, verify: tuple[str, ...], cert: tuple[str, ...], key: tuple[str, ...]) -> Tls:
    """What the extra says of TLS under these words: whether or what to trust, a client certificate, its key."""
    trust: Any = extra.take(*verify)
    if trust is None or str(trust).lower() in _MEANS:
        trust = True if trust is None else _MEANS[str(trust).lower()]
    elif not isinstance(trust, str):
        raise extra.wrong(verify[0], "true, false, or the path of certificates")
    mine: Any = extra.take(*cert)
    own_key = extra.text(*key)
    if isinstance(mine, (list, tuple)) and len(mine) == 2:
        mine, own_key = mine
    if not isinstance(mine, (str, type(None))) or (own_key and not mine):
        raise extra.wrong(cert[0], "the path of a certificate, or of it and its key")
    return trust, mine, own_key


def no_certificates(connection: Connection, tls: Tls) -> None:
    """``BadInput`` for certificates on a connection that is plain HTTP: they are only used with https."""
    if isinstance(tls[0], str) or tls[1]:
        raise BadInput(f"connection {connection.id!r}: gives certificates, but is plain http; say https")


def context(conn_id: str, verify: bool | str, cert: str | None, key: str | None) -> ssl.SSLContext:
    """The TLS settings; made once for the same files. ``BadInput`` for one that cannot be read."""
    if verify is True and cert is None:
        return trusted()
    try:
        files = [path for path in (verify, cert, key) if isinstance(path, str)]
        return _context(verify, cert, key, tuple(Path(path).stat().st_mtime_ns for path in files))
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(f"connection {conn_id!r}: its certificates cannot be read: {reason}") from None


@functools.cache
def trusted() -> ssl.SSLContext:
    """The certificates that httpx trusts by itself, read once: they take longer to read than most calls."""
    return httpx.create_ssl_context()


@functools.lru_cache(maxsize=32)
def _context(verify: bool | str, cert: str | None, key: str | None, changed: tuple[int, ...]) -> ssl.SSLContext:
    made = httpx.create_ssl_context(trust_env=False)
    if isinstance(verify, str):
        folder = Path(verify).is_dir()
        made = ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)
    elif not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if cert is not None:
        made.load_cert_chain(cert, key)
    return made


def _is_here(host: str) -> bool:
    """Whether a login that is sent there leaves this machine."""
    name = host.partition("/")[0]
    name = name[1:].partition("]")[0] if name.startswith("[") else re.sub(r":\d+$", "", name)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
