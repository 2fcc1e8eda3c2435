"""The sending: one function a kind of channel. Each gives up after some seconds and raises one line without secrets."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

import httpx

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.edge.http_connection import base_url, http_options
from switchover.errors import BadInput, Unreachable
from switchover.notify.parts import Channel, SmtpChannel
from switchover.notify.texts import Message, mail_text, render

TIMEOUT_S = 5.0


def send(edge: Edge, channel: Channel, message: Message, *, template: str | None) -> None:
    """Send over one channel. ``Unreachable`` when it was not taken, ``BadInput`` when a person must mend it."""
    connection = edge.connection(channel.connection, kind=channel.kind)
    SENDERS[channel.kind](connection, channel, message, template)


def _slack(connection: Connection, channel: Channel, message: Message, template: str | None) -> None:
    """The webhook's address without its secret end is the host, the secret end is the password."""
    address = f"{base_url(connection)}/{connection.password.lstrip('/')}"  # one that is a secret goes by the same rule
    _post(address, {"text": render(message, kind="slack", template=template)})


def _webhook(connection: Connection, channel: Channel, message: Message, template: str | None) -> None:
    body = render(message, kind="webhook", template=template)
    options = http_options(connection, ignored=("path",))
    options["headers"] = {"Content-Type": "application/json", **options["headers"]}
    path = str(connection.extra.get("path", "")).lstrip("/")
    _post(f"{options.pop('base_url')}/{path}".rstrip("/"), body, **options)


def _post(address: str, body: str | dict[str, str], **options: Any) -> None:
    content: dict[str, Any] = {"content": body} if isinstance(body, str) else {"json": body}
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, **options) as client,
            client.stream("POST", address, **content) as response,  # its body is of no interest
        ):
            status = response.status_code
    except (httpx.TransportError, httpx.InvalidURL) as error:  # its text may hold the address, which is a secret
        raise Unreachable(f"did not answer: {type(error).__name__}") from None
    if not 200 <= status < 300:
        raise Unreachable(f"answered {status}")


def _smtp(connection: Connection, channel: Channel, message: Message, template: str | None) -> None:
    """TLS as Airflow's ``smtp`` connections say it: from the start, or STARTTLS, or ``disable_tls`` and none."""
    if not isinstance(channel, SmtpChannel):
        raise BadInput(f"channel {channel.kind!r}: is no mail")
    mail = EmailMessage()
    mail["Subject"], mail["To"] = message.subject, ", ".join(channel.to)
    mail["From"] = str(connection.extra.get("from_email") or connection.login or "switchover@localhost")
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="switchover")
    mail.set_content(mail_text(message))
    mail.add_alternative(render(message, kind="smtp", template=template), subtype="html")
    try:
        with _mail_server(connection) as server:
            if connection.login:
                server.login(connection.login, connection.password)
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        raise Unreachable(f"refused with {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Unreachable(f"did not answer: {type(error).__name__}") from None


def _mail_server(connection: Connection) -> smtplib.SMTP:
    host, secure = connection.host or "localhost", ssl.create_default_context()
    if not _said(connection, "disable_ssl"):
        return smtplib.SMTP_SSL(host, connection.port or 465, timeout=TIMEOUT_S, context=secure)
    server = smtplib.SMTP(host, connection.port or 587, timeout=TIMEOUT_S)
    if not _said(connection, "disable_tls"):
        server.starttls(context=secure)
    return server


def _said(connection: Connection, name: str) -> bool:
    return str(connection.extra.get(name, "")).lower() in ("true", "1", "yes")


SENDERS: dict[str, Callable[[Connection, Channel, Message, str | None], None]] = {
    "slack": _slack,
    "smtp": _smtp,
    "webhook": _webhook,
}
