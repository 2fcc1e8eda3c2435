"""What only a DNS record does, its bad inputs, and where moto is not Route 53."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.servers import Server
from switchover.errors import BadInput, PointerConflict
from switchover.steps.move import pointer_spec
from tests.contract.worlds.aws import bare_client
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
from tests.contract.worlds.route53 import Route53World

GIVEN: dict[str, Any] = {
    "kind": "route53",
    "connection": CONNECTION,
    "zone_id": "Z0123456789",
    "name": "docs.example.test",
    "type": "CNAME",
    "targets": {BLUE: "v1.example.test", GREEN: "v2.example.test"},
    "accept_split_brain": "The owner accepts both arms at once for two minutes.",
}
ADDRESSES = {"A": ("192.0.2.1", "192.0.2.2"), "AAAA": ("2001:db8::1", "2001:0DB8::2")}


class SlowWorld(Route53World):
    """A zone whose changes are PENDING at the first look."""

    zone_name = "slow.example"


class AddressWorld(Route53World):
    """A record of another type than CNAME."""

    def spec(self) -> dict[str, Any]:
        blue, green = ADDRESSES[self.type]
        return {**super().spec(), "type": self.type, "targets": {BLUE: blue, GREEN: green}}

    type = "A"


@pytest.fixture
def world(moto_server: Server) -> Iterator[Route53World]:
    world = Route53World(moto_server)
    world.set_up()
    yield world
    world.tear_down()


def stands(world: Route53World, **record: Any) -> None:
    """Put a record in the place of the world's own."""
    world.remove()
    change_one(world, "CREATE", {"Name": world.record, "Type": "CNAME", **record})


def change_one(world: Route53World, action: str, record: dict[str, Any]) -> None:
    world.client().change_resource_record_sets(
        HostedZoneId=world.zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    )


def values(*values: str) -> list[dict[str, str]]:
    return [{"Value": value} for value in values]


class TestPlainMoto:
    """If one of these fails, moto has changed: look whether tests/contract/moto_corrected.py is still needed."""

    @pytest.fixture
    def zone(self, moto_server: Server) -> tuple[Any, str]:
        client = bare_client("route53", moto_server.url)
        made = client.create_hosted_zone(Name="plain.test", CallerReference="plain")
        return client, made["HostedZone"]["Id"]

    def test_it_takes_a_stale_delete_and_refuses_the_way_back(self, zone: tuple[Any, str]) -> None:
        client, id = zone

        def batch(*changes: tuple[str, str]) -> None:
            record = {"Name": "docs.plain.test", "Type": "CNAME", "TTL": 10}
            sets = [
                {"Action": action, "ResourceRecordSet": {**record, "ResourceRecords": values(value)}}
                for action, value in changes
            ]
            client.change_resource_record_sets(HostedZoneId=id, ChangeBatch={"Changes": sets})

        batch(("CREATE", "v1"))
        batch(("DELETE", "v1"), ("CREATE", "v2"))
        batch(("DELETE", "v1"), ("CREATE", "v3"))  # AWS refuses: v1 does not stand any more
        with pytest.raises(client.exceptions.InvalidChangeBatch, match="already exists"):
            batch(("DELETE", "v3"), ("CREATE", "v1"))  # AWS makes both
        assert client.get_change(Id="of-nobody")["ChangeInfo"]["Status"] == "INSYNC"


def test_one_batch_moves_record_and_fence(world: Route53World) -> None:
    world.pointer().apply(change(epoch=6))
    found = {record["Type"]: record for record in world.records()}
    assert found["CNAME"]["ResourceRecords"] == values(world.targets[GREEN])
    assert found["TXT"]["Name"] == f"_switchover.{world.record}."
    assert found["TXT"]["ResourceRecords"] == values('"switchover epoch=6 version=1"')


def test_a_fence_that_moves_between_look_and_write_stops_the_whole_batch(world: Route53World) -> None:
    sleeper = world.pointer()
    now = sleeper.read()
    world.pointer().refuse_older(7)
    assert not sleeper.swap(now, change(epoch=3))
    assert world.serve() == {BLUE}
    assert world.pointer().read().epoch == 7


def test_names_are_equal_without_case_and_final_dot(world: Route53World) -> None:
    stands(world, TTL=10, ResourceRecords=values(world.targets[BLUE].upper() + "."))
    assert world.pointer().apply(change()).changed
    assert world.serve() == {GREEN}


@pytest.mark.parametrize("type", ["A", "AAAA"])
def test_addresses_are_moved_there_and_back(moto_server: Server, type: str) -> None:
    world = AddressWorld(moto_server)
    world.type = type
    blue, green = ADDRESSES[type]
    change_one(world, "CREATE", {"Name": world.record, "Type": type, "TTL": 5, "ResourceRecords": values(blue)})
    pointer = world.pointer()
    assert pointer.apply(change()).changed
    assert world.pointer().read().target == GREEN
    found = next(record for record in world.records() if record["Type"] == type)
    assert found["ResourceRecords"] == values(green)
    assert pointer.apply(back()).changed
    assert world.pointer().read().target == BLUE


def test_a_change_that_is_still_pending_is_not_verified(moto_server: Server) -> None:
    world = SlowWorld(moto_server)
    world.set_up()
    pointer = world.pointer()
    pointer.apply(change())
    assert pointer.read().target == GREEN
    assert [pointer.verify(GREEN) for _ in range(3)] == [False, True, True]
    assert world.pointer().verify(GREEN), "another process knows the record only"
    world.tear_down()


