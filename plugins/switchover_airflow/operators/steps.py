"""One operator a step: opens the switchover, calls the step function, returns a small summary.

Nothing is decided here. What a step may do, and in which state, is in ``switchover.steps``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import (
    BaseBranchOperator,
    BaseOperator,
    Context,
    ExceptionRetryPolicy,
    ObjectStoragePath,
    RetryAction,
    RetryRule,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.report import status_line, write_evidence
from switchover.steps import finish
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.preflight import Route, preflight
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from switchover_airflow.connections import airflow_edge

#: A server that does not answer is asked again at once; what a person must mend is not.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="switchover.errors.Unreachable", action=RetryAction.RETRY, retry_delay=timedelta(seconds=2)
        ),
        RetryRule(exception="switchover.errors.SwitchoverError", action=RetryAction.FAIL),
    ]
)


class SwitchoverMixin:
    """What every step of one run shares: the ledger's connection and the switchover's id."""

    template_fields: Sequence[str] = ("ledger_conn_id", "switchover_id")
    ui_color = "#e8f0fe"

    ledger_conn_id: str
    switchover_id: str
    task_id: str

    @contextlib.contextmanager
    def switch(self) -> Iterator[Switch]:
        """The open switchover; a run that preflight did not open is skipped."""
        edge = airflow_edge()
        try:
            if Ledger(engine=edge.sql(self.ledger_conn_id)).runs.find(self.switchover_id) is None:
                raise AirflowSkipException("preflight opened no switchover: there is nothing to do here")
            yield Switch.open(
                edge=edge, ledger=self.ledger_conn_id, id=self.switchover_id, actor=f"airflow task {self.task_id}"
            )
        finally:
            edge.close()


class StepOperator(SwitchoverMixin, BaseOperator):
    """Base of the steps that act."""

    def __init__(self, *, ledger_conn_id: str, switchover_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id


class GateOperator(SwitchoverMixin, BaseBranchOperator):
    """Base of the steps that only choose. Runs whatever happened before, and fails closed."""

    ui_color = "#fef7e0"

    def __init__(self, *, ledger_conn_id: str, switchover_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id
        self.switchover_id = switchover_id


class PreflightOperator(BaseBranchOperator):
    """Read the pointer, take its lease, open the ledger record; or only say what would be done.

    :param plan: the plan as JSON-able values (templated: ``green``, ``hold_minutes``, ``dry_run``)
    :param go: task id that follows when there is something to do
    :param done: task id that follows when there is nothing to do, or after a dry run
    """

    template_fields: Sequence[str] = ("switchover_id", "green", "hold_minutes", "dry_run")
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        plan: Mapping[str, Any],
        switchover_id: str,
        green: Any,
        hold_minutes: Any,
        dry_run: Any,
        go: str,
        done: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.switchover_id = switchover_id
        self.green = green
        self.hold_minutes = hold_minutes
        self.dry_run = dry_run
        self.go = go
        self.done = done

    def choose_branch(self, context: Context) -> str:
        """See ``switchover.steps.preflight``."""
        edge = airflow_edge()
        try:
            found = preflight(
                plan=Plan.model_validate(self.plan),
                edge=edge,
                id=self.switchover_id,
                actor=f"airflow task {self.task_id}",
                green=self.green,
                hold_minutes=self.hold_minutes,
                dry_run=bool(self.dry_run),
            )
        finally:
            edge.close()
        for line in found.lines:
            self.log.info("%s", line)
        context["ti"].xcom_push(key="preflight", value={"route": found.route.value, "lines": list(found.lines)})
        return self.go if found.route is Route.GO else self.done


class FreezeOperator(StepOperator):
    """Freeze the writers and prove the drain."""

    def execute(self, context: Context) -> dict[str, str]:
        """Returns writer -> proof of its drain."""
        with self.switch() as switch:
            return freeze(switch)


class VerifyOperator(StepOperator):
    """Check every invariant and rehearse the rollback."""

    def execute(self, context: Context) -> dict[str, str]:
        """Returns check -> what was found."""
        with self.switch() as switch:
            checks = verify(switch)
        for check in checks:
            self.log.info("%-26s %s (expected %s)", check.name, check.found, check.expected)
        return {check.name: check.found for check in checks}


class WarmOperator(StepOperator):
    """Ask the gold set of both arms until Green is steady, and judge."""

    def execute(self, context: Context) -> dict[str, str]:
        """Returns rule -> verdict; the figures are in the ledger."""
        with self.switch() as switch:
            verdicts = warm(switch)
        for verdict in verdicts:
            self.log.info("%-18s %-12s %s", verdict.rule, verdict.outcome.value, verdict.detail)
        return {verdict.rule: verdict.outcome.value for verdict in verdicts}


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
        with self.switch() as switch:
            return self.flip_task_id if flip_or_abort(switch) else self.abort_task_id


class FlipOperator(StepOperator):
    """Move the one pointer to Green and read back until every reader follows."""

    def execute(self, context: Context) -> str:
        """Returns one line."""
        with self.switch() as switch:
            return flip(switch)


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
        """See ``switchover.steps.finish.promote_or_roll_back``; ``None`` when nothing was flipped."""
        with self.switch() as switch:
            decision = finish.promote_or_roll_back(switch)
        return {
            Decision.PROMOTE: self.unfreeze_task_id,
            Decision.ROLL_BACK: self.rollback_task_id,
            None: None,
        }[decision]


class UnfreezeOperator(StepOperator):
    """Record the promotion and resume the writers on Green."""

    def execute(self, context: Context) -> list[str]:
        """Returns the writers that were resumed."""
        with self.switch() as switch:
            return finish.unfreeze(switch)


class RollbackOperator(StepOperator):
    """Bring the pointer back to Blue, prove every reader, resume the writers on Blue."""

    ui_color = "#fce8e6"

    def execute(self, context: Context) -> list[str]:
        """Returns the writers that were resumed."""
        with self.switch() as switch:
            return finish.rollback(switch)


class AbortOperator(StepOperator):
    """End before the flip and resume the writers on Blue."""

    ui_color = "#fce8e6"

    def execute(self, context: Context) -> list[str]:
        """Returns the writers that were resumed."""
        with self.switch() as switch:
            return finish.abort(switch)


class EvidenceOperator(StepOperator):
    """Write the evidence bundle: summary, report, and the questions that got worst.

    :param folder: folder or object prefix; the run's id becomes a folder below it
    """

    template_fields: Sequence[str] = (*SwitchoverMixin.template_fields, "folder")

    def __init__(self, *, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns where the bundle is and what it holds."""
        with self.switch() as switch:
            base = ObjectStoragePath(self.folder) / switch.id.replace(":", "__").replace("+", "_")
            base.mkdir(parents=True, exist_ok=True)
            names = write_evidence(switch.ledger, switch.id, lambda name, data: _put(base / name, data))
        self.log.info("evidence: %s (%s)", base, ", ".join(names))
        return {"folder": str(base), "files": names}


