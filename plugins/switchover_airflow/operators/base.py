"""What every operator of a switchover shares: how a run is opened, and when a failure is tried again."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseBranchOperator, BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowSkipException

from switchover.errors import BadInput
from switchover.ledger import Ledger
from switchover.steps.switch import Switch
from switchover_airflow import metrics
from switchover_airflow.connections import airflow_edge
from switchover_airflow.links import SwitchoverLink

if TYPE_CHECKING:
    from switchover_airflow.operators.approve import ApproveOperator
    from switchover_airflow.sensors.hold import HoldSensor

#: A server that does not answer is asked again at once; what a person must mend, or had its time, is not.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="switchover.errors.Unreachable", action=RetryAction.RETRY, retry_delay=timedelta(seconds=2)
        ),
        RetryRule(exception="switchover.errors.SwitchoverError", action=RetryAction.FAIL),
        RetryRule(exception="airflow.sdk.exceptions.AirflowTaskTimeout", action=RetryAction.FAIL),
    ]
)


def text(name: str, value: object) -> str:
    """A templated field that must be text. ``BadInput`` when the DAG made another thing of it."""
    if isinstance(value, str):
        return value
    raise BadInput(
        f"{name}: found {value!r}, no text; allowed: text. A DAG with render_template_as_native_obj=True makes a number"
        " of a name like 20241001: take that setting out of the DAG"
    )


def yes(value: object) -> bool:
    """A templated field that is true for ``True``, "true" and "1"."""
    return str(value).strip().lower() in ("true", "1")


@contextlib.contextmanager
def open_switch(task: StepOperator | GateOperator | HoldSensor | ApproveOperator) -> Iterator[Switch]:
    """The task's switchover; a run that preflight did not open is skipped."""
    edge = airflow_edge()
    try:
        if Ledger(engine=edge.sql(task.ledger_conn_id)).runs.find(task.switchover_id) is None:
            raise AirflowSkipException("preflight opened no switchover: there is nothing to do here")
        switch = Switch.open(
            edge=edge, ledger=task.ledger_conn_id, id=task.switchover_id, actor=f"airflow task {task.task_id}"
        )
        metrics.mark_span(switch.id)
        try:
            yield switch
        finally:
            metrics.send(switch.ledger, switch.id)
    finally:
        edge.close()


class StepOperator(BaseOperator):
    """Base of the steps that act.

    :param ledger_conn_id: connection of the ledger
    :param switchover_id: the run's id in the ledger (templated)
    """

    template_fields: Collection[str] = ("switchover_id",)
    ui_color = "#e8f0fe"
    operator_extra_links = (SwitchoverLink(),)

    def __init__(self, *, ledger_conn_id: str, switchover_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id


class GateOperator(BaseBranchOperator):
    """Base of the steps that only choose; they run whatever happened before, and fail closed.

    :param ledger_conn_id: connection of the ledger
    :param switchover_id: the run's id in the ledger (templated)
    """

    template_fields: Collection[str] = ("switchover_id",)
    ui_color = "#fef7e0"
    operator_extra_links = (SwitchoverLink(),)

    def __init__(self, *, ledger_conn_id: str, switchover_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id
