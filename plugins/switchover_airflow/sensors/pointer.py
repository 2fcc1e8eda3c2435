"""Wait in any DAG until a pointer is at an arm."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, timezone
from airflow.sdk.exceptions import AirflowFailException

from switchover.steps.move import pointer_spec
from switchover_airflow.connections import airflow_edge
from switchover_airflow.links import PointerLink
from switchover_airflow.operators.base import text
from switchover_airflow.triggers.pointer import PointerAtTrigger

SLACK = timedelta(minutes=1)


class PointerAtSensor(BaseSensorOperator):
    """Deferrable: succeeds when the store serves ``arm`` everywhere, fails after ``timeout``.

    :param pointer: the keys of a plan's ``pointer`` part (templated); see docs/plan.md
    :param arm: the arm that is waited for (templated)
    """

    template_fields: Collection[str] = ("pointer", "arm")
    ui_color = "#e6f4ea"
    operator_extra_links = (PointerLink(),)

    def __init__(self, *, pointer: Mapping[str, Any], arm: str, **kwargs: Any) -> None:
        super().__init__(**{"poke_interval": 5, **kwargs})
        self.pointer = pointer
        self.arm = arm

    def execute(self, context: Context) -> str:
        """Returns at once when the pointer is there already; otherwise waits in the triggerer."""
        spec, arm = pointer_spec(self.pointer), text("arm", self.arm)
        edge = airflow_edge()
        try:
            pointer = spec.build(edge)
            self.pointer_url = pointer.link
            if pointer.verify(arm):
                return f"{pointer.key}: serves {arm!r}"
        finally:
            edge.close()
        until = timezone.utcnow() + timedelta(seconds=self.timeout)
        self.defer(
            trigger=PointerAtTrigger(
                pointer=spec.model_dump(mode="json"), arm=arm, until=until.isoformat(), pause_s=self.poke_interval
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + SLACK,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Returns the trigger's line, or fails with it."""
        if not event["there"]:
            raise AirflowFailException(event["line"])
        return str(event["line"])
