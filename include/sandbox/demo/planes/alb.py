"""``POINTER=alb``: a load balancer's listener chooses between two services, one an arm.

The API is moto's emulation of ELBv2; the proxy that follows its listener and the traffic through it are real
(``sandbox.servers.alb_data_plane``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from sandbox.demo.planes.two_services import TwoServices
from sandbox.errors import SandboxError
from sandbox.processes import ports
from sandbox.servers import Server, start_moto
from switchover.pointers.alb import AlbSpec


class AlbPlane(TwoServices):
    """A service and a target group an arm, one listener; Envoy forwards by its weights."""

    file = "docs_alb.yaml"
    connections = ("docs_aws", "docs_v1_service", "docs_v2_service")
    made = ("moto", "envoy")

    def start_servers(self) -> None:
        """See :class:`DataPlane`."""
        self._moto = self._start_server("moto (the AWS APIs, emulated)", start_moto, "docs_aws")
        self.place_services()

    def create_pointer(self, target: str) -> None:
        """See :class:`DataPlane`."""
        spec = self.plan.pointer
        assert isinstance(spec, AlbSpec)
        made = create_load_balancer(self._moto, ports_of=self._ports, live=target)
        wanted = {**spec.targets, "listener": spec.listener_arn}
        if made != wanted:
            raise SandboxError(f"{self.file}: names {wanted}, moto has made {made}; write these into the plan")

    def follower(self, out: Path) -> tuple[str, Sequence[str]]:
        """See :class:`TwoServices`."""
        spec = self.plan.pointer
        assert isinstance(spec, AlbSpec)
        arguments = ("--connection", spec.connection, "--listener", spec.arn, "--out", str(out))
        return "sandbox.servers.alb_data_plane", arguments


def create_load_balancer(moto: Server, *, ports_of: dict[str, int], live: str) -> dict[str, str]:
    """A load balancer ``docs`` whose listener on port 80 forwards to one target group an arm, all to ``live``.

    Gives each arm's target group ARN, and the ``listener``'s. moto makes the random part of an ARN from its
    seed, so they are the same in every run and a plan can name them.
    """
    api, ec2 = _client(moto, "elbv2"), _client(moto, "ec2")
    subnets = ec2.describe_subnets()["Subnets"]
    seeds = iter(range(1, 10))

    def create(what: str, **parameters: Any) -> Any:
        httpx.post(f"{moto.url}/moto-api/seed", params={"a": next(seeds)}, trust_env=False).raise_for_status()
        return getattr(api, f"create_{what}")(**parameters)

    arns: dict[str, str] = {}
    for arm, port in ports_of.items():
        group = create(
            "target_group",
            Name=arm.replace("_", "-"),
            Protocol="HTTP",
            Port=port,
            TargetType="ip",
            VpcId=subnets[0]["VpcId"],
            HealthCheckPath="/healthz/ready",
        )
        arns[arm] = group["TargetGroups"][0]["TargetGroupArn"]
        api.register_targets(TargetGroupArn=arns[arm], Targets=[{"Id": ports.HOST, "Port": port}])
    weights = [{"TargetGroupArn": arn, "Weight": 100 if arm == live else 0} for arm, arn in arns.items()]
    balancer = create("load_balancer", Name="docs", Subnets=[each["SubnetId"] for each in subnets[:2]])
    listener = create(
        "listener",
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}],
    )
    return {**arns, "listener": listener["Listeners"][0]["ListenerArn"]}


def _client(moto: Server, service: str) -> Any:
    """A client with boto3's own time-outs: the emulator's first answers take seconds."""
    import boto3
    from botocore.config import Config

    found = moto.connection
    return boto3.client(
        service,
        **found["extra"],
        aws_access_key_id=found["login"],
        aws_secret_access_key=found["password"],
        config=Config(proxies={}),
    )
