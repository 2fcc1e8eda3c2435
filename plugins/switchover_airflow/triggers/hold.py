"""Watches a hold in the triggerer: reads, probes, judges, renews the lease. Moves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from airflow.observability import stats
from airflow.triggers.base import BaseTrigger, TriggerEvent

from switchover.errors import SwitchoverError
from switchover.steps.hold import watch
from switchover.steps.switch import Switch
from switchover_airflow import metrics
from switchover_airflow.connections import airflow_edge_async


class HoldTrigger(BaseTrigger):
    """Fires once, when the hold has ended in any way.

    Plain JSON arguments only; the end of the hold is an absolute time in the ledger, so that another
    triggerer goes on where this one stopped.

    :param ledger_conn_id: connection of the ledger
    :param switchover_id: the run to watch
    :param connection_ids: every connection that the run's plan needs
    :param channel_ids: connections that only telling people needs
    """

    def __init__(
        self, *, ledger_conn_id: str, switchover_id: str, connection_ids: list[str], channel_ids: list[str]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id
        self.connection_ids = connection_ids
        self.channel_ids = channel_ids

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See ``BaseTrigger``."""
        return (
            "switchover_airflow.triggers.hold.HoldTrigger",
            {
                "ledger_conn_id": self.ledger_conn_id,
                "switchover_id": self.switchover_id,
                "connection_ids": self.connection_ids,
                "channel_ids": self.channel_ids,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event ``{"end": ..., "line": ...}``; an error becomes an event as well."""
        try:
            edge = await airflow_edge_async(self.connection_ids, optional=self.channel_ids)
        except SwitchoverError as error:
            yield _event("error", str(error))
            return
        try:
            switch = Switch.open(
                edge=edge, ledger=self.ledger_conn_id, id=self.switchover_id, actor="airflow trigger hold"
            )
            async with contextlib.aclosing(watch(switch)) as looks:
                async for tick in looks:
                    self.log.info("%s", tick.line)
                    if tick.end is not None:
                        yield _event(tick.end.value, tick.line)
                        return
                    await asyncio.to_thread(metrics.send, switch.ledger, switch.id, gauge=stats.gauge)
        except SwitchoverError as error:
            yield _event("error", f"{type(error).__name__}: {error}")
        finally:
            await asyncio.to_thread(edge.close)


def _event(end: str, line: str) -> TriggerEvent:
    return TriggerEvent({"end": end, "line": line})  # type: ignore[no-untyped-call]
