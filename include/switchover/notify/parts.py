"""The plan's part: who is told of what, and over which channel. Secrets are in the connections."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from pydantic import Field

from switchover.part import ConnectionId, Part


class Event(str, Enum):
    """What people are told of."""

    FLIP = "flip"  # every reader serves Green; the hold begins
    STOP = "stop"  # the hold ended without accepting Green; a rollback follows
    ROLLBACK = "rollback"  # every reader serves Blue again
    PROMOTION = "promotion"  # Green stays
    ABORT = "abort"  # ended before the flip; nothing was moved
    STUCK = "stuck"  # a person must look
    WRITER_THAWED = "writer_thawed"  # somebody started a frozen writer: a rollback would lose what it writes
    APPROVAL_WANTED = "approval_wanted"  # a person must decide

    def __str__(self) -> str:
        return self.value


class ChannelPart(Part):
    """What every channel has."""

    connection: ConnectionId = Field(description="Connection that holds address and secret; see docs/notifications.md.")
    events: list[Event] = Field(list(Event), min_length=1, description="What is told; everything by default.")
    template: str | None = Field(
        None, description="Jinja2 file, relative to the plan, in place of the channel's own text."
    )


class SlackChannel(ChannelPart):
    """An incoming webhook of Slack, or of a chat that understands the same."""

    kind: Literal["slack"]


class SmtpChannel(ChannelPart):
    """A mail server."""

    kind: Literal["smtp"]
    to: list[str] = Field(min_length=1, description="Mail addresses that are written to.")


class WebhookChannel(ChannelPart):
    """An HTTP address that takes JSON."""

    kind: Literal["webhook"]


Channel = Annotated[SlackChannel | SmtpChannel | WebhookChannel, Field(discriminator="kind")]
