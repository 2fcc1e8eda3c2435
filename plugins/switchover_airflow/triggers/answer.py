"""Keeps a run watched while people think: the hold goes on, or before the flip the lease is kept. Moves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from airflow.observability import stats
from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail
from airflow.triggers.base import BaseTrigger, TriggerEvent

from switchover.approval import Gate
from switchover.errors import StateConflict, SwitchoverError
from switchover.notify import Event
from switchover.steps.approve import hand_over, waiting
from switchover.steps.switch import Switch
from switchover_airflow import metrics
from switchover_airflow.connections import airflow_edge_async

#: How soon Airflow's scheduler has seen that the process of a task that waits has ended.
AIRFLOW_S = 5.0


class AnswerTrigger(BaseTrigger):
    """Fires when the watch ends before an answer, or finds an answer that the task did not get.

    Airflow resumes the task itself as soon as somebody answers, and this trigger is cancelled then. An answer
    that came before the task was deferred would be missed, so each look asks for one as well. It is handed over some
    seconds later: a task that is resumed before Airflow has seen its first process end is killed, and would ask again.

    :param ledger_conn_id: connection of the ledger
    :param switchover_id: the run to watch
    :param connection_ids: every connection that the run's plan needs
    :param channel_ids: connections that only telling people needs
    :param gate: what is asked
    :param ti_id: the task instance that holds the question
    :param told: one line for the channels; empty when they were told of this question before
    """

    def __init__(
        self,
        *,
        ledger_conn_id: str,
        switchover_id: str,
        connection_ids: list[str],
        channel_ids: list[str],
        gate: str,
        ti_id: str,
        told: str,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.arguments = {
            "ledger_conn_id": ledger_conn_id,
            "switchover_id": switchover_id,
            "connection_ids": connection_ids,
            "channel_ids": channel_ids,
            "gate": gate,
            "ti_id": ti_id,
            "told": told,
        }
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id
        self.connection_ids = connection_ids
        self.channel_ids = channel_ids
        self.gate = Gate(gate)
        self.ti_id = UUID(ti_id)
        self.told = told

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See ``BaseTrigger``."""
        return "switchover_airflow.triggers.answer.AnswerTrigger", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: ``{"end", "line"}``, or the answer as Airflow itself would hand it over."""
        try:
            edge = await airflow_edge_async(self.connection_ids, optional=self.channel_ids)
        except SwitchoverError as error:
            yield _event(end="error", line=str(error))
            return
        try:
            switch = Switch.open(
                edge=edge, ledger=self.ledger_conn_id, id=self.switchover_id, actor=f"airflow trigger {self.gate}"
            )
            if self.told:
                switch.tell(Event.APPROVAL_WANTED, self.told)
            found = await self._wait(switch)
            if "chosen_options" in found:
                await asyncio.to_thread(hand_over, switch)  # the task resumes when a worker is free
            yield _event(**found)
        except SwitchoverError as error:
            yield _event(end="error", line=f"{type(error).__name__}: {error}")
        finally:
            await asyncio.to_thread(edge.close)

    async def _wait(self, switch: Switch) -> dict[str, Any]:
        """What the event is to say. When it is cancelled by an answer, the lease waits for the task to resume."""
        try:
            return await self._watch(switch)
        except asyncio.CancelledError:
            if await self._answer():
                await asyncio.to_thread(hand_over, switch)
            raise

    async def _watch(self, switch: Switch) -> dict[str, Any]:
        async with contextlib.aclosing(waiting(switch, self.gate)) as ticks:
            async for tick in ticks:
                self.log.info("%s", tick.line)
                if tick.end is not None:
                    return {"end": tick.end.value, "line": tick.line}
                if found := await self._answer():
                    await asyncio.sleep(AIRFLOW_S)
                    return found
                await asyncio.to_thread(metrics.send, switch.ledger, switch.id, gauge=stats.gauge)
        raise StateConflict(f"switchover {self.switchover_id!r}: {self.gate}: the watch ended without saying why")

    async def _answer(self) -> dict[str, Any] | None:
        try:
            found = await asyncio.to_thread(get_hitl_detail_content_detail, self.ti_id)
        except Exception as error:  # noqa: BLE001  (the watch does not end for want of this look)
            self.log.warning("cannot ask Airflow for an answer: %s", type(error).__name__)
            return None
        if not found.response_received or not found.chosen_options:
            return None
        user = found.responded_by_user
        by = {"id": user.id, "name": user.name} if user is not None else None
        return {
            "chosen_options": list(found.chosen_options),
            "responded_by_user": by,
            "responded_at": found.responded_at,
        }


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
