"""A listener of a load balancer in moto. There is no data plane here: a request is what the listener says."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from tests.contract.worlds.aws import ELSEWHERE, AwsWorld
from tests.contract.worlds.base import BLUE, GREEN


class AlbWorld(AwsWorld):
    kind = "alb"
    service = "elbv2"
    write_marker = b"Action=ModifyListener"

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.groups: dict[str, str] = {}
        self.balancer = self.listener = ""

    @cached_property
    def subnets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client("ec2").describe_subnets()["Subnets"]
        return found[:2]

    def set_up(self) -> None:
        elb = self.client()
        made = elb.create_load_balancer(Name=self.name, Subnets=[subnet["SubnetId"] for subnet in self.subnets])
        self.balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
        for number, arm in enumerate((BLUE, GREEN, ELSEWHERE)):
            self.groups[arm] = self.group(f"{self.name}-{number}")
        self.listener = elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=80, DefaultActions=[self.action(BLUE)]
        )["Listeners"][0]["ListenerArn"]

    def group(self, name: str) -> str:
        elb = self.client()
        made = elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=self.subnets[0]["VpcId"], TargetType="ip"
        )
        arn = str(made["TargetGroups"][0]["TargetGroupArn"])
        elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}, {"Id": "10.0.0.2"}])
        return arn

    def action(self, target: str, **config: Any) -> dict[str, Any]:
        """A forward action in the form that a person would write: the two arms, and all to one."""
        groups = [
            {"TargetGroupArn": self.groups[arm], "Weight": 100 if arm == target else 0}
            for arm in sorted({BLUE, GREEN, target})
        ]
        return {"Type": "forward", "Order": 1, "ForwardConfig": {"TargetGroups": groups, **config}}

    def actions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client().describe_listeners(ListenerArns=[self.listener])["Listeners"]
        actions: list[dict[str, Any]] = found[0]["DefaultActions"]
        return actions

    def write(self, *actions: dict[str, Any]) -> None:
        self.client().modify_listener(ListenerArn=self.listener, DefaultActions=list(actions))

    def tear_down(self) -> None:
        self.remove()
        self.client().delete_load_balancer(LoadBalancerArn=self.balancer)
        found = self.client().describe_target_groups()["TargetGroups"]
        for group in {group["TargetGroupArn"] for group in found} & set(self.groups.values()):
            self.client().delete_target_group(TargetGroupArn=group)

    def spec(self) -> dict[str, Any]:
        return {"listener_arn": self.listener, "targets": self.groups}

    def serve(self) -> frozenset[str]:
        groups = self.actions()[-1]["ForwardConfig"]["TargetGroups"]
        live = {group["TargetGroupArn"] for group in groups if group["Weight"] > 0}
        return frozenset(arm for arm, group in self.groups.items() if group in live)

    def move(self, target: str) -> None:
        self.write(self.action(target))

    def remove(self) -> None:
        for listener in self.client().describe_listeners(LoadBalancerArn=self.balancer)["Listeners"]:
            self.client().delete_listener(ListenerArn=listener["ListenerArn"])

    def spoil(self, target: str, how: str) -> None:
        {"missing": self.delete_group, "empty": self.deregister, "unhealthy": self.stop_targets}[how](target)

    def delete_group(self, target: str) -> None:
        """Possible only while no listener names it, here as on AWS."""
        only = {"TargetGroups": [{"TargetGroupArn": self.groups[BLUE], "Weight": 1}]}
        self.write({"Type": "forward", "ForwardConfig": only})
        self.client().delete_target_group(TargetGroupArn=self.groups[target])

    def deregister(self, target: str) -> None:
        self.client().deregister_targets(
            TargetGroupArn=self.groups[target], Targets=[{"Id": "10.0.0.1"}, {"Id": "10.0.0.2"}]
        )

    def stop_targets(self, target: str) -> None:
        """A stopped instance is the one unhealthy target that moto knows; it calls it ``unused``, as AWS does."""
        ec2 = self.client("ec2")
        image = ec2.describe_images()["Images"][0]["ImageId"]
        ids = [each["InstanceId"] for each in ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]]
        self.deregister(target)
        self.client().register_targets(TargetGroupArn=self.groups[target], Targets=[{"Id": id} for id in ids])
        ec2.stop_instances(InstanceIds=ids)
