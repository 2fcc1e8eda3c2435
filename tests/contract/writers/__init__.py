"""Every kind of writer in the contract suite, by kind."""

from __future__ import annotations

from tests.contract.writers.airflow import AirflowDagWorld
from tests.contract.writers.aws import EcsServiceWorld, EventBridgeRuleWorld, SqsLambdaWorld
from tests.contract.writers.base import WriterWorld
from tests.contract.writers.kafka import KafkaGroupWriterWorld
from tests.contract.writers.kubernetes import CronJobWorld, DeploymentWorld
from tests.contract.writers.sql import WriteGateWorld

WRITERS: dict[str, type[WriterWorld]] = {
    world.kind: world
    for world in (
        WriteGateWorld,
        AirflowDagWorld,
        DeploymentWorld,
        CronJobWorld,
        KafkaGroupWriterWorld,
        SqsLambdaWorld,
        EventBridgeRuleWorld,
        EcsServiceWorld,
    )
}
