"""Writers by kind: the one place that knows every kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchover.writers.airflow_dag import AirflowDagSpec
from switchover.writers.base import Drain, State, Writer, WriterSpec
from switchover.writers.ecs_service import EcsServiceSpec
from switchover.writers.eventbridge_rule import EventBridgeRuleSpec
from switchover.writers.k8s_cronjob import CronJobSpec
from switchover.writers.k8s_deployment import DeploymentSpec
from switchover.writers.kafka_group import KafkaGroupWriterSpec
from switchover.writers.sql_fence import SqlFenceSpec
from switchover.writers.sqs_lambda import SqsLambdaSpec

__all__ = ["AnyWriter", "Drain", "State", "Writer", "WriterSpec"]

AnyWriter = Annotated[
    AirflowDagSpec
    | SqlFenceSpec
    | DeploymentSpec
    | CronJobSpec
    | KafkaGroupWriterSpec
    | SqsLambdaSpec
    | EventBridgeRuleSpec
    | EcsServiceSpec,
    Field(discriminator="kind"),
]
