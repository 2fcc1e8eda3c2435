"""Writers by kind. Adding one is one file and one line here; an installed package adds one by an entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.registry import kinds, one_of
from switchover.writers.base import Drain, QueuedWrites, State, Writer, WriterSpec

__all__ = ["KINDS", "AnyWriter", "Drain", "QueuedWrites", "State", "Writer", "WriterSpec"]

KINDS = kinds(
    "switchover.writers",
    (
        "switchover.writers.airflow_dag:AirflowDagSpec",
        "switchover.writers.write_gate:WriteGateSpec",
        "switchover.writers.k8s_deployment:DeploymentSpec",
        "switchover.writers.k8s_cronjob:CronJobSpec",
        "switchover.writers.kafka_group:KafkaGroupWriterSpec",
        "switchover.writers.sqs_lambda:SqsLambdaSpec",
        "switchover.writers.eventbridge_rule:EventBridgeRuleSpec",
        "switchover.writers.ecs_service:EcsServiceSpec",
    ),
)

if TYPE_CHECKING:
    AnyWriter = WriterSpec
else:
    AnyWriter = one_of(KINDS)
