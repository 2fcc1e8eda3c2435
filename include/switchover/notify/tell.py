"""Tell a run's channels, beside the run: nothing here raises, and nobody waits for it for long."""

from __future__ import annotations

import logging
from functools import partial

import sqlalchemy as sa

from switchover.edge import Edge
from switchover.errors import BadInput, SwitchoverError
from switchover.ledger import Ledger
from switchover.notify.channels import send
from switchover.notify.parts import Channel, Event
from switchover.notify.texts import compose

log = logging.getLogger("switchover")


def tell(*, edge: Edge, ledger: Ledger, id: str, channels: list[Channel], event: Event, detail: str = "") -> None:
    """Start telling every channel that asks for this event; each on its own, so that none waits for another.

    How it went becomes one line in the audit trail.
    """
    for channel in channels:
        if event in channel.events:
            edge.later(partial(_deliver, edge, ledger, id, channel, event, detail))


def _deliver(edge: Edge, ledger: Ledger, id: str, channel: Channel, event: Event, detail: str) -> None:
    name = f"{channel.kind} {channel.connection!r} of {event}"
    try:
        message = compose(ledger, id, event, detail=detail, url=edge.page(id))
        told = f"told {name}"
        try:
            send(edge, channel, message, template=channel.template)
        except BadInput as error:
            if channel.template is None:
                raise
            send(edge, channel, message, template=None)
            told += f", by the own text: {error}"
    except SwitchoverError as error:
        told = f"did not tell {name}: {_line(error)}"
    except Exception as error:  # noqa: BLE001  (whatever is wrong with a channel must not reach the run)
        told = f"did not tell {name}: {type(error).__name__}"
    log.info("%s: %s", id, told)
    try:
        ledger.journal.say(id, told, actor="notify")
    except (SwitchoverError, sa.exc.SQLAlchemyError) as error:  # also of a run that is not there
        log.warning("%s: not written down: %s", id, type(error).__name__)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
