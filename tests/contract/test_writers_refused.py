"""Writers that would start again by themselves, or whose drain nothing can prove, are refused before any change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.servers import Server
from switchover.edge.kubernetes import Cluster, Object
from switchover.errors import BadInput, WriterChanged
from switchover.writers.ecs_service import running
from tests.contract.writers.aws import EcsServiceWorld, EventBridgeRuleWorld, SqsLambdaWorld
from tests.contract.writers.kubernetes import AUTOSCALERS, DEPLOYMENTS, WRITER, DeploymentWorld


@pytest.fixture
def deployment(kubernetes_api: Any) -> Iterator[DeploymentWorld]:
    world = DeploymentWorld(kubernetes_api)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def autoscale(world: DeploymentWorld, minimum: int = 1, **metadata: Any) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": WRITER}
    world.create(AUTOSCALERS, "hpa", {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": 5}, **metadata)


def test_an_autoscaler_is_remembered_and_left_alone(deployment: DeploymentWorld) -> None:
    autoscale(deployment)
    writer = deployment.writer()
    found = writer.find()
    assert found == {"replicas": 3, "autoscaler": "hpa"}
    writer.freeze(epoch=1)
    writer.resume(found, epoch=1)
    assert deployment.state() == 3
    assert deployment.get(AUTOSCALERS, "hpa")["spec"]["minReplicas"] == 1


def test_an_autoscaler_that_scales_from_zero_is_refused(deployment: DeploymentWorld) -> None:
    autoscale(deployment, minimum=0)
    with pytest.raises(BadInput, match="'hpa' may scale Deployment 'ingest' up from zero; allowed: minReplicas 1"):
        deployment.writer().find()


def test_keda_is_refused(deployment: DeploymentWorld) -> None:
    autoscale(deployment, labels={"scaledobject.keda.sh/name": "ingest"})
    with pytest.raises(BadInput, match="KEDA scales Deployment 'ingest' and would start it again"):
        deployment.writer().find()


def test_a_controller_that_has_not_seen_the_zero_is_waited_for(deployment: DeploymentWorld) -> None:
    writer = deployment.writer()
    writer.freeze(epoch=1)
    for number in range(3):
        deployment.delete_pod(f"{WRITER}-{number}")
    drain = writer.drained()
    assert (drain.done, "has not seen it yet, 0 pods left" in drain.proof) == (False, True)
    deployment.follow()
    assert writer.drained().done


def test_an_object_that_changes_all_the_time_is_said(
    deployment: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Cluster.patch

    def beaten(self: Cluster, resource: Any, found: Object, writes: Any) -> bool:
        label = {"n": found["metadata"]["resourceVersion"]}
        deployment.merge(DEPLOYMENTS, WRITER, {"metadata": {"labels": label}})
        return original(self, resource, found, writes)

    monkeypatch.setattr(Cluster, "patch", beaten)
    with pytest.raises(WriterChanged, match=r"something else writes to Deployment 'ingest' all the time \(5 tries\)"):
        deployment.writer().freeze(epoch=1)
    assert deployment.state() == 3


def test_a_daemon_service_is_refused(moto_server: Server) -> None:
    world = EcsServiceWorld(moto_server)
    world.set_up()
    world.client().create_service(
        cluster=world.name, serviceName="daemon", taskDefinition=world.name, schedulingStrategy="DAEMON"
    )
    spec = world.plan().model_copy(update={"service": "daemon"})
    with pytest.raises(BadInput, match="ECS service 'daemon' is a DAEMON, which has no desired count"):
        spec.build(world.edge()).find()
    world.client().delete_service(cluster=world.name, service="daemon", force=True)
    world.tear_down()
    world.close()


def test_a_stream_is_refused(moto_server: Server) -> None:
    world = SqsLambdaWorld(moto_server)
    world.set_up()
    world.client("kinesis").create_stream(StreamName=world.name, ShardCount=1)
    mapping = world.client().create_event_source_mapping(
        FunctionName=world.name,
        EventSourceArn=f"arn:aws:kinesis:us-east-1:123456789012:stream/{world.name}",
        StartingPosition="LATEST",
    )
    spec = world.plan().model_copy(update={"mapping": mapping["UUID"]})
    with pytest.raises(BadInput, match=r"reads arn:aws:kinesis.*; allowed: an SQS queue"):
        spec.build(world.edge()).find()
    world.tear_down()
    world.close()


def test_a_rule_that_enable_rule_cannot_restore_is_refused(moto_server: Server) -> None:
    world = EventBridgeRuleWorld(moto_server)
    state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    world.client().put_rule(Name=world.name, EventPattern='{"source": ["aws.s3"]}', State=state)
    with pytest.raises(BadInput, match=f"is {state}, which EnableRule cannot restore"):
        world.writer().find()
    world.tear_down()
    world.close()


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ({"tasks": [{"taskArn": "a", "lastStatus": "STOPPED"}, {"taskArn": "b", "lastStatus": "RUNNING"}]}, ["b"]),
        ({"tasks": [{"taskArn": "a", "lastStatus": "STOPPED"}]}, ["b"]),
        ({"tasks": [], "failures": [{"arn": "a", "reason": "MISSING"}, {"arn": "b", "reason": "MISSING"}]}, []),
        ({"tasks": [], "failures": [{"arn": "a", "reason": "MISSING"}, {"arn": "b", "reason": "INTERNAL"}]}, ["b"]),
        ({"tasks": []}, ["a", "b"]),
    ],
    ids=["told of", "not told of", "forgotten", "could not be told", "nothing told"],
)
def test_a_task_that_ecs_does_not_tell_of_may_run(told: dict[str, Any], left: list[str]) -> None:
    assert running(["a", "b"], told) == left
