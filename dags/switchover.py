"""One DAG a plan: ``switchover__<service>``, the checklist of SPEC as tasks. Wiring only.

Where plans are is in ``switchover_airflow.plans``. A plan that cannot be read is reported as an import error of that
plan; the other plans still load.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, chain

from switchover.errors import PlanError
from switchover.plan import Plan, load_plan
from switchover_airflow.operators.base import RETRY_POLICY
from switchover_airflow.operators.gates import AcceptanceGateOperator, HoldGateOperator, PreflightOperator
from switchover_airflow.operators.steps import (
    AbortOperator,
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
from switchover_airflow.plans import BrokenPlan, plan_paths
from switchover_airflow.sensors.hold import HoldSensor

CHECKLIST = {
    "preflight": "Is there anything to do? Read the pointer, take its lease, open the ledger record.",
    "freeze": "1. Freeze the writers; prove that nothing is in flight.",
    "verify": "2. Verify the invariants: pins, index, encoder, secrets, signals, gold set, rehearsed rollback.",
    "warm": "3. Warm Green: ask the gold set of both arms at once until latency is steady.",
    "acceptance_gate": "3. Flip only if every acceptance rule passes; otherwise abort.",
    "flip": "4. Flip the one pointer, compare-and-set; read back until every reader follows.",
    "hold": "5. Hold and watch Green; the writers stay frozen, so a rollback loses no write.",
    "gate": "5. Unfreeze only if every rule passes; anything else, also no answer, is a rollback.",
    "unfreeze": "6. Unfreeze the writers on Green.",
    "rollback": "Roll back: pointer to Blue, proven by every reader, then the writers.",
    "abort": "Abort: the pointer was never moved; the writers go on with Blue.",
    "evidence": "Keep the evidence: summary, report, the questions that got worst.",
    "outcome": "Green only if promoted.",
    "restore": "Whatever happened: pointer decided, writers right, lease free.",
}


def build_dag(plan: Plan) -> DAG:
    """The DAG of one plan."""
    with DAG(
        dag_id=f"switchover__{plan.service}",
        description=plan.description or f"Blue-green switchover of {plan.service}",
        schedule=[Asset(plan.asset)] if plan.asset else plan.schedule,
        catchup=False,
        max_active_runs=1,
        allowed_run_types=["manual", "asset_triggered", "scheduled"],
        default_args={
            "owner": plan.owner,
            "retries": 3,
            "retry_delay": timedelta(seconds=2),
            "retry_policy": RETRY_POLICY,
        },
        params={
            "green": Param(plan.green, enum=list(plan.arms), title="Green", description="The arm to switch to."),
            "hold_minutes": Param(
                plan.hold.minutes,
                type="number",
                exclusiveMinimum=0,
                maximum=plan.hold.max_minutes,
                title="Hold (minutes)",
                description="How long to watch Green before the writers go on.",
            ),
            "dry_run": Param(
                False,
                type="boolean",
                title="Dry run",
                description="Print every read and every intended change; change nothing.",
            ),
        },
        render_template_as_native_obj=True,
        doc_md=_doc(plan),
        tags=["switchover", plan.service],
    ) as dag:
        run: dict[str, Any] = {
            "ledger_conn_id": plan.ledger,
            "switchover_id": f"{plan.service}:{{{{ run_id }}}}",
        }

        def step(task_id: str, **more: Any) -> dict[str, Any]:
            return {"task_id": task_id, "doc_md": CHECKLIST[task_id], **run, **more}

        urgent = {"retries": 10, "priority_weight": 1000, "weight_rule": "absolute"}
        preflight = PreflightOperator(
            task_id="preflight",
            doc_md=CHECKLIST["preflight"],
            plan=plan.model_dump(mode="json"),
            switchover_id=run["switchover_id"],
            green="{{ params.green }}",
            hold_minutes="{{ params.hold_minutes }}",
            dry="{{ params.dry_run }}",
            go="freeze",
            done="outcome",
        )
        freeze = FreezeOperator(**step("freeze"))
        verify = VerifyOperator(**step("verify"))
        warm = WarmOperator(**step("warm"))
        acceptance_gate = AcceptanceGateOperator(
            **step("acceptance_gate", trigger_rule="all_done", flip_task_id="flip", abort_task_id="abort")
        )
        flip = FlipOperator(**step("flip"))
        hold = HoldSensor(**step("hold"))
        gate = HoldGateOperator(
            **step("gate", trigger_rule="all_done", unfreeze_task_id="unfreeze", rollback_task_id="rollback", **urgent)
        )
        unfreeze = UnfreezeOperator(**step("unfreeze"))
        rollback = RollbackOperator(**step("rollback", **urgent))
        abort = AbortOperator(**step("abort", **urgent))
        evidence = EvidenceOperator(**step("evidence", trigger_rule="all_done", folder=plan.evidence))
        outcome = OutcomeOperator(**step("outcome", trigger_rule="all_done", preflight_task_id="preflight"))
        restore = RestoreOperator(**step("restore", **urgent)).as_teardown()

        chain(preflight, freeze, verify, warm, acceptance_gate, flip, hold, gate, [unfreeze, rollback], evidence)
        chain(acceptance_gate, abort, evidence, outcome, restore)
        chain(preflight, outcome)
    return dag


def _doc(plan: Plan) -> str:
    return (
        f"Moves `{plan.service}` from the live arm to `{plan.green}` by its plan (digest `{plan.digest[:12]}`).\n\n"
        "Freeze, verify, warm, flip, hold, then unfreeze or roll back. Only *promoted* makes a green run."
    )


for path in plan_paths():
    try:
        loaded = build_dag(load_plan(path))
    except PlanError as error:
        loaded = BrokenPlan(path=path, error=error)
    globals()[loaded.dag_id] = loaded
