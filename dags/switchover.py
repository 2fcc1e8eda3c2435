"""The DAGs of a plan, wiring only: ``switchover__<service>``, the checklist of SPEC as tasks, and beside it
``rollback__<service>`` (break-glass), ``rehearse__<service>`` and ``retire__<service>``.

Where plans are is in ``switchover_airflow.plans``. A plan that cannot be read, built or serialised is an import error
of that plan; the others still load. A DAG hands values to its tasks: the only templates are the ones written here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, chain

from switchover.approval import Gate
from switchover.plan import Plan
from switchover.steps.approve import approval_digest
from switchover_airflow import deadlines
from switchover_airflow.operators.approve import ApproveOperator
from switchover_airflow.operators.base import RETRY_POLICY
from switchover_airflow.operators.gates import AcceptanceGateOperator, HoldGateOperator, PreflightOperator
from switchover_airflow.operators.recovery import BreakGlassOperator, RehearseOperator, RetireOperator
from switchover_airflow.operators.steps import (
    AbortOperator,
    AttestOperator,
    EvidenceOperator,
    FlipOperator,
    FreezeOperator,
    OutcomeOperator,
    RestoreOperator,
    RollbackOperator,
    UnfreezeOperator,
    VerifyOperator,
    WarmOperator,
)
from switchover_airflow.plans import dags_of
from switchover_airflow.sensors.hold import HoldSensor

#: The arm that an asset event names (``build_index__<service>`` does), else the one that the form gives.
GREEN = (
    "{{ (triggering_asset_events.values() | list | last | last).extra.get('target', params.green)"
    " if triggering_asset_events else params.green }}"
)

CHECKLIST = {
    "preflight": "Is there anything to do? Read the pointer, take its lease, open the ledger record.",
    "attest": "Before the freeze: read Green's index whole, unless nothing was written to it since it was read.",
    "freeze": "1. Freeze the writers; prove that nothing is in flight.",
    "verify": "2. Verify the invariants: pins, index, encoder, secrets, signals, gold set, rehearsed rollback.",
    "warm": "3. Warm Green: ask the gold set of both arms at once until latency is steady.",
    "approve_flip": "3. A person decides whether to flip. No answer counts as no: the run is aborted.",
    "acceptance_gate": "3. Flip only if every acceptance rule passes; otherwise abort.",
    "flip": "4. Flip the one pointer, compare-and-set; read back until every reader follows.",
    "hold": "5. Hold and watch Green; the writers stay frozen, so a rollback loses no write.",
    "approve_unfreeze": "5. A person decides while the hold goes on. No answer counts as no: Green is rolled back.",
    "gate": "5. Every rule passes: keep Green. Anything else, even silence: go back to Blue.",
    "unfreeze": "6. Unfreeze the writers on Green.",
    "rollback": "Roll back: pointer to Blue, proven by every reader, then the writers.",
    "abort": "Abort before the flip: Blue keeps serving, and the writers go on with it.",
    "restore": "Cleans up in every case: leaves one arm live, writers running on it, the lease released.",
    "outcome": "Fails unless Green was kept. Its log says how the run ended.",
    "evidence": "Keeps the evidence: summary, report, the questions that got worst. Nothing waits for it.",
}

ROLLBACK = (
    "Brings the service back to Blue now, whatever drives its switchover: takes the lease, moves the pointer, proves"
    " every reader, resumes the writers. Refuses when nothing is open. A promotion is taken back by `after_promotion`,"
    " as long as Blue is kept; Blue's build, its answer and every reader are proven first."
)
REHEARSE = (
    "Moves a shadow pointer to the other arm and back and keeps how long the way back took. No reader follows it."
)
RETIRE = (
    "Removes Blue's index for good: only after a promotion, when it was kept for the plan's time, when no reader is on"
    " it and no switchover is open."
)
#: The longest that a task after the decision may take. One that is over its time fails and is not tried again: a lease
#: that it held runs out, and the watchdog goes on. Nothing stands behind `evidence`, so its end is nobody's wait.
RESTORE_TIME, OUTCOME_TIME, EVIDENCE_TIME = timedelta(minutes=15), timedelta(minutes=2), timedelta(minutes=5)
URGENT: dict[str, Any] = {"retries": 10, "priority_weight": 1000, "weight_rule": "absolute"}


def build_dag(plan: Plan) -> DAG:
    """The DAG of one plan."""
    with DAG(
        dag_id=f"switchover__{plan.service}",
        description=plan.description or f"Blue-green switchover of {plan.service}",
        schedule=[Asset(plan.asset)] if plan.asset else plan.schedule,
        catchup=False,
        max_active_runs=1,
        allowed_run_types=["manual", "asset_triggered", "scheduled"],
        default_args=_task_defaults(plan),
        deadline=deadlines.of_switchover(plan),
        params={
            "green": Param(plan.green, enum=list(plan.arms), title="Green", description="The arm to switch to."),
            "hold_minutes": Param(
                plan.hold.minutes,
                type="number",
                exclusiveMinimum=0,
                maximum=plan.hold.max_minutes,
                title="Hold (minutes)",
                description="Green serves all users for this long while the writers stand still. Then it is kept or"
                " taken back.",
            ),
            "dry_run": Param(
                False,
                type="boolean",
                title="Dry run",
                description="Print every read and every intended change; change nothing.",
            ),
            "retry_build": Param(
                "",
                type="string",
                pattern=r"^([0-9A-Za-z:_-]{12,128})?$",
                title="Try a build again",
                description="Only for a build that was rolled back: the beginning of its INDEX_HASH (12 characters).",
            ),
        },
        doc_md=_doc(plan),
        tags=["switchover", plan.service],
    ) as dag:
        run: dict[str, Any] = {
            "ledger_conn_id": plan.ledger,
            "switchover_id": f"{plan.service}:{{{{ run_id }}}}",
        }

        def step(task_id: str, **more: Any) -> dict[str, Any]:
            return {"task_id": task_id, "doc_md": CHECKLIST[task_id], **run, **more}

        preflight = PreflightOperator(
            task_id="preflight",
            doc_md=CHECKLIST["preflight"],
            plan=plan.model_dump(mode="json"),
            switchover_id=run["switchover_id"],
            green=GREEN,
            hold_minutes="{{ params.hold_minutes }}",
            dry="{{ params.dry_run }}",
            go="attest",
            done="outcome",
        )
        attest = AttestOperator(**step("attest"))
        freeze = FreezeOperator(**step("freeze"))
        verify = VerifyOperator(**step("verify"))
        warm = WarmOperator(**step("warm"))
        acceptance_gate = AcceptanceGateOperator(
            **step("acceptance_gate", trigger_rule="all_done", flip_task_id="flip", abort_task_id="abort")
        )
        flip = FlipOperator(**step("flip"))
        hold = HoldSensor(**step("hold"))
        gate = HoldGateOperator(
            **step("gate", trigger_rule="all_done", unfreeze_task_id="unfreeze", rollback_task_id="rollback", **URGENT)
        )
        unfreeze = UnfreezeOperator(**step("unfreeze"))
        rollback = RollbackOperator(**step("rollback", **URGENT))
        abort = AbortOperator(**step("abort", **URGENT))
        restore = RestoreOperator(**step("restore", execution_timeout=_restore_time(plan), **URGENT)).as_teardown()
        # A teardown that colours the run: also when a person marks the whole run as a success, which skips the others.
        outcome = OutcomeOperator(
            **step("outcome", execution_timeout=OUTCOME_TIME, preflight_task_id="preflight")
        ).as_teardown(on_failure_fail_dagrun=True)
        # A teardown too: so it neither colours the run nor is left out when a person marks the run as failed.
        evidence = EvidenceOperator(
            **step("evidence", execution_timeout=EVIDENCE_TIME, retries=1, folder=plan.evidence)
        ).as_teardown()

        asking = {"approval_digest": approval_digest(plan)}
        to_flip = [ApproveOperator(**step("approve_flip", **asking))] if plan.asks(Gate.BEFORE_FLIP) else []
        after = plan.asks(Gate.BEFORE_UNFREEZE) or plan.asks(Gate.ON_UNACCEPTED)
        to_stay = [ApproveOperator(**step("approve_unfreeze", **asking))] if after else []

        chain(preflight, attest, freeze, verify, warm, *to_flip, acceptance_gate, flip, hold, *to_stay, gate)
        chain(gate, [unfreeze, rollback], restore)
        chain(acceptance_gate, abort, restore, [outcome, evidence])
        chain(preflight, outcome)
    return dag


def build_rollback(plan: Plan) -> DAG:
    """Break-glass: one task, no gates, nothing that must be filled in. Created unpaused: a paused DAG would not run."""
    with DAG(
        dag_id=f"rollback__{plan.service}",
        description=f"Break-glass: bring {plan.service} back to Blue now",
        schedule=None,
        is_paused_upon_creation=False,
        max_active_runs=1,
        default_args=_task_defaults(plan),
        deadline=deadlines.of_rollback(plan),
        params={
            "after_promotion": Param(
                False,
                type="boolean",
                title="Take a promotion back",
                description="Yes: nothing is open, and the newest promotion is taken back, as long as Blue is kept.",
            )
        },
        doc_md=ROLLBACK,
        tags=["switchover", plan.service],
    ) as dag:
        BreakGlassOperator(
            task_id="rollback",
            doc_md=ROLLBACK,
            plan=plan.model_dump(mode="json"),
            after_promotion="{{ params.after_promotion }}",
            **URGENT,
        )
    return dag


def build_rehearse(plan: Plan) -> DAG:
    """The way back, walked on a shadow pointer by the plan's schedule or by hand."""
    with DAG(
        dag_id=f"rehearse__{plan.service}",
        description=f"Rehearse the rollback of {plan.service} on a shadow pointer",
        schedule=plan.rehearsal.schedule,
        catchup=False,
        max_active_runs=1,
        default_args=_task_defaults(plan),
        doc_md=REHEARSE,
        tags=["switchover", plan.service],
    ) as dag:
        RehearseOperator(task_id="rehearse", doc_md=REHEARSE, plan=plan.model_dump(mode="json"))
    return dag


