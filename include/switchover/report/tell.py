"""Tell a run's channels, beside the run: nothing here raises, and nobody waits for it for long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from switchover.edge.edge import Edge
from switchover.errors import BadInput, SwitchoverError
from switchover.ledger import Ledger
from switchover.notify.channels import send
from switchover.notify.parts import Channel, Event
from switchover.notify.texts import Message
from switchover.planfile.departures import departed
from switchover.report.summary import deciding, summarise
from switchover.report.told import Advice, Now, line_of, look, title_of
from switchover.text import one_line

log = logging.getLogger("switchover")


def tell(
    *,
    edge: Edge,
    ledger: Ledger,
    id: str,
    channels: list[Channel],
    event: Event,
    detail: str = "",
    by: str | None = None,
    leading: bool = False,
    advice: Advice,
) -> None:
    """Start telling every channel that asks for this event; each on its own, so that none waits for another.

    What is told is what is so when the message is sent. ``by`` is under which name who tells holds leases; with
    ``leading`` it tells only while that lease lives. ``advice`` gives the next safe steps of a run. How it went becomes
    one line in the audit trail.
    """
    about = partial(_compose, ledger=ledger, id=id, event=event, detail=detail, by=by, leading=leading, advice=advice)
    for channel in channels:
        if event in channel.events:
            edge.later(partial(_deliver, edge, ledger, id, channel, event, about))


def _compose(
    edge: Edge, *, ledger: Ledger, id: str, event: Event, detail: str, by: str | None, leading: bool, advice: Advice
) -> Message | str:
    """The message, or why there is none."""
    if leading:
        lease = ledger.leases.get(ledger.runs.get(id).pointer)
        if lease is None or not lease.alive or lease.holder != by:
            return "who would have told it does not drive the run any more"
    now = look(edge, ledger, id, by=by, advice=advice)
    return compose(ledger, now, event, detail=detail, url=edge.page(id)) or f"the run is {now.row.state.value} by now"


def compose(ledger: Ledger, now: Now, event: Event, *, detail: str = "", url: str = "") -> Message | None:
    """The message about a run as it is now; ``None`` when the event is over, and its title would not be true."""
    title = title_of(event, now)
    if title is None:
        return None
    summary, asked = summarise(ledger, now.row.id), ledger.approvals.of(now.row.id)
    return Message(
        values={
            "event": event.value,
            "title": f"Switchover {now.row.service}: {title}",
            "line": line_of(now),
            "detail": detail,
            "next": now.next,
            "live": now.target,
            "url": url,
            "run": summary.to_json(),
            "departed": departed(summary.departures),
            "verdicts": deciding(summary.verdicts, decided=now.row.decision is not None, asked=asked),
        }
    )


def _deliver(
    shared: Edge, ledger: Ledger, id: str, channel: Channel, event: Event, about: Callable[[Edge], Message | str]
) -> None:
    name = f"{channel.kind} {channel.connection!r} of {event}"
    edge = shared.another()  # the run goes on with its own clients; not all of them may be used by two threads
    try:
        message = about(edge)
        if isinstance(message, str):
            _note(ledger, id, f"did not tell {name}: {message}")
            return
        told = f"told {name}"
        try:
            send(edge, channel, message, template=channel.template)
        except BadInput as error:
            if channel.template is None:
                raise
            send(edge, channel, message, template=None)
            told += f", by the own text: {error}"
    except SwitchoverError as error:
        told = f"did not tell {name}: {one_line(error, 500)}"
    except Exception as error:  # noqa: BLE001  (whatever is wrong with a channel must not reach the run)
        told = f"did not tell {name}: {type(error).__name__}"
    finally:
        edge.close()
    _note(ledger, id, told)


def _note(ledger: Ledger, id: str, told: str) -> None:
    log.info("%s: %s", id, told)
    try:
        ledger.journal.say(id, told, actor="notify")
    except (SwitchoverError, sa.exc.SQLAlchemyError) as error:  # also of a run that is not there
        log.warning("%s: not written down: %s", id, type(error).__name__)
