"""A Deployment and a CronJob. The controllers that would start and stop their pods are played by the world."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from switchover.edge import clients
from switchover.edge.edge import Edge
from tests.contract.worlds.kubernetes import PODS, KubernetesPlace
from tests.contract.writers.base import WriterWorld

DEPLOYMENTS, CRON_JOBS, JOBS = "/apis/apps/v1 deployments", "/apis/batch/v1 cronjobs", "/apis/batch/v1 jobs"
AUTOSCALERS = "/apis/autoscaling/v2 horizontalpodautoscalers"
WRITER = "ingest"
POD = {"containers": [{"name": "ingest", "image": "ingest"}], "restartPolicy": "Always"}


class WorkloadWorld(KubernetesPlace, WriterWorld):
    """What the two share."""

    objects: str

    def remove(self) -> None:
        self.delete(self.objects, WRITER)

    @contextmanager
    def stranger(self) -> Iterator[Edge]:
        """A user without any Role."""

        def build(connection: Any) -> Any:
            client = clients.kubernetes(connection)
            client.set_default_header("Impersonate-User", "stranger")
            return client

        edge = Edge(connections=lambda _: self.connection(self.address), builders={"kubernetes": build})
        yield edge
        edge.close()


class DeploymentWorld(WorkloadWorld):
    kind = "k8s_deployment"
    objects = DEPLOYMENTS
    write_marker = b"PATCH"

    def make(self) -> None:
        labels = {"app": WRITER}
        template = {"metadata": {"labels": labels}, "spec": POD}
        self.create(DEPLOYMENTS, WRITER, {"replicas": 3, "selector": {"matchLabels": labels}, "template": template})
        for number in range(3):
            self.create(PODS, f"{WRITER}-{number}", POD, labels=labels)
        self.follow()

    def spec(self) -> dict[str, Any]:
        return {"namespace": self.name, "deployment": WRITER, "drain_s": 2}

    def state(self) -> Any:
        return self.get(DEPLOYMENTS, WRITER)["spec"]["replicas"]

    def disturb(self) -> None:
        self.merge(DEPLOYMENTS, WRITER, {"spec": {"replicas": 1}})

    def halt(self) -> None:
        self.merge(DEPLOYMENTS, WRITER, {"spec": {"replicas": 0}})
        self.follow()

    def begin(self) -> None:
        """A pod takes its time to end."""
        self.create(PODS, "busy", POD, labels={"app": WRITER})

    def end(self) -> None:
        self.delete_pod("busy")

    def follow(self) -> None:
        """As the Deployment's controller, which only ever removes pods here; the busy one ends by itself."""
        found = self.get(DEPLOYMENTS, WRITER)
        pods = sorted(pod["metadata"]["name"] for pod in self.call("GET", self.path(PODS))["items"])
        idle = [name for name in pods if name != "busy"]
        for name in idle[found["spec"]["replicas"] :]:
            self.delete_pod(name)
        status = {"observedGeneration": found["metadata"]["generation"], "replicas": found["spec"]["replicas"]}
        self.merge(DEPLOYMENTS, f"{WRITER}/status", {"status": status})


class CronJobWorld(WorkloadWorld):
    kind = "k8s_cronjob"
    objects = CRON_JOBS
    write_marker = b"PATCH"

    def make(self) -> None:
        template = {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}
        self.create(CRON_JOBS, WRITER, {"schedule": "* * * * *", "suspend": False, "jobTemplate": template})

    def spec(self) -> dict[str, Any]:
        return {"namespace": self.name, "cronjob": WRITER, "drain_s": 2}

    def state(self) -> Any:
        return self.get(CRON_JOBS, WRITER)["spec"]["suspend"]

    def disturb(self) -> None:
        self.merge(CRON_JOBS, WRITER, {"spec": {"suspend": False}})

    def halt(self) -> None:
        self.merge(CRON_JOBS, WRITER, {"spec": {"suspend": True}})

    def begin(self) -> None:
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": WRITER, "controller": True}
        owner["uid"] = self.get(CRON_JOBS, WRITER)["metadata"]["uid"]
        template = {"spec": {**POD, "restartPolicy": "Never"}}
        self.create(JOBS, "busy", {"template": template}, ownerReferences=[owner])
        self.merge(JOBS, "busy/status", {"status": {"active": 1, "startTime": "2026-01-01T00:00:00Z"}})

    def end(self) -> None:
        """Removed: what a finished Job's status must hold besides differs from version to version."""
        self.delete(JOBS, "busy")
