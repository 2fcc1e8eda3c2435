"""Telling people: what is sent over real sockets, what is escaped, and that a broken channel harms nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import TypeAdapter

from switchover.edge.connection import Connection
from switchover.edge.edge import CLOSE_S, Edge
from switchover.errors import BadInput, ConnectionMissing
from switchover.ledger import Ledger
from switchover.notify import Channel, Event, channels
from switchover.notify.channels import SENDERS
from switchover.notify.sandbox import slack_escape
from switchover.notify.texts import Message, render
from switchover.protocol import Decision, State
from switchover.report.tell import compose, tell
from switchover.report.told import READ_S, Now
from switchover.steps.doctor import advice

ROOT = Path(__file__).parents[2]
RUN = "docs:1"
EVIL = '<script>alert(1)</script> <!channel> <http://evil|ok> *bold* & "quoted"'


class Receiver:
    """A real HTTP server; ``answer`` is its status, ``None`` keeps every caller waiting."""

    def __init__(self) -> None:
        self.answer: int | None = 200
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                if receiver.answer is None:
                    receiver.released.wait(30)
                    return
                self.send_response(receiver.answer)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class Mailbox:
    """Keeps what a real SMTP server takes."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    """Its run has a reason and a verdict that hold markup."""
    verdict = {"rule": "coverage", "outcome": "FAIL", "value": 0.5, "bound": 0.6, "detail": EVIL}
    ledger.journal.judged(RUN, gate="stop", tick=3, verdicts=[verdict])
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    ledger.runs.decide(RUN, Decision.ROLL_BACK, lease=lease, reason=EVIL)
    ledger.runs.move(RUN, State.ABORTED, lease=lease)
    return ledger


def edge_of(*connections: Connection) -> Edge:
    known = {connection.id: connection for connection in connections}

    def get(conn_id: str) -> Connection:
        if conn_id not in known:
            raise ConnectionMissing(f"connection {conn_id!r}: not found")
        return known[conn_id]

    return Edge(connections=get, page=lambda id: f"https://airflow/run?id={id}&tab=1")


def told(ledger: Ledger, edge: Edge, *wanted: dict[str, Any], event: Event = Event.ABORT) -> list[str]:
    """Tell these channels and wait as a task does; returns what the audit trail says of it."""
    parts = TypeAdapter(list[Channel]).validate_python(list(wanted))
    tell(edge=edge, ledger=ledger, id=RUN, channels=parts, event=event, detail="one more line", advice=advice)
    edge.close()
    return [row["text"] for row in ledger.journal.events(RUN) if row["actor"] == "notify"]


def test_slack_gets_text_in_which_nothing_is_markup(ledger: Ledger, receiver: Receiver) -> None:
    place = {"host": "127.0.0.1", "port": receiver.port}
    edge = edge_of(Connection(id="chat", conn_type="http", password="T0/B0/secret", **place))
    assert told(ledger, edge, {"kind": "slack", "connection": "chat"}) == ["told slack 'chat' of abort"]
    ((path, _, body),) = receiver.got
    assert path == "/T0/B0/secret"
    text = json.loads(body)["text"]
    assert text.startswith("*Switchover docs: aborted; which arm serves users could not be read*\n")
    assert "one more line" in text and "• coverage FAIL: " in text
    assert "<https://airflow/run?id=docs:1&amp;tab=1|Open the run's page>" in text
    assert "<!channel>" not in text and "<http://evil" not in text and "<script>" not in text
    assert "*bold*" not in text and "docs_v1" in text, "formatting is kept from it, names stay whole"


def test_a_webhook_gets_json_and_its_login(ledger: Ledger, receiver: Receiver) -> None:
    place = {"host": "127.0.0.1", "port": receiver.port, "conn_type": "http"}
    edge = edge_of(
        Connection(id="hook", password="token", extra={"path": "/in/box"}, **place),
        Connection(id="basic", login="me", password="word", **place),
    )
    parts = [{"kind": "webhook", "connection": name} for name in ("hook", "basic")]
    assert sorted(told(ledger, edge, *parts)) == ["told webhook 'basic' of abort", "told webhook 'hook' of abort"]
    by_path = {path: (headers, json.loads(body)) for path, headers, body in receiver.got}
    headers, message = by_path["/in/box"]
    assert headers["Authorization"] == "Bearer token"
    assert (message["event"], message["state"], message["blue"]) == ("abort", "aborted", "docs_v1")
    assert message["verdicts"][0]["detail"] == EVIL, "JSON carries text as it is"
    assert by_path["/"][0]["Authorization"].startswith("Basic ")


def test_a_mail_has_both_parts_and_escapes_one(ledger: Ledger) -> None:
    mailbox = Mailbox()

    def login(server: object, session: object, envelope: object, mechanism: str, auth: LoginPassword) -> AuthResult:
        return AuthResult(success=auth == LoginPassword(b"me", b"word"), handled=False)

    server = Controller(mailbox, hostname="127.0.0.1", port=free_port(), authenticator=login, auth_require_tls=False)
    server.start()
    try:
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "switchover@example.org"}
        place = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.port, "extra": extra}
        edge = edge_of(
            Connection(id="mail", login="me", password="word", **place),
            Connection(id="wrong", login="me", password="secret-that-is-wrong", **place),
        )
        to = ["a@example.org", "b@example.org"]
        parts = [{"kind": "smtp", "connection": name, "to": to} for name in ("mail", "wrong")]
        lines = sorted(told(ledger, edge, *parts))
    finally:
        server.stop()
    assert lines == ["did not tell smtp 'wrong' of abort: refused with 535", "told smtp 'mail' of abort"]
    ((recipients, mail),) = mailbox.got
    assert recipients == to
    assert mail["Subject"] == "Switchover docs: aborted; which arm serves users could not be read"
    assert mail["From"] == "switchover@example.org"
    html = mail.get_body(("html",)).get_content()
    assert "&lt;script&gt;" in html and "<script>" not in html
    assert EVIL in mail.get_body(("plain",)).get_content()


def test_mail_is_encrypted_unless_the_connection_says_otherwise(ledger: Ledger) -> None:
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        place = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.port}
        edge = edge_of(
            Connection(id="tls", extra={"disable_ssl": "true"}, **place), Connection(id="ssl", extra={}, **place)
        )
        parts = [{"kind": "smtp", "connection": name, "to": ["a@example.org"]} for name in ("tls", "ssl")]
        lines = told(ledger, edge, *parts)
    finally:
        server.stop()
    assert len(lines) == 2 and all(line.startswith("did not tell smtp") for line in lines)
    assert mailbox.got == []


def test_only_what_a_channel_asks_for_is_told(ledger: Ledger, receiver: Receiver) -> None:
    edge = edge_of(Connection(id="hook", conn_type="http", host="127.0.0.1", port=receiver.port))
    channel = {"kind": "webhook", "connection": "hook", "events": ["rollback", "stuck"]}
    assert told(ledger, edge, channel, event=Event.PROMOTION) == []
    assert told(ledger, edge, channel, event=Event.ROLLBACK) == ["told webhook 'hook' of rollback"]
    assert len(receiver.got) == 1


@pytest.mark.parametrize("event", [Event.FLIP, Event.STOP, Event.STUCK, Event.APPROVAL_WANTED, Event.WRITER_THAWED])
def test_what_is_over_is_not_told(ledger: Ledger, receiver: Receiver, event: Event) -> None:
    edge = edge_of(Connection(id="hook", conn_type="http", host="127.0.0.1", port=receiver.port))
    lines = told(ledger, edge, {"kind": "webhook", "connection": "hook"}, event=event)
    assert lines == [f"did not tell webhook 'hook' of {event}: the run is aborted by now"]
    assert receiver.got == []


def test_a_template_of_the_team_is_used_and_a_broken_one_is_told_by_the_own(
    ledger: Ledger, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "good.j2").write_text("{{ run.service }} ended: {{ run.reason }}")
    (tmp_path / "typo.j2").write_text("{{ serivce }}")
    (tmp_path / "no_json.j2").write_text("service: {{ run.service }}")
    edge = edge_of(Connection(id="x", conn_type="http", host="127.0.0.1", port=receiver.port))

    def channel(kind: str, name: str) -> dict[str, str]:
        return {"kind": kind, "connection": "x", "template": str(tmp_path / name)}

    assert told(ledger, edge, channel("slack", "good.j2")) == ["told slack 'x' of abort"]
    assert json.loads(receiver.got[-1][2])["text"] == f"docs ended: {slack_escape(EVIL)}"
    *_, line = told(ledger, edge, channel("slack", "typo.j2"))
    assert line == "told slack 'x' of abort, by the own text: template typo.j2: UndefinedError: 'serivce' is undefined"
    *_, line = told(ledger, edge, channel("webhook", "no_json.j2"))
    assert "template no_json.j2: is not JSON" in line and "| tojson" in line
    assert json.loads(receiver.got[-1][2])["event"] == "abort"


def test_a_broken_channel_is_one_line_without_its_secret(ledger: Ledger, receiver: Receiver) -> None:
    receiver.answer = 500
    secret = {"password": "T0/B0/secret", "host": "127.0.0.1"}
    edge = edge_of(
        Connection(id="refuses", conn_type="http", port=receiver.port, **secret),
        Connection(id="closed", conn_type="http", port=free_port(), **secret),
        Connection(id="wrong_type", conn_type="postgres", **secret),
    )
    names = ("refuses", "closed", "wrong_type", "missing")
    lines = sorted(told(ledger, edge, *({"kind": "slack", "connection": name} for name in names)))
    assert lines == [
        "did not tell slack 'closed' of abort: did not answer: ConnectError",
        "did not tell slack 'missing' of abort: connection 'missing': not found",
        "did not tell slack 'refuses' of abort: answered 500",
        "did not tell slack 'wrong_type' of abort: connection 'wrong_type': is of type 'postgres';"
        " allowed: http, https, slackwebhook",
    ]


def test_a_silent_server_is_not_waited_for(ledger: Ledger, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert channels.TIMEOUT_S + 2 * READ_S < CLOSE_S, "a message that fails is still written down"
    monkeypatch.setattr(channels, "TIMEOUT_S", 0.5)
    receiver.answer = None
    edge = edge_of(Connection(id="hook", conn_type="http", host="127.0.0.1", port=receiver.port))
    parts = TypeAdapter(list[Channel]).validate_python([{"kind": "webhook", "connection": "hook"}])
    tell(edge=edge, ledger=ledger, id=RUN, channels=parts, event=Event.ABORT, advice=advice)
    assert ledger.journal.events(RUN) == [], "who tells goes on at once"
    edge.close()
    assert [row["text"] for row in ledger.journal.events(RUN)] == [
        "did not tell webhook 'hook' of abort: did not answer: ReadTimeout"
    ]


def test_the_page_has_every_event_every_channel_and_all_that_a_template_sees(ledger: Ledger) -> None:
    page = (ROOT / "docs" / "notifications.md").read_text()
    for event in Event:
        assert f"| `{event}` |" in page
    for kind in SENDERS:
        assert f"### {kind}\n" in page
    now = Now(row=ledger.runs.get(RUN), at=ledger.now(), target="docs_v1")
    message = compose(ledger, now, Event.ABORT)
    assert message is not None
    for name in message.values:
        assert f"| `{name}` |" in page


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ cycler.__init__.__globals__.os.popen('touch MARK').read() }}", "SecurityError"),
        ("{{ title.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ range.__init__.__globals__ }}", "SecurityError"),
        ("{{ run.clear() }}", "SecurityError"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ conn.docs_db.password }}", "'conn' is undefined"),
        ("{% include 'MARK' %}", "no loader"),
        ("{% for a in range(10**9) %}{% endfor %}", "Range too big"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes too much time"),
        ("{{ 'a' * 10**12 }}", "more than 512 MiB"),
        ("{{ 'a' | center(10**12) }}", "more than 512 MiB"),
        ("{% for a in range(99999) %}much{% endfor %}", "writes more than 64 KiB"),
        ("root:{% x:0", "line 1 is no template"),
        ("x" * 70_000, "is longer than 64 KiB"),
    ],
)
def test_a_teams_template_is_data(tmp_path: Path, text: str, told: str) -> None:
    mark, template = tmp_path / "mark", tmp_path / "chat.j2"
    template.write_text(text.replace("MARK", str(mark)))
    message = Message(values={"title": "t", "run": {"id": RUN}})
    with pytest.raises(BadInput, match=re.escape(told)) as raised:
        render(message, kind="slack", template=str(template))
    assert "root:" not in str(raised.value), "a file that is no template is not quoted"
    assert not mark.exists()


def test_a_teams_template_sees_no_variable_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DOCS_DB", "secret")
    (tmp_path / "sitecustomize.py").write_text(
        f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(str(os.environ))"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    template = tmp_path / "chat.j2"
    template.write_text("{% set ns = namespace(n=0) %}{{ title }} *{{ run.id }}*")
    assert render(Message(values={"title": "<t>", "run": {"id": RUN}}), kind="slack", template=str(template)) == (
        f"&lt;t&gt; *{RUN}*"
    )
    assert "AIRFLOW_CONN" not in (tmp_path / "seen").read_text()