class OutcomeOperator(StepOperator):
    """Only *promoted* makes a green run; so do a dry run and a run with nothing to do.

    :param preflight_task_id: the task whose route is read
    """

    def __init__(self, *, preflight_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.preflight_task_id = preflight_task_id

    def execute(self, context: Context) -> str:
        """Returns the outcome in words, or fails with it."""
        found = context["ti"].xcom_pull(task_ids=self.preflight_task_id, key="preflight")
        if found is None:
            raise AirflowFailException("preflight failed: nothing was opened and nothing was changed; see its log")
        if found["route"] != Route.GO.value:
            return "\n".join(found["lines"])
        with self.switch() as switch:
            row = switch.row
            line = status_line(row, switch.ledger.now())
            frozen = [w["name"] for w in switch.ledger.journal.writers(switch.id) if w["resumed_at"] is None]
        if frozen:
            raise AirflowFailException(f"{line}; writers still frozen: {', '.join(frozen)}")
        if row.state is not State.PROMOTED:
            raise AirflowFailException(line)
        return line


class RestoreOperator(StepOperator):
    """Teardown: leave the pointer decided, the writers right and the lease free, whatever happened."""

    def execute(self, context: Context) -> str:
        """Returns one line; does nothing for a run that ended well."""
        with self.switch() as switch:
            return finish.restore(switch)


def _put(path: ObjectStoragePath, data: bytes) -> None:
    path.write_bytes(data)
