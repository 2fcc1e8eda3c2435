"""An ECS service, an EventBridge rule, and an SQS queue that feeds a Lambda function. All on moto, an emulator.

It runs no task, no function and no target: tasks are started and messages received by the world.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from switchover.edge.edge import Edge
from tests.contract.worlds.aws import ACCOUNT, REGION, AwsPlace, Guard
from tests.contract.worlds.base import NotApplicable
from tests.contract.writers.base import WriterWorld


class AwsWriterWorld(AwsPlace, WriterWorld):
    @contextmanager
    def stranger(self) -> Iterator[Edge]:
        """A user without any policy that allows something here."""
        guard = Guard(self.server.url)
        edge = Edge(connections=lambda _: guard.connection())
        guard.allow({"iam:GetUser"})
        try:
            yield edge
        finally:
            guard.off()
            edge.close()


class EcsServiceWorld(AwsWriterWorld):
    kind = "ecs_service"
    service = "ecs"
    write_marker = b"UpdateService"

    def set_up(self) -> None:
        self.client().create_cluster(clusterName=self.name)
        container = {"name": "ingest", "image": "ingest", "memory": 64}
        self.client().register_task_definition(family=self.name, containerDefinitions=[container])
        self.client().create_service(
            cluster=self.name, serviceName="ingest", taskDefinition=self.name, desiredCount=3, launchType="FARGATE"
        )
        self.scaling.register_scalable_target(
            **self.target, MinCapacity=1, MaxCapacity=5, SuspendedState={"ScheduledScalingSuspended": True}
        )

    @property
    def scaling(self) -> Any:
        return self.client("application-autoscaling")

    @property
    def target(self) -> dict[str, str]:
        return {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{self.name}/ingest",
            "ScalableDimension": "ecs:service:DesiredCount",
        }

    def spec(self) -> dict[str, Any]:
        return {"cluster": self.name, "service": "ingest", "drain_s": 2}

    def state(self) -> Any:
        found = self.client().describe_services(cluster=self.name, services=["ingest"])["services"][0]
        asked = {"ServiceNamespace": "ecs", "ResourceIds": [self.target["ResourceId"]]}
        suspended = self.scaling.describe_scalable_targets(**asked)["ScalableTargets"][0]["SuspendedState"]
        return found["desiredCount"], {key for key, value in suspended.items() if value}

    def disturb(self) -> None:
        self.client().update_service(cluster=self.name, service="ingest", desiredCount=1)

    def halt(self) -> None:
        self.client().update_service(cluster=self.name, service="ingest", desiredCount=0)

    def begin(self) -> None:
        """A task that goes through its states slowly: the emulator moves it on when it is looked at."""
        self.pace({"progression": "manual", "times": 9})
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        self.client().run_task(
            cluster=self.name, taskDefinition=self.name, launchType="FARGATE", networkConfiguration=network
        )

    def end(self) -> None:
        self.pace({"progression": "manual", "times": 1})

    def pace(self, transition: dict[str, Any]) -> None:
        body = {"model_name": "ecs::task", "transition": transition}
        url = f"{self.server.url}/moto-api/state-manager/set-transition"
        httpx.post(url, json=body, trust_env=False).raise_for_status()

    def remove(self) -> None:
        self.client().delete_service(cluster=self.name, service="ingest", force=True)

    def tear_down(self) -> None:
        self.client().delete_service(cluster=self.name, service="ingest", force=True)
        self.client().delete_cluster(cluster=self.name)


class EventBridgeRuleWorld(AwsWriterWorld):
    kind = "eventbridge_rule"
    service = "events"
    write_marker = b"DisableRule"

    def set_up(self) -> None:
        self.client().put_rule(Name=self.name, ScheduleExpression="rate(5 minutes)", State="ENABLED")

    def spec(self) -> dict[str, Any]:
        return {"rule": self.name, "settle_s": 0.2, "drain_s": 2}

    def state(self) -> str:
        return str(self.client().describe_rule(Name=self.name)["State"])

    def disturb(self) -> None:
        self.client().enable_rule(Name=self.name)

    def halt(self) -> None:
        self.client().disable_rule(Name=self.name)

    def begin(self) -> None:
        raise NotApplicable("EventBridge does not tell what is under way to a target")

    def end(self) -> None:
        pass

    def remove(self) -> None:
        self.client().delete_rule(Name=self.name)

    def tear_down(self) -> None:
        self.remove()


class SqsLambdaWorld(AwsWriterWorld):
    kind = "sqs_lambda"
    service = "lambda"
    write_marker = b"PUT /"
    backlog = 2
    receipt = ""

    def set_up(self) -> None:
        trust = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
        role = self.client("iam").create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(trust))
        self.client().create_function(
            FunctionName=self.name,
            Runtime="python3.12",
            Role=role["Role"]["Arn"],
            Handler="ingest.handle",
            Code={"ZipFile": package()},
        )
        self.queue = self.client("sqs").create_queue(QueueName=self.name)["QueueUrl"]
        for text in ("one", "two"):  # before there is a mapping: moto would call the function, in a container
            self.client("sqs").send_message(QueueUrl=self.queue, MessageBody=text)
        mapping = self.client().create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"
        )
        self.mapping = mapping["UUID"]

    def spec(self) -> dict[str, Any]:
        return {"mapping": self.mapping, "quiet_s": 0.2, "drain_s": 2}

    def state(self) -> str:
        return str(self.client().get_event_source_mapping(UUID=self.mapping)["State"])

    def disturb(self) -> None:
        self.client().update_event_source_mapping(UUID=self.mapping, Enabled=True)

    def halt(self) -> None:
        self.client().update_event_source_mapping(UUID=self.mapping, Enabled=False)

    def begin(self) -> None:
        got = self.client("sqs").receive_message(QueueUrl=self.queue, VisibilityTimeout=600)["Messages"][0]
        self.receipt = got["ReceiptHandle"]

    def end(self) -> None:
        self.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=self.receipt)

    def remove(self) -> None:
        self.client().delete_event_source_mapping(UUID=self.mapping)

    def tear_down(self) -> None:
        self.client("sqs").delete_queue(QueueUrl=self.queue)
        self.client().delete_function(FunctionName=self.name)


def package() -> bytes:
    """A function that nobody calls."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ingest.py", "def handle(event, context): ...")
    return buffer.getvalue()
