"""The texts: one message, rendered for a channel by its template, with everything escaped for that channel."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from switchover.errors import BadInput
from switchover.ledger import Ledger
from switchover.notify.parts import Event
from switchover.report import status_line, summarise

TEMPLATES = Path(__file__).parent / "templates"
TITLES = {
    Event.FLIP: "Green is live, the hold begins",
    Event.STOP: "Green did not hold; rolling back",
    Event.ROLLBACK: "rolled back",
    Event.PROMOTION: "promoted",
    Event.ABORT: "aborted before the flip",
    Event.STUCK: "STUCK, a person must look",
    Event.WRITER_THAWED: "a writer is not frozen any more",
    Event.APPROVAL_WANTED: "approval wanted",
}
OWN = {"slack": "slack.txt.j2", "smtp": "mail.html.j2", "webhook": "webhook.json.j2"}
MAIL_TEXT = "mail.txt.j2"
SLACK_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
SLACK_MARK = re.compile(r"(?<!\w)([*_~`])|([*_~`])(?!\w)")


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told. ``values`` is what a template sees; see docs/notifications.md."""

    values: Mapping[str, Any]

    @property
    def subject(self) -> str:
        """One line, fit for the head of a mail."""
        return " ".join(str(self.values["title"]).split())


def compose(ledger: Ledger, id: str, event: Event, *, detail: str = "", url: str = "") -> Message:
    """The message about a run as the ledger holds it now."""
    row, summary = ledger.runs.get(id), summarise(ledger, id)
    gate = summary["verdicts"][-1]["gate"] if summary["verdicts"] else None
    return Message(
        values={
            "event": event.value,
            "title": f"Switchover {row.service}: {TITLES[event]}",
            "line": status_line(row, ledger.now()),
            "detail": detail,
            "url": url,
            "run": summary,
            "verdicts": [verdict for verdict in summary["verdicts"] if verdict["gate"] == gate],
        }
    )


def render(message: Message, *, kind: str, template: str | None = None) -> str:
    """The message for a channel of this kind, by its own template or by a team's.

    ``BadInput`` when the template cannot be used, or a webhook's is not JSON.
    """
    path = Path(template) if template else TEMPLATES / OWN[kind]
    text = _render(message, path, kind)
    if kind == "webhook":
        try:
            json.loads(text)
        except ValueError as error:
            raise BadInput(
                f"template {path.name}: is not JSON ({error}); write values as {{{{ x | tojson }}}}"
            ) from None
    return text


def mail_text(message: Message) -> str:
    """The plain part of a mail."""
    return _render(message, TEMPLATES / MAIL_TEXT, "text")


def slack_escape(value: object) -> str:
    """Text that Slack shows as it is: no mention, no link, no formatting can come of it.

    Slack's three entities are escaped as it asks for. It has no escape for ``*_~```: where one would format,
    at the edge of a word, an invisible space keeps it from it. Names like ``docs_v1`` stay as they are.
    """
    text = re.sub(r"[&<>]", lambda found: SLACK_ENTITIES[found[0]], str(value))
    return SLACK_MARK.sub(lambda found: f"\u200b{found[0]}\u200b", text)


def _render(message: Message, path: Path, kind: str) -> str:
    environment = jinja2.Environment(
        autoescape=kind == "smtp",  # noqa: S701  (the others are not HTML)
        finalize=slack_escape if kind == "slack" else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return environment.from_string(path.read_text(encoding="utf-8")).render(message.values)
    except (OSError, jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"template {path.name}: {type(error).__name__}: {error}") from None
