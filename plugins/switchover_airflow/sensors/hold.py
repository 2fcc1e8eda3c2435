"""The hold as a deferrable sensor: no worker slot is taken while it watches."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from switchover.steps.hold import WATCHED
from switchover_airflow.links import SwitchoverLink
from switchover_airflow.operators.base import open_switch
from switchover_airflow.triggers.hold import HoldTrigger

SLACK = timedelta(minutes=5)


class HoldSensor(BaseSensorOperator):
    """Watches Green until the hold is over. Fails only when something came between, so that there is no verdict.

    Whatever the end is, the gate behind it decides from the ledger. A stop succeeds too: Airflow's supervisor sees the
    end of a failed task up to ``[workers] min_heartbeat_interval`` (5 s) late, and Green would stay live that long.
    """

    template_fields: Collection[str] = ("switchover_id",)
    ui_color = "#e6f4ea"
    operator_extra_links = (SwitchoverLink(),)

    def __init__(self, *, ledger_conn_id: str, switchover_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id

    def execute(self, context: Context) -> None:
        """Defer until the end of the hold, with every extension and some slack."""
        with open_switch(self) as switch:
            switch.leadership.take()
            switch.leadership.hand_over()
            longest = timedelta(minutes=max(switch.plan.hold.max_minutes, switch.read().hold_minutes))
            trigger = HoldTrigger(
                ledger_conn_id=self.ledger_conn_id,
                switchover_id=self.switchover_id,
                connection_ids=switch.plan.connections,
                channel_ids=switch.plan.channels,
            )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=longest + SLACK)

    def execute_complete(self, context: Context, event: dict[str, str]) -> str:
        """Returns the end and the last look's line, or fails with them."""
        told = f"{event['end']}: {event['line']}"
        if event["end"] not in WATCHED:
            raise AirflowFailException(f"the hold was not watched to its end: {told}")
        return told
