"""Writers by kind."""

from __future__ import annotations

from switchover.edge import Edge
from switchover.plan import AirflowDagWriter as AirflowDagSpec
from switchover.plan import Plan
from switchover.writers.airflow_dag import AirflowDagWriter
from switchover.writers.base import Drain, Writer
from switchover.writers.sql_fence import SqlFenceWriter

__all__ = ["Drain", "Writer", "build_writers"]


def build_writers(plan: Plan, edge: Edge) -> list[Writer]:
    """The writers that the plan names, in its order."""
    writers: list[Writer] = []
    for spec in plan.writers:
        if isinstance(spec, AirflowDagSpec):
            client = edge.airflow(spec.connection)
            writers.append(AirflowDagWriter(client=client, name=spec.name, dag_id=spec.dag_id, drain_s=spec.drain_s))
        else:
            engine = edge.sql(spec.connection)
            writers.append(SqlFenceWriter(engine=engine, name=spec.name, fence=spec.fence, drain_s=spec.drain_s))
    return writers
