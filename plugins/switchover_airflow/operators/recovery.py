"""Operators outside a switchover's checklist: rehearse the way back, break the glass, retire Blue."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from switchover.edge.edge import Edge
from switchover.ledger.ttr import ttr
from switchover.plan import Plan
from switchover.steps.back import CameBack, go_back
from switchover.steps.breakglass import Back, break_glass
from switchover.steps.rehearse import rehearse_service
from switchover.steps.retire import retire
from switchover_airflow.connections import airflow_edge
from switchover_airflow.operators.base import text


class PlanOperator(BaseOperator):
    """Base of the operators that belong to a plan and to no run.

    :param plan: the plan as JSON-able values
    """

    def __init__(self, *, plan: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Plan, Edge]]:
        """The plan, and an edge on Airflow's connections for the block."""
        edge = airflow_edge()
        try:
            yield Plan.model_validate(self.plan), edge
        finally:
            edge.close()


class RehearseOperator(PlanOperator):
    """Walk a shadow pointer to the other arm and back, and keep how long the way back took."""

    ui_color = "#e8f0fe"

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the seconds and the budget; fails when they do not fit."""
        with self.opened() as (plan, edge):
            found = rehearse_service(plan=plan, edge=edge, actor=_actor(context))
        if not found.ok:
            raise AirflowFailException(f"too slow, and until a rehearsal meets its budget nothing flips: {found.note}")
        self.log.info("%s", found.note)
        return {"seconds": found.seconds, "budget_s": found.budget_s}


class BreakGlassOperator(PlanOperator):
    """Bring the service back to Blue now: no gates, no questions.

    :param after_promotion: a person's word that a promotion is taken back (templated): true or false
    """

    template_fields: Collection[str] = ("after_promotion",)
    ui_color = "#fce8e6"

    def __init__(self, *, after_promotion: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after_promotion = after_promotion

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the run, its state, the time to restore and the writers that were resumed."""
        promoted = str(self.after_promotion).lower() == "true"  # a form gives a boolean, a rendered template its text
        how: Callable[..., Back | CameBack] = go_back if promoted else break_glass
        with self.opened() as (plan, edge):
            back = how(plan=plan, edge=edge, actor=_actor(context), person=_person(context))
        return {"run": back.row.id, "state": back.row.state.value, "ttr_s": ttr(back.row), "writers": back.writers}


class RetireOperator(PlanOperator):
    """Remove Blue's index for good.

    :param index: its name, as the person who asks for it has typed it (templated)
    """

    template_fields: Collection[str] = ("index",)
    ui_color = "#fce8e6"

    def __init__(self, *, index: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = index

    def execute(self, context: Context) -> str:
        """Returns one line."""
        with self.opened() as (plan, edge):
            return retire(plan=plan, edge=edge, index=text("index", self.index), actor=_actor(context))


def _person(context: Context) -> str:
    """Who triggered the run, as far as Airflow knows."""
    return context["dag_run"].triggering_user_name or "airflow"


def _actor(context: Context) -> str:
    return f"airflow {context['dag_run'].dag_id}, {_person(context)}"
