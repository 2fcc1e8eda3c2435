"""A DNS record in moto's Route 53, whose rule for a change batch is corrected (tests/contract/moto_corrected.py)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox.servers import Server
from sandbox.servers.base import answers, data_directory, lasting_port, launch
from tests.contract.worlds.aws import ELSEWHERE, AwsWorld
from tests.contract.worlds.base import BLUE, GREEN

NAME = "moto-corrected"
STARTED: dict[Path, Server] = {}


def corrected(moto: Server) -> Server:
    """The corrected emulator of the same keeper; started once."""
    if moto.keeper.state not in STARTED:
        data, port = data_directory(moto.keeper, NAME), lasting_port()
        script = Path(__file__).parents[1] / "moto_corrected.py"
        STARTED[moto.keeper.state] = launch(
            moto.keeper,
            name=NAME,
            port=port,
            argv=[sys.executable, str(script), "--port", str(port), "--data", str(data)],
            connection=moto.connection,
            describe=f"{moto.describe}, with Route 53's rule for change batches by us",
            data=data,
            ready=answers(f"http://127.0.0.1:{port}/moto-api/"),
        )
    return STARTED[moto.keeper.state]


class Route53World(AwsWorld):
    kind = "route53"
    service = "route53"
    write_marker = b"ChangeResourceRecordSetsRequest"
    zone_name = "example.test"

    def __init__(self, server: Server) -> None:
        super().__init__(corrected(server))

    @cached_property
    def zone(self) -> str:
        zones = self.client().list_hosted_zones_by_name(DNSName=self.zone_name)["HostedZones"]
        if not zones:
            made = self.client().create_hosted_zone(Name=self.zone_name, CallerReference=self.zone_name)
            zones = [made["HostedZone"]]
        return str(zones[0]["Id"]).rpartition("/")[2]

    @property
    def record(self) -> str:
        return f"{self.name}.{self.zone_name}"

    @property
    def targets(self) -> dict[str, str]:
        return {arm: f"{arm.replace('_', '-')}.{self.zone_name}" for arm in (BLUE, GREEN, ELSEWHERE)}

    def set_up(self) -> None:
        self.put("UPSERT", self.targets[BLUE])

    def put(self, action: str, value: str, *, ttl: int = 10, client: Any = None) -> Any:
        values = {"Name": self.record, "Type": "CNAME", "TTL": ttl, "ResourceRecords": [{"Value": value}]}
        return (client or self.client()).change_resource_record_sets(
            HostedZoneId=self.zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": values}]}
        )

    def records(self) -> list[dict[str, Any]]:
        """Every record of this world."""
        found = self.client().list_resource_record_sets(
            HostedZoneId=self.zone, StartRecordName=self.record, StartRecordType="A", MaxItems="10"
        )
        return [r for r in found["ResourceRecordSets"] if r["Name"].rstrip(".").endswith(self.record)]

    def live(self) -> list[dict[str, Any]]:
        return [r for r in self.records() if r["Name"].rstrip(".") == self.record and r["Type"] == "CNAME"]

    def tear_down(self) -> None:
        for record in self.records():
            self.delete(record)

    def spec(self) -> dict[str, Any]:
        return {
            "zone_id": self.zone,
            "name": self.record,
            "type": "CNAME",
            "targets": self.targets,
            "accept_split_brain": "The owner accepts both arms at once for two minutes.",
        }

    def serve(self) -> frozenset[str]:
        values = {value["Value"] for record in self.live() for value in record["ResourceRecords"]}
        return frozenset(arm for arm, place in self.targets.items() if place in values)

    def move(self, target: str) -> None:
        self.put("UPSERT", self.targets[target])

    def plant(self) -> Callable[[], object]:
        values = {"Name": f"rehearsal-switchover.{self.record}", "Type": "CNAME", "TTL": 10}
        change = {"Action": "CREATE", "ResourceRecordSet": {**values, "ResourceRecords": [{"Value": "else.example"}]}}
        self.client().change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": [change]})
        return self.records

    def remove(self) -> None:
        for record in self.live():
            self.delete(record)

    def delete(self, record: dict[str, Any]) -> None:
        self.client().change_resource_record_sets(
            HostedZoneId=self.zone, ChangeBatch={"Changes": [{"Action": "DELETE", "ResourceRecordSet": record}]}
        )
