"""The texts: one message, rendered for a channel by its template, with everything escaped for that channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchover.errors import BadInput
from switchover.notify.sandbox import MISTAKES, environment_for, in_words, render_apart
from switchover.text import shown

TEMPLATES = Path(__file__).parent / "templates"
OWN = {"slack": "slack.txt.j2", "smtp": "mail.html.j2", "webhook": "webhook.json.j2"}
MAIL_TEXT = "mail.txt.j2"


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told. ``values`` is what a template sees; see docs/notifications.md."""

    values: Mapping[str, Any]

    @property
    def subject(self) -> str:
        """One line, fit for the head of a mail."""
        return shown(" ".join(str(self.values["title"]).split()))


def render(message: Message, *, kind: str, template: str | None = None) -> str:
    """The message for a channel of this kind, by its own template or by a team's.

    ``BadInput`` when the template cannot be used, or a webhook's is not JSON.
    """
    path = Path(template) if template else TEMPLATES / OWN[kind]
    rendered = render_apart(path, message.values, kind) if template else _render(message, path, kind)
    text = shown(rendered)
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
    return shown(_render(message, TEMPLATES / MAIL_TEXT, "text"))


def _render(message: Message, path: Path, kind: str) -> str:
    try:
        return environment_for(kind).from_string(path.read_text(encoding="utf-8")).render(message.values)
    except MISTAKES as error:
        raise BadInput(f"template {path.name}: {in_words(error)}") from None
