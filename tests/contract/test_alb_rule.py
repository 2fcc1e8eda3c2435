"""A load balancer's rule as the pointer, and the rule on which every flip is rehearsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from sandbox.servers import Server
from switchover.errors import BadInput
from switchover.steps.move import pointer_spec
from tests.contract.worlds.alb import AlbWorld
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"}}


class RuleWorld(AlbWorld):
    """A rule as the pointer, below a default action that says nothing to anybody."""

    write_marker = b"Action=ModifyRule"
    rule = ""

    def set_up(self) -> None:
        super().set_up()
        path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/docs/*"]}}
        made = self.client().create_rule(
            ListenerArn=self.listener, Priority=7, Conditions=[path], Actions=[self.action(BLUE)]
        )
        self.rule = made["Rules"][0]["RuleArn"]
        self.write(FIXED)

    def spec(self) -> dict[str, Any]:
        return {"rule_arn": self.rule, "targets": self.groups}

    def actions(self) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = self.client().describe_rules(RuleArns=[self.rule])["Rules"][0]["Actions"]
        return actions


@pytest.fixture
def world(moto_server: Server) -> Iterator[AlbWorld]:
    world = AlbWorld(moto_server)
    world.set_up()
    yield world
    world.tear_down()


@pytest.fixture
def rule(moto_server: Server) -> Iterator[RuleWorld]:
    world = RuleWorld(moto_server)
    world.set_up()
    yield world
    world.tear_down()


def rules(world: AlbWorld) -> list[dict[str, Any]]:
    """Every rule of the listener but its default one."""
    pages = world.client().get_paginator("describe_rules").paginate(ListenerArn=world.listener)
    return [rule for page in pages for rule in page["Rules"] if not rule["IsDefault"]]


class TestRule:
    def test_it_is_moved_there_and_back_and_the_listener_is_left_alone(self, rule: RuleWorld) -> None:
        pointer = rule.pointer()
        default = AlbWorld.actions(rule)
        assert pointer.read().target == BLUE
        assert pointer.apply(change(epoch=4)).changed
        assert rule.serve() == {GREEN}
        assert (rule.pointer().read().target, rule.pointer().read().epoch) == (GREEN, 4)
        with pointer.shadow(GREEN) as shadow:
            assert shadow.apply(back(epoch=4)).changed
            assert rule.serve() == {GREEN}
        assert pointer.apply(back(epoch=4)).changed
        assert rule.serve() == {BLUE}
        assert AlbWorld.actions(rule) == default
        (left,) = rules(rule)
        assert (left["RuleArn"], left["Priority"]) == (rule.rule, "7")
        assert left["Conditions"][0]["PathPatternConfig"] == {"Values": ["/docs/*"]}

    def test_an_absent_rule(self, rule: RuleWorld) -> None:
        pointer = rule.pointer()
        now = pointer.read()
        rule.client().delete_rule(RuleArn=rule.rule)
        assert pointer.read().target is None
        assert not pointer.swap(now, change())

    def test_a_listeners_default_rule(self, rule: RuleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """AWS changes it through its listener only."""
        found = rule.client().describe_rules(ListenerArn=rule.listener)["Rules"]
        given = {**rule.spec(), "rule_arn": f"{rule.rule[:-4]}0000"}
        monkeypatch.setattr(rule, "spec", lambda: given)
        pointer = rule.pointer()
        default = next(each for each in found if each["IsDefault"])
        pointer._arn = default["RuleArn"]  # type: ignore[attr-defined]
        with pytest.raises(BadInput, match="is a listener's default rule; allowed: listener_arn with that listener"):
            pointer.read()


class TestRehearsal:
    def test_no_client_can_meet_it(self, world: AlbWorld) -> None:
        with world.pointer().shadow(BLUE):
            (rule,) = rules(world)
            (condition,) = rule["Conditions"]
            (host,) = condition["HostHeaderConfig"]["Values"]
            assert condition["Field"] == "host-header"
            assert host.endswith(".rehearsal.switchover.invalid")
            assert rule["Priority"] == "50000"
        assert rules(world) == []

    def test_what_a_crash_left_is_removed_and_others_rules_are_not(self, world: AlbWorld, rule: RuleWorld) -> None:
        pointer = world.pointer()
        for number in range(60):  # more than one page of moto's, which AWS has as well
            host = {"Field": "host-header", "HostHeaderConfig": {"Values": [f"h{number}.example.test"]}}
            world.client().create_rule(
                ListenerArn=world.listener, Priority=49_999 - number, Conditions=[host], Actions=[FIXED]
            )
        crashed = pointer.shadow(BLUE)
        crashed.__enter__().apply(change())
        with pointer.shadow(BLUE) as shadow:
            assert shadow.read().target == BLUE
            priorities = {rule["Priority"] for rule in rules(world)}
            assert len(priorities) == 61 and "50000" in priorities
        assert len(rules(world)) == 60

    def test_two_pointers_of_one_listener_do_not_meet(self, rule: RuleWorld) -> None:
        rule.write(rule.action(BLUE))
        of_rule = rule.pointer()
        of_listener = pointer_spec(
            {"kind": "alb", "connection": CONNECTION, "listener_arn": rule.listener, "targets": rule.groups}
        ).build(rule._edges[-1])
        with of_rule.shadow(BLUE) as first, of_listener.shadow(BLUE) as second:
            assert first.apply(change()).changed
            assert second.read().target == BLUE
        assert len(rules(rule)) == 1


class TestRulesBefore:
    """Who is asked before the pointer and forwards to an arm keeps its requests there."""

    @staticmethod
    def add(world: AlbWorld, priority: int, condition: dict[str, Any], arm: str = BLUE) -> None:
        world.client().create_rule(
            ListenerArn=world.listener, Priority=priority, Conditions=[condition], Actions=[world.action(arm)]
        )

    PATH: ClassVar[dict[str, Any]] = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/search/*"]}}
    HEADER: ClassVar[dict[str, Any]] = {
        "Field": "http-header",
        "HttpHeaderConfig": {"HttpHeaderName": "X-Arm", "Values": ["green"]},
    }
    HOST: ClassVar[dict[str, Any]] = {"Field": "host-header", "HostHeaderConfig": {"Values": ["green.example.com"]}}

    @pytest.mark.parametrize("condition", [PATH, HEADER], ids=["path", "header"])
    def test_they_are_refused_and_shown(self, world: AlbWorld, condition: dict[str, Any]) -> None:
        self.add(world, 3, condition)
        pointer = world.pointer()
        told = rf"rule 3 of the listener \(by {condition['Field']}\) comes first and forwards to docs_v1"
        with pytest.raises(BadInput, match=f"{told}: .*; nothing was changed"):
            pointer.apply(change())
        with pointer.shadow(BLUE) as shadow, pytest.raises(BadInput, match=told):
            shadow.apply(change())
        assert re.search(told, pointer.behind(BLUE)) and not pointer.verify(BLUE)
        world.move(GREEN)
        assert pointer.apply(replace(back(), back=True)).changed
        assert pointer.read().target == BLUE and not pointer.verify(BLUE)

    def test_a_host_name_is_how_one_arm_is_asked(self, world: AlbWorld) -> None:
        self.add(world, 3, self.HOST, GREEN)
        pointer = world.pointer()
        assert pointer.verify(BLUE) and pointer.apply(change()).changed and pointer.verify(GREEN)

    def test_only_a_rule_that_is_asked_first(self, rule: RuleWorld) -> None:
        self.add(rule, 8, self.HEADER)
        assert rule.pointer().verify(BLUE)
        self.add(rule, 6, self.HEADER)
        assert "rule 6 of the listener" in rule.pointer().behind(BLUE)
