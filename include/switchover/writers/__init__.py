"""Writers by kind: the one place that knows every kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchover.writers.airflow_dag import AirflowDagSpec
from switchover.writers.base import Drain, State, Writer, WriterSpec
from switchover.writers.sql_fence import SqlFenceSpec

__all__ = ["AnyWriter", "Drain", "State", "Writer", "WriterSpec"]

AnyWriter = Annotated[
    AirflowDagSpec | SqlFenceSpec,
    Field(discriminator="kind"),
]