class TestTtl:
    def test_a_record_that_was_never_moved_must_be_short(self, world: Route53World) -> None:
        world.put("UPSERT", world.targets[BLUE], ttl=300)
        pointer = world.pointer()
        assert pointer.read().target == BLUE
        for refused in (lambda: pointer.apply(change()), lambda: pointer.plan(change())):
            with pytest.raises(
                BadInput, match="found TTL 300 s; allowed: up to 30 s: lower it and wait 300 s, .*; noth"
            ):
                refused()
        with pytest.raises(BadInput, match="found TTL 300 s"), pointer.shadow(BLUE):
            pytest.fail("no rehearsal")
        assert world.serve() == {BLUE}

    def test_thirty_is_short_enough_and_becomes_the_plans(self, world: Route53World) -> None:
        world.put("UPSERT", world.targets[BLUE], ttl=30)
        world.pointer().apply(change())
        assert [record["TTL"] for record in world.live()] == [10]

    def test_one_that_was_raised_later_bars_a_rehearsal_but_not_the_way_back(self, world: Route53World) -> None:
        pointer = world.pointer()
        pointer.apply(change())
        world.put("UPSERT", world.targets[GREEN], ttl=3600)
        with pytest.raises(BadInput, match="found TTL 3600 s"), pointer.shadow(GREEN):
            pytest.fail("no rehearsal")
        assert pointer.apply(back()).changed
        assert [record["TTL"] for record in world.live()] == [10]


class TestRecordsThatCannotBeUsed:
    def test_an_alias(self, world: Route53World) -> None:
        alias = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "lb.example.test", "EvaluateTargetHealth": False}
        stands(world, AliasTarget=alias)
        with pytest.raises(BadInput, match="is an alias record, whose TTL cannot be set; allowed: a plain CNAME"):
            world.pointer().read()

    def test_a_routing_policy(self, world: Route53World) -> None:
        stands(world, TTL=10, SetIdentifier="one", Weight=100, ResourceRecords=values(world.targets[BLUE]))
        with pytest.raises(BadInput, match="has a routing policy; allowed: one plain CNAME record"):
            world.pointer().read()

    def test_two_values_are_shown(self, world: Route53World) -> None:
        stands(world, TTL=10, ResourceRecords=values("a.example.test", "b.example.test"))
        with pytest.raises(PointerConflict, match="expected 'docs_v1', found 'a.example.test and b.example.test'"):
            world.pointer().apply(change())

    def test_a_fence_that_is_not_ours(self, world: Route53World) -> None:
        text = {"Name": f"_switchover.{world.record}", "Type": "TXT", "TTL": 30, "ResourceRecords": values('"hello"')}
        change_one(world, "CREATE", text)
        with pytest.raises(BadInput, match='allowed: "switchover epoch=N version=N"'):
            world.pointer().read()

    def test_a_name_that_clashes_is_told_in_route_53s_words(self, world: Route53World) -> None:
        clash = {"Name": f"_switchover.{world.record}", "Type": "CNAME", "TTL": 30, "ResourceRecords": values("x.test")}
        change_one(world, "CREATE", clash)
        with pytest.raises(BadInput, match="Route 53 refuses the change: .*conflicting.*; nothing was changed"):
            world.pointer().apply(change())
        assert world.serve() == {BLUE}


def test_an_absent_zone_is_bad_input(world: Route53World, monkeypatch: pytest.MonkeyPatch) -> None:
    given = world.spec()
    monkeypatch.setattr(world, "spec", lambda: {**given, "zone_id": "Z00000000000"})
    with pytest.raises(BadInput, match="route53:Z00000000000: there is no such hosted zone in the connection's"):
        world.pointer().read()


def test_what_a_crashed_rehearsal_left_is_removed(world: Route53World) -> None:
    pointer = world.pointer()
    crashed = pointer.shadow(BLUE)
    crashed.__enter__().apply(change())
    with pointer.shadow(BLUE) as shadow:
        assert shadow.read().target == BLUE
    assert [record["Type"] for record in world.records()] == ["CNAME"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ttl": 31}, "ttl: found '31'; allowed: .*less than or equal to 30"),
        ({"accept_split_brain": "yes"}, "accept_split_brain: found 'yes'; allowed: .*at least 20"),
        ({"accept_split_brain": None}, "accept_split_brain: found 'None'"),
        ({"type": "MX"}, "type: found 'MX'; allowed: 'CNAME', 'A' or 'AAAA'"),
        ({"name": "*.example.test"}, r"name: found '\*\.example\.test'"),
        ({"zone_id": "/hostedzone/Z1"}, "zone_id: found '/hostedzone/Z1'"),
        ({"type": "A"}, "targets.docs_v1: found 'v1.example.test'; allowed: what a A record holds"),
        ({"targets": {BLUE: "v1.example.test", GREEN: "192.0.2.1"}}, "targets.docs_v2: found '192.0.2.1'"),
        ({"targets": {BLUE: "v1.test", GREEN: "v1.test"}}, "found 'v1.test' for docs_v1 and docs_v2"),
    ],
)
def test_a_wrong_plan_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pointer_spec({**GIVEN, **given})


def test_the_consent_cannot_be_left_out() -> None:
    without = {key: value for key, value in GIVEN.items() if key != "accept_split_brain"}
    with pytest.raises(BadInput, match="accept_split_brain: missing; this key is required"):
        pointer_spec(without)
