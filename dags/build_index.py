"""One DAG a plan that has a ``build`` part: ``build_index__<service>`` builds an arm offline. Wiring only.

The same as ``switchover build``. Its last task tells the plan's asset, which can start the switchover. A plan
that cannot be read is reported by ``dags/switchover.py``, once.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param, chain

from switchover.plan import Plan
from switchover_airflow.operators.base import RETRY_POLICY
from switchover_airflow.operators.build import BuildStepOperator, PublishIndexOperator
from switchover_airflow.plans import dags_of

STEPS = {
    "begin": "Go on with the build that was interrupted, or start one; nothing to do when the index is there.",
    "load": "Stream the documents, cut, encode, load; each batch is stored together with its checkpoint.",
    "index": "Build the approximate index over the vectors.",
    "catch_up": "Take in what was written meanwhile, until little is behind; compare every document's revision.",
}
PUBLISH = "Write manifest and INDEX_HASH, put the index in its place, and tell the asset."


def build_dag(plan: Plan) -> DAG:
    """The build DAG of one plan."""
    with DAG(
        dag_id=f"build_index__{plan.service}",
        description=f"Build an arm of {plan.service} offline",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": plan.owner,
            "retries": 3,
            "retry_delay": timedelta(seconds=5),
            "retry_policy": RETRY_POLICY,
        },
        params={"arm": Param(plan.green, enum=list(plan.arms), title="Arm", description="The arm to build.")},
        doc_md=f"Builds an index of `{plan.service}` and catches it up. See docs/build.md.",
        tags=["switchover", "build", plan.service],
    ) as dag:
        common = {"plan": plan.model_dump(mode="json"), "arm": "{{ params.arm }}"}
        steps = [BuildStepOperator(task_id=name, step=name, doc_md=text, **common) for name, text in STEPS.items()]
        outlets = [Asset(plan.asset)] if plan.asset else []
        publish = PublishIndexOperator(task_id="publish", doc_md=PUBLISH, outlets=outlets, **common)
        chain(*steps, publish)
    return dag


globals().update(dags_of({"build_index": build_dag}, where=lambda plan: plan.build is not None, report=False))