def build_retire(plan: Plan) -> DAG:
    """Blue's end. Only a person starts it, and types the name of what goes."""
    with DAG(
        dag_id=f"retire__{plan.service}",
        description=f"Remove what was Blue of {plan.service}, for good",
        schedule=None,
        max_active_runs=1,
        allowed_run_types=["manual"],
        default_args=_task_defaults(plan),
        params={
            "index": Param(
                type="string",
                minLength=1,
                title="Index to remove",
                description="Type its name. It is removed with all that is in it.",
            )
        },
        doc_md=RETIRE,
        tags=["switchover", plan.service],
    ) as dag:
        RetireOperator(task_id="retire", doc_md=RETIRE, plan=plan.model_dump(mode="json"), index="{{ params.index }}")
    return dag


def _restore_time(plan: Plan) -> timedelta:
    """A fixed time, beside what the plan itself lets it wait: for the lease of another, for the readers."""
    return RESTORE_TIME + timedelta(seconds=2 * plan.handover_s + 2 * plan.converge_s)


def _task_defaults(plan: Plan) -> dict[str, Any]:
    return {
        "owner": plan.owner,
        "retries": 3,
        "retry_delay": timedelta(seconds=2),
        "retry_policy": RETRY_POLICY,
    }


def _doc(plan: Plan) -> str:
    return (
        f"Moves `{plan.service}` from the live arm to `{plan.green}` by its plan (digest `{plan.digest[:12]}`).\n\n"
        "Freeze, verify, warm, flip, hold, then unfreeze or roll back. Only *promoted* makes a green run."
    )


BUILDERS = {"switchover": build_dag, "rollback": build_rollback, "rehearse": build_rehearse, "retire": build_retire}
globals().update(dags_of(BUILDERS))
