"""The operators that choose a way: preflight and the two gates. They read; only the ledger is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow.sdk import BaseBranchOperator, Context

from switchover.errors import BadInput
from switchover.plan import Plan
from switchover.protocol import Decision
from switchover.steps.finish import promote_or_roll_back
from switchover.steps.flip import flip_or_abort
from switchover.steps.preflight import Route, preflight
from switchover_airflow.connections import airflow_edge
from switchover_airflow.links import SwitchoverLink
from switchover_airflow.operators.base import GateOperator, open_switch, text, yes


class PreflightOperator(BaseBranchOperator):
    """Read the pointer, take its lease, open the ledger record; or only say what would be done.

    :param plan: the plan as JSON-able values; nothing of it is rendered
    :param green: the arm to switch to, as text (templated)
    :param hold_minutes: a number, or the text of one (templated)
    :param dry: only say what would be done (templated; true values: True, "true", "1")
    :param go: task id that follows when there is something to do
    :param done: task id that follows when there is nothing to do, or after a dry run
    """

    template_fields: Collection[str] = ("switchover_id", "green", "hold_minutes", "dry")
    ui_color = "#e8f0fe"
    operator_extra_links = (SwitchoverLink(),)

    def __init__(
        self,
        *,
        plan: Mapping[str, Any],
        switchover_id: str,
        green: str,
        hold_minutes: float | str,
        dry: bool | str,
        go: str,
        done: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.switchover_id = switchover_id
        self.green = green
        self.hold_minutes = hold_minutes
        self.dry = dry
        self.go = go
        self.done = done

    def choose_branch(self, context: Context) -> str:
        """See ``switchover.steps.preflight``."""
        run, params = context["dag_run"], context["params"]
        edge = airflow_edge()
        try:
            found = preflight(
                plan=Plan.model_validate(self.plan),
                edge=edge,
                id=self.switchover_id,
                actor=f"airflow task {self.task_id}",
                green=text("green", self.green),
                hold_minutes=_minutes(self.hold_minutes),
                dry_run=yes(self.dry),
                due=run.run_after,
                retry_build=str(params.get("retry_build") or ""),  # only a form gives it, so only a manual run
            )
        finally:
            edge.close()
        for line in found.lines:
            self.log.info("%s", line)
        context["ti"].xcom_push(key="preflight", value={"route": found.route.value, "lines": list(found.lines)})
        return self.go if found.route is Route.GO else self.done


class AcceptanceGateOperator(GateOperator):
    """Flip only if every acceptance rule passes; otherwise abort.

    :param flip_task_id: follows when the flip may go ahead
    :param abort_task_id: follows in every other case
    """

    def __init__(self, *, flip_task_id: str, abort_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flip_task_id = flip_task_id
        self.abort_task_id = abort_task_id

    def choose_branch(self, context: Context) -> str:
        """See ``switchover.steps.flip.flip_or_abort``."""
        with open_switch(self) as switch:
            return self.flip_task_id if flip_or_abort(switch) else self.abort_task_id


class HoldGateOperator(GateOperator):
    """Unfreeze if every rule passes at the end of the hold; otherwise roll back.

    :param unfreeze_task_id: follows when Green is accepted
    :param rollback_task_id: follows in every other case after a flip
    """

    def __init__(self, *, unfreeze_task_id: str, rollback_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unfreeze_task_id = unfreeze_task_id
        self.rollback_task_id = rollback_task_id

    def choose_branch(self, context: Context) -> str | None:
        """See ``switchover.steps.promote_or_roll_back``; ``None`` when nothing was flipped."""
        with open_switch(self) as switch:
            decision = promote_or_roll_back(switch)
        return {
            Decision.PROMOTE: self.unfreeze_task_id,
            Decision.ROLL_BACK: self.rollback_task_id,
            None: None,
        }[decision]


def _minutes(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        raise BadInput(f"hold_minutes: found {value!r}; allowed: a number of minutes") from None
