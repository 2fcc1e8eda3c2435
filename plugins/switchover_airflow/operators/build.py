"""One operator a step of an index build; what a step does is in ``switchover.indexing.run``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from switchover.indexing.run import Builder
from switchover.plan import Plan
from switchover.steps.build import builder_of
from switchover_airflow.connections import airflow_edge
from switchover_airflow.operators.base import text


class BuildStepOperator(BaseOperator):
    """``begin``, ``load``, ``index`` or ``catch_up``. Tried again, it goes on behind the last batch that was stored.

    :param plan: the plan as JSON-able values
    :param arm: the arm to build (templated)
    :param step: the builder's method
    """

    template_fields: Collection[str] = ("arm",)
    ui_color = "#e6f4ea"

    def __init__(self, *, plan: Mapping[str, Any], arm: str, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.arm = arm
        self.step = step

    def execute(self, context: Context) -> Any:
        """Run the step."""
        with self.builder() as builder:
            getattr(builder, self.step)()

    @contextmanager
    def builder(self) -> Iterator[Builder]:
        """The build, with clients from Airflow's connections; its progress goes to the task's log."""
        edge = airflow_edge()
        try:
            plan = Plan.model_validate(self.plan)
            actor = f"airflow task {self.task_id}"
            yield builder_of(
                plan, edge, actor=actor, arm=text("arm", self.arm), say=lambda line: self.log.info("%s", line)
            )
        finally:
            edge.close()


class PublishIndexOperator(BuildStepOperator):
    """Publish what was built, and tell the asset; skipped, and no event, when these very rows were there already."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(step="publish", **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish; the asset event carries target, INDEX_HASH and what remains."""
        with self.builder() as builder:
            built = builder.publish()
        self.log.info("%s", built.line)
        if not built.changed:
            raise AirflowSkipException(built.line)
        for asset in self.outlets:
            if isinstance(asset, Asset):
                context["outlet_events"][asset].extra = built.to_json()
        return built.to_json()
