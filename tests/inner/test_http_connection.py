"""What a connection says is used or refused: address, login and TLS of everything that speaks HTTP."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from switchover.edge.clients import CLIENTS
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.edge.http_connection import base_url, http_options
from switchover.errors import BadInput

SECRET = "pa55/word"
FAR = "search.example"
#: Each kind of client whose address and login come from a connection's fields, with a type of connection for it.
SPEAKERS = {
    "http": "http",
    "airflow": "http",
    "etcd": "http",
    "opensearch": "opensearch",
    "elasticsearch": "elasticsearch",
    "milvus": "generic",
    "qdrant": "qdrant",
    "weaviate": "weaviate",
}


def connection(conn_type: str = "http", **said: Any) -> Connection:
    return Connection(id="c", conn_type=conn_type, **{"host": FAR, **said})


def client_of(kind: str, found: Connection) -> Any:
    words = ["ssm"] if kind == "aws" else []
    return Edge(connections=lambda conn_id: found).client(kind, "c", *words)


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ({}, "http://search.example"),
        ({"port": 9200}, "http://search.example:9200"),
        ({"schema": "https"}, "https://search.example"),
        ({"conn_type": "https"}, "https://search.example"),
        ({"host": "https://search.example/v1/", "port": 443}, "https://search.example:443/v1"),
        ({"host": "https://search.example:9200", "port": 9200}, "https://search.example:9200"),
        ({"host": "https://search.example", "schema": "https"}, "https://search.example"),
        ({"host": "", "port": 1}, "http://localhost:1"),
        ({"conn_type": "slackwebhook", "password": SECRET}, "https://search.example"),
        ({"schema": "https", "password": SECRET}, "https://search.example"),
        ({"schema": "http", "password": SECRET}, "http://search.example"),
        ({"host": "http://search.example", "login": "me", "password": SECRET}, "http://search.example"),
        ({"host": "127.0.0.1", "port": 80, "password": SECRET}, "http://127.0.0.1:80"),
        ({"host": "[::1]", "password": SECRET}, "http://[::1]"),
    ],
)
def test_one_rule_for_the_address(said: dict[str, Any], url: str) -> None:
    assert base_url(connection(**said)) == url


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"schema": "ftp"}, "schema: found scheme 'ftp'; allowed: http, https"),
        ({"host": "https://search.example", "schema": "http"}, "host says https, schema says http; say one"),
        ({"conn_type": "https", "schema": "http"}, "type says https, schema says http; say one"),
        ({"host": f"https://me:{SECRET}@search.example"}, "a login stands in its host; put it into login and password"),
        ({"password": SECRET}, "does not say whether it may go in clear; set its schema to https"),
        ({"host": "10.0.0.7", "login": "me", "password": SECRET}, "does not say whether it may go in clear"),
        ({"host": "localhost.example", "login": "me"}, "does not say whether it may go in clear"),
        ({"extra": {"Authorization": SECRET}}, "does not say whether it may go in clear"),
        ({"extra": {"headers": {"x-api-key": SECRET}}}, "does not say whether it may go in clear"),
        ({"extra": {"verfy": False}}, "extra 'verfy' is not used here; allowed: headers, verify"),
        ({"extra": {"use_ssl": True}}, "extra 'use_ssl' is not used here"),
        ({"extra": {"auth_type": SECRET}}, "extra 'auth_type' is not used here"),
        ({"extra": {"proxies": {"http": SECRET}}}, "extra 'proxies' is not used here"),
        ({"extra": {"headers": SECRET}, "schema": "https"}, "extra 'headers': allowed: an object of texts"),
        ({"extra": {"verify": "/no/such"}, "schema": "https"}, "certificates cannot be read: No such file"),
        ({"extra": {"verify": "/no/such"}, "schema": "http"}, "gives certificates, but is plain http; say https"),
        ({"extra": {"cert": [1]}, "schema": "https"}, "extra 'cert': allowed: the path of a certificate"),
    ],
)
def test_what_is_not_used_is_an_error_in_words_without_a_secret(said: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match="connection 'c': ") as refused:
        http_options(connection(**said))
    assert told in str(refused.value)
    assert SECRET not in str(refused.value) and SECRET not in connection(**said).place


@pytest.mark.parametrize("kind", SPEAKERS)
def test_no_client_is_built_that_would_send_a_login_in_clear(kind: str) -> None:
    """Unless the connection says http in so many words, or the server is this very machine."""
    login = {} if kind == "qdrant" else {"login": "me"}
    found = connection(SPEAKERS[kind], **login, password=SECRET)
    with pytest.raises(BadInput, match="does not say whether it may go in clear") as refused:
        client_of(kind, found)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("kind", [*SPEAKERS, "aws", "kubernetes"])
def test_no_client_is_built_from_a_word_that_it_does_not_use(kind: str) -> None:
    found = connection(SPEAKERS.get(kind, kind), host="127.0.0.1", extra={"verfy_certs": SECRET})
    with pytest.raises(BadInput, match="extra 'verfy_certs' is not used here; allowed: ") as refused:
        client_of(kind, found)
    assert SECRET not in str(refused.value)


def test_every_kind_of_client_is_tried_here() -> None:
    assert set(CLIENTS) == {*SPEAKERS, "aws", "kubernetes", "kafka"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"extra": {}}, "no 'bootstrap.servers'"),
        ({"login": "me", "password": SECRET}, "has a login in its fields; put it into the extra"),
        ({"extra": {"bootstrap.servers": "b", "sasl.password": SECRET}}, "would not be used; set security.protocol"),
    ],
)
def test_a_kafka_login_that_would_not_be_used_is_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        client_of("kafka", connection("kafka", **{"extra": {"bootstrap.servers": "b"}, **said}))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("secure", [{"schema": "https"}, {"extra": {"use_ssl": True}}, {"extra": {"use_ssl": "true"}}])
def test_search_clients_take_tls_from_schema_and_extra_alike(secure: dict[str, Any]) -> None:
    """The same ``http`` connection once gave one client https and the other plain http."""
    found = connection("http", login="me", password=SECRET, port=9200, **secure)
    opened = client_of("opensearch", found).transport.get_connection()
    assert (opened.host, opened.use_ssl) == ("https://search.example:9200", True)
    nodes = list(client_of("elasticsearch", found).transport.node_pool.all())
    assert [node.base_url for node in nodes] == ["https://search.example:9200"]


def test_elasticsearch_takes_one_way_to_log_in() -> None:
    key = connection("elasticsearch", schema="https", extra={"api_key": SECRET})
    assert client_of("elasticsearch", key)._headers["authorization"] == f"ApiKey {SECRET}"
    bearer = connection("elasticsearch", schema="https", password=SECRET)
    assert client_of("elasticsearch", bearer)._headers["authorization"] == f"Bearer {SECRET}"
    both = connection("elasticsearch", schema="https", login="me", password="x", extra={"api_key": SECRET})
    with pytest.raises(BadInput, match="has a login and an api_key; give one") as refused:
        client_of("elasticsearch", both)
    assert SECRET not in str(refused.value)


class Recorder(BaseHTTPRequestHandler):
    """Keeps the headers of each request."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def recording(secured: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[dict[str, str]]]]:
    handler = type("Seen", (Recorder,), {"seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        if secured:
            server.socket = secured.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1], handler.seen  # type: ignore[attr-defined]
        server.shutdown()


BASIC = f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("said", "header", "value"),
    [
        ({"login": "me", "password": SECRET}, "authorization", BASIC),
        ({"password": SECRET}, "authorization", f"Bearer {SECRET}"),
        ({"extra": {"headers": {"X-Api-Key": SECRET}}}, "x-api-key", SECRET),
        ({"extra": {"Authorization": f"Token {SECRET}", "timeout": 3}}, "authorization", f"Token {SECRET}"),
    ],
)
def test_the_login_of_arms_and_readers_reaches_them(said: dict[str, Any], header: str, value: str) -> None:
    with recording() as (port, seen):
        edge = Edge(connections=lambda conn_id: connection(host="127.0.0.1", port=port, **said))
        with httpx.Client(**edge.http_options("c"), timeout=5) as client:
            client.get("/version").raise_for_status()
        client_of("http", edge.connection("c", kind="http")).get("/version").raise_for_status()
    assert [each[header] for each in seen] == [value, value]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ca.pem``; ``server.pem`` of 127.0.0.1 and ``client.pem``, signed by it, each with its ``.key``."""
    folder = tmp_path_factory.mktemp("certificates")
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name.from_rfc4514_string("CN=ca")
    for name in ("ca", "server", "client"):
        key = ca_key if name == "ca" else ec.generate_private_key(ec.SECP256R1())
        made = x509.CertificateBuilder(
            issuer_name=ca_name,
            subject_name=x509.Name.from_rfc4514_string(f"CN={name}"),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + datetime.timedelta(hours=1),
        )
        made = made.add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = made.add_extension(alternative, critical=False)
        pem = serialization.Encoding.PEM
        (folder / f"{name}.pem").write_bytes(made.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(key.private_bytes(pem, *plain))
    return folder


def test_certificates_of_the_connection_are_used(certificates: Path) -> None:
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    secured.load_verify_locations(certificates / "ca.pem")
    secured.verify_mode = ssl.CERT_REQUIRED
    ca, cert, key = (str(certificates / name) for name in ("ca.pem", "client.pem", "client.key"))
    with recording(secured) as (port, seen):

        def get(extra: dict[str, Any]) -> None:
            login = {"login": "me", "password": SECRET, "schema": "https", "host": "127.0.0.1", "port": port}
            with httpx.Client(**http_options(connection(**login, extra=extra)), timeout=5) as client:
                client.get("/version").raise_for_status()

        get({"verify": ca, "cert": [cert, key]})
        get({"verify": "false", "cert": cert, "key": key})
        assert [each["authorization"] for each in seen] == [BASIC, BASIC]
        for extra in ({"cert": [cert, key]}, {"verify": ca}, {}):  # an unknown server; a client without a certificate
            with pytest.raises(httpx.TransportError) as refused:
                get(extra)
            assert SECRET not in str(refused.value)
        assert len(seen) == 2


def test_a_whole_search_client_over_tls(certificates: Path) -> None:
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with recording(secured) as (port, seen):
        said = {"host": "127.0.0.1", "port": port, "login": "me", "password": SECRET, "schema": "https"}
        extra = {"ca_certs": str(certificates / "ca.pem")}
        client_of("opensearch", connection("opensearch", **said, extra=extra)).transport.perform_request("GET", "/")
        assert [each["authorization"] for each in seen] == [BASIC]
        stranger = client_of("opensearch", connection("opensearch", **said))
        with pytest.raises(Exception, match=r"(?i)certificate"):
            stranger.transport.perform_request("GET", "/")
        assert len(seen) == 1


def test_aws_is_told_whom_to_trust(certificates: Path) -> None:
    ca = str(certificates / "ca.pem")
    for verify, used in ((ca, ca), ("false", False)):
        extra = {"region_name": "eu-west-1", "verify": verify, "aws_session_token": "t"}
        found = connection("aws", login="a", password="b", extra=extra)
        assert client_of("aws", found)._endpoint.http_session._verify == used
