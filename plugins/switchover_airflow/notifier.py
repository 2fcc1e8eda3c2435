"""Tell people about a switchover from any DAG: the plan's own channels, or others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseNotifier, Context
from pydantic import TypeAdapter

from switchover.ledger import Ledger
from switchover.notify import Channel, Event
from switchover.report.tell import tell
from switchover.steps.doctor import advice
from switchover_airflow.connections import airflow_edge


class SwitchoverNotifier(BaseNotifier):
    """Sends what ``switchover report`` knows of a run. A channel that is broken is one line in the audit trail.

    The run tells its plan's channels by itself; this is for callbacks of other DAGs, for example of one that
    triggers a switchover.

    :param ledger_conn_id: connection of the ledger
    :param switchover_id: the run's id in the ledger (templated)
    :param event: what is told, one of ``switchover.notify.Event``
    :param channels: as in a plan's ``notify``; default: those of the run's plan that ask for the event
    :param detail: one more line (templated)
    """

    template_fields = ("switchover_id", "detail")

    def __init__(
        self,
        *,
        ledger_conn_id: str,
        switchover_id: str,
        event: str,
        channels: Sequence[Mapping[str, Any]] | None = None,
        detail: str = "",
    ) -> None:
        super().__init__()
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id
        self.event = event
        self.channels = channels
        self.detail = detail

    def notify(self, context: Context) -> None:
        """See ``BaseNotifier``. Waits some seconds at most."""
        edge = airflow_edge()
        try:
            ledger = Ledger(engine=edge.sql(self.ledger_conn_id))
            if self.channels is None:
                channels = ledger.runs.get(self.switchover_id).read_plan().notify
            else:
                channels = TypeAdapter(list[Channel]).validate_python(self.channels)
            tell(
                edge=edge,
                ledger=ledger,
                id=self.switchover_id,
                channels=channels,
                event=Event(self.event),
                detail=self.detail,
                advice=advice,
            )
        finally:
            edge.close()

    async def async_notify(self, context: Context) -> None:
        """See ``BaseNotifier``."""
        await asyncio.to_thread(self.notify, context)
