"""A person decides: Airflow's own question and answer, while the run stays watched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from switchover.approval import Gate, Person, Standing
from switchover.steps import approve
from switchover.steps.hold import End
from switchover.steps.switch import Switch
from switchover_airflow.links import SwitchoverLink
from switchover_airflow.operators.base import open_switch
from switchover_airflow.triggers.answer import AnswerTrigger

APPROVE, REJECT = "Approve", "Reject"
SLACK = timedelta(minutes=2)


class ApproveOperator(HITLOperator):
    """Asks as many persons as the plan says, and records their answers. The gate behind it decides from the ledger.

    Airflow's operator would park the task where nothing runs. This one is deferred instead, to a trigger that goes
    on watching; Airflow resumes a deferred task at once when somebody answers. Succeeds when it was approved, when
    there was nothing to ask, and when a stop rule ended the asking.

    :param ledger_conn_id: connection of the ledger
    :param switchover_id: the run's id in the ledger (templated)
    :param approval_digest: digest of the plan as its file says it now; an answer to another plan is void
    """

    template_fields: Collection[str] = ("switchover_id",)
    ui_color = "#f3e8fd"
    operator_extra_links = (SwitchoverLink(),)

    def __init__(self, *, ledger_conn_id: str, switchover_id: str, approval_digest: str, **kwargs: Any) -> None:
        super().__init__(subject="Switchover", options=[APPROVE, REJECT], defaults=[REJECT], **kwargs)
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id
        self.approval_digest = approval_digest

    def execute(self, context: Context) -> str:
        """Ask, and go on watching; returns at once when there is nothing to ask."""
        with open_switch(self) as switch:
            gate = approve.wanted(switch)
            if gate is None:
                return "nothing to ask: the rules have decided"
            switch.leadership.take(wait=True)
        return self._ask(context, gate)

    def execute_complete(self, context: Context, event: dict[str, Any], gate: str = "") -> str:
        """Returns who approved, asks the next person, or fails with why it was not approved."""
        asked = Gate(gate)
        with open_switch(self) as switch:
            found, why = self._found(switch, asked, event)
            if found.approved:
                approve.hand_over(switch)
            if found.person_number is None:
                approve.ended(switch, found, asked, why=why)
        if found.person_number is not None:
            return self._ask(context, asked)
        told = "; ".join(filter(None, (why, found.why)))
        if not found.approved and event.get("end") != End.STOPPED.value:  # a stop is in haste: see HoldSensor
            raise AirflowFailException(told)
        return told

    def _found(self, switch: Switch, gate: Gate, event: Mapping[str, Any]) -> tuple[Standing, str]:
        if "chosen_options" not in event:
            why = str(event["line"])
            told = "" if event["end"] == End.UNANSWERED.value else why
            return approve.closed(switch, gate, why=why), told
        user = event["responded_by_user"]
        by = Person(id=str(user["id"]), name=str(user["name"] or user["id"])) if user else None
        approved = list(event["chosen_options"]) == [APPROVE]
        at = event.get("responded_at")
        return approve.answer(switch, gate, approved=approved, by=by, now_planned=self.approval_digest, at=at), ""

    def _ask(self, context: Context, gate: Gate) -> str:
        ti_id = context["ti"].id
        with open_switch(self) as switch:
            question = approve.ask(switch, gate, now_planned=self.approval_digest)
            approve.hand_over(switch)
            trigger = AnswerTrigger(
                ledger_conn_id=self.ledger_conn_id,
                switchover_id=self.switchover_id,
                connection_ids=switch.plan.connections,
                channel_ids=switch.plan.channels,
                gate=gate.value,
                ti_id=str(ti_id),
                told=question.subject if question.fresh else "",
            )
        upsert_hitl_detail(
            ti_id=ti_id,
            options=self.options,
            subject=question.subject,
            body=question.body,
            defaults=self.defaults,
            multiple=False,
            params={},
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"gate": gate.value},
            timeout=timedelta(seconds=max(0.0, question.seconds)) + SLACK,
        )
