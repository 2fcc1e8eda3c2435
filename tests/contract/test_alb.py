"""What only a load balancer does, and its bad inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.servers import Server
from switchover.errors import BadInput, PointerConflict, TargetRefused
from switchover.pointers import Pointer
from switchover.pointers.alb import unfit
from switchover.steps.move import pointer_spec
from tests.contract.worlds.alb import AlbWorld
from tests.contract.worlds.aws import ELSEWHERE
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
LISTENER = f"{ARN}:listener/app/docs/50dc6c495c0c9188/f2f7dc8efc522ab2"
RULE = f"{ARN}:listener-rule/app/docs/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
GIVEN: dict[str, Any] = {
    "kind": "alb",
    "connection": CONNECTION,
    "listener_arn": LISTENER,
    "targets": {BLUE: f"{ARN}:targetgroup/docs-v1/73e2d6bc24d8a067", GREEN: f"{ARN}:targetgroup/docs-v2/09966783158c"},
}
REDIRECT = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"}}
OIDC = {
    "Issuer": "https://id.example.test",
    "AuthorizationEndpoint": "https://id.example.test/authorize",
    "TokenEndpoint": "https://id.example.test/token",
    "UserInfoEndpoint": "https://id.example.test/me",
    "ClientId": "docs",
    "ClientSecret": "a secret that AWS never tells",
    "Scope": "openid",
}


@pytest.fixture
def world(moto_server: Server) -> Iterator[AlbWorld]:
    world = AlbWorld(moto_server)
    world.set_up()
    yield world
    world.tear_down()


def weighted(world: AlbWorld, **weights: int) -> dict[str, Any]:
    groups = [{"TargetGroupArn": world.groups[arm], "Weight": weight} for arm, weight in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


class TestRead:
    def test_the_short_form_that_the_console_writes(self, world: AlbWorld) -> None:
        world.write({"Type": "forward", "TargetGroupArn": world.groups[BLUE]})
        pointer = world.pointer()
        assert pointer.read().target == BLUE
        assert pointer.apply(change()).changed
        assert world.serve() == {GREEN}

    def test_mixed_weights_are_shown_and_not_moved(self, world: AlbWorld) -> None:
        world.write(weighted(world, docs_v1=70, docs_v2=30))
        with pytest.raises(PointerConflict, match="expected 'docs_v1', found 'docs_v1 70, docs_v2 30'; nothing was"):
            world.pointer().apply(change())
        assert world.serve() == {BLUE, GREEN}

    def test_a_listener_that_forwards_elsewhere(self, world: AlbWorld) -> None:
        world.groups["third"] = third = world.group(f"{world.name}-x")
        world.write({"Type": "forward", "TargetGroupArn": third})
        pointer = self.pointer_without(world, "third")
        name = third.partition(":targetgroup/")[2]
        with pytest.raises(PointerConflict, match=f"expected 'docs_v1', found 'target group {name}'; nothing was"):
            pointer.apply(change())

    def test_all_weights_zero(self, world: AlbWorld) -> None:
        world.write(weighted(world, docs_v1=0, docs_v2=0))
        with pytest.raises(PointerConflict, match="found 'no target group'"):
            world.pointer().apply(change())

    @pytest.mark.parametrize(("action", "said"), [(REDIRECT, "a redirect"), (FIXED, "a fixed-response")])
    def test_what_is_no_forward(self, world: AlbWorld, action: dict[str, Any], said: str) -> None:
        world.write(action)
        with pytest.raises(PointerConflict, match=f"expected 'docs_v1', found '{said} action'; nothing was changed"):
            world.pointer().apply(change())

    def test_a_fence_that_is_no_number(self, world: AlbWorld) -> None:
        world.client().add_tags(ResourceArns=[world.listener], Tags=[{"Key": "switchover:epoch", "Value": "x"}])
        with pytest.raises(BadInput, match="tag switchover:epoch: found 'x'; allowed: a whole number"):
            world.pointer().read()

    @staticmethod
    def pointer_without(world: AlbWorld, arm: str) -> Pointer:
        group = world.groups.pop(arm)
        try:
            return world.pointer()
        finally:
            world.groups[arm] = group


class TestSwap:
    def test_all_groups_stay_in_the_action_and_no_target_is_registered_anew(self, world: AlbWorld) -> None:
        before = self.targets(world)
        world.pointer().apply(change())
        groups = world.actions()[0]["ForwardConfig"]["TargetGroups"]
        assert {group["TargetGroupArn"]: group["Weight"] for group in groups} == {
            world.groups[BLUE]: 0, world.groups[GREEN]: 100, world.groups[ELSEWHERE]: 0,
        }  # fmt: skip
        assert self.targets(world) == before

    def test_actions_before_the_forward_are_kept(self, world: AlbWorld) -> None:
        login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": OIDC}
        world.write(login, {**world.action(BLUE), "Order": 2})
        pointer = world.pointer()
        assert pointer.apply(change()).changed
        first, second = world.actions()
        assert (first["Type"], first["Order"], second["Type"], second["Order"]) == (
            "authenticate-oidc",
            1,
            "forward",
            2,
        )
        kept = {name: value for name, value in OIDC.items() if name != "ClientSecret"}
        assert first["AuthenticateOidcConfig"] == {**kept, "UseExistingClientSecret": True}
        assert pointer.apply(back()).changed
        assert world.serve() == {BLUE}

    def test_a_group_that_is_no_arms_stays_without_weight(self, world: AlbWorld) -> None:
        world.groups["third"] = third = world.group(f"{world.name}-x")
        world.write(weighted(world, docs_v1=1, docs_v2=0, third=0))
        TestRead.pointer_without(world, "third").apply(change())
        groups = world.actions()[0]["ForwardConfig"]["TargetGroups"]
        assert {"TargetGroupArn": third, "Weight": 0} in groups
        assert world.serve() == {GREEN}

    def test_stickiness_between_groups_is_switched_off_and_a_dry_run_says_so(self, world: AlbWorld) -> None:
        sticky = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 3600}}
        world.write(world.action(BLUE, **sticky))
        pointer = world.pointer()
        assert pointer.plan(change()).endswith("; would switch off the stickiness between its target groups")
        assert world.actions()[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"]
        pointer.apply(change())
        assert not world.actions()[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"]
        assert "stickiness" not in pointer.plan(back())

    def test_a_listener_that_vanishes_between_look_and_write(self, world: AlbWorld) -> None:
        pointer = world.pointer()
        now = pointer.read()
        world.remove()
        assert not pointer.swap(now, change())
        pointer.refuse_older(5)
        with pytest.raises(PointerConflict, match="does not exist; nothing was changed"):
            pointer.apply(change())

    def test_somebody_who_writes_right_after_us_is_seen(self, world: AlbWorld) -> None:
        pointer = world.pointer()
        original = pointer.swap

        def beaten(*given: Any) -> bool:
            done = original(*given)
            world.move(BLUE)
            return done

        pointer.swap = beaten  # type: ignore[method-assign]
        with pytest.raises(PointerConflict, match="moved to 'docs_v2', but reads 'docs_v1': somebody else moved it"):
            pointer.apply(change())

    def test_an_arm_without_a_group(self, world: AlbWorld) -> None:
        with pytest.raises(BadInput, match="'docs_v3' has no place; allowed: docs_v1, docs_v2, elsewhere; nothing"):
            world.pointer().apply(change(BLUE, "docs_v3"))
        assert world.serve() == {BLUE}

    @staticmethod
    def targets(world: AlbWorld) -> dict[str, Any]:
        health = world.client().describe_target_health
        return {arm: health(TargetGroupArn=group)["TargetHealthDescriptions"] for arm, group in world.groups.items()}


class TestHealth:
    def test_fewer_than_min_healthy_are_refused(self, world: AlbWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        given = world.spec()
        monkeypatch.setattr(world, "spec", lambda: {**given, "min_healthy": 3})
        with pytest.raises(TargetRefused, match="'docs_v2' has 2 healthy targets, needed: 3; found 2 healthy; nothing"):
            world.pointer().apply(change())
        assert world.serve() == {BLUE}
        monkeypatch.setattr(world, "spec", lambda: {**given, "min_healthy": 2})
        assert world.pointer().apply(change()).changed

    def test_the_way_back_is_checked_as_well(self, world: AlbWorld) -> None:
        pointer = world.pointer()
        pointer.apply(change())
        world.deregister(BLUE)
        with pytest.raises(TargetRefused, match="target group of 'docs_v1' is empty: no target is registered; nothing"):
            pointer.apply(back())
        assert world.serve() == {GREEN}

    @pytest.mark.parametrize(
        ("states", "said"),
        [
            ([], "is empty: no target is registered"),
            ([("healthy", None)], ""),
            ([("healthy", None), ("unhealthy", "Target.Timeout")], ""),
            ([("unhealthy", "Target.FailedHealthChecks")], "found 1 unhealthy (Target.FailedHealthChecks)"),
            ([("initial", "Elb.InitialHealthChecking")] * 2, "found 2 initial (Elb.InitialHealthChecking)"),
            ([("draining", "Target.DeregistrationInProgress")], "found 1 draining (Target.DeregistrationInProgress)"),
            ([("unavailable", "Target.HealthCheckDisabled")], "found 1 unavailable (Target.HealthCheckDisabled)"),
            ([("unused", "Target.InvalidState")], "found 1 unused (Target.InvalidState)"),
            (
                [("unused", "Target.NotInUse")],
                "(Target.NotInUse): add it to the forward action with weight 0, then its health is checked",
            ),
        ],
    )
    def test_states_that_aws_documents(self, states: list[tuple[str, str | None]], said: str) -> None:
        """moto knows two of them only; the others are answers in the shape that AWS documents."""
        found = [{"TargetHealth": {"State": state, **({"Reason": why} if why else {})}} for state, why in states]
        problem = unfit(found, min_healthy=1)
        assert problem.endswith(said) if said else problem == ""
        assert bool(problem) == bool(said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rule_arn": RULE}, "found both of listener_arn and rule_arn; allowed: exactly one"),
        ({"listener_arn": None}, "found neither of listener_arn and rule_arn; allowed: exactly one"),
        ({"listener_arn": RULE}, "listener_arn: found '.*listener-rule/app"),
        ({"listener_arn": LISTENER.replace("/app/", "/net/")}, "listener_arn: found '.*listener/net"),
        ({"targets": {BLUE: GIVEN["targets"][BLUE], GREEN: "docs-v2"}}, "targets.docs_v2: found 'docs-v2'"),
        ({"targets": {BLUE: GIVEN["targets"][BLUE]}}, "targets: .*at least 2"),
        (
            {"targets": {BLUE: GIVEN["targets"][BLUE], GREEN: GIVEN["targets"][BLUE]}},
            "for docs_v1 and docs_v2; allowed",
        ),
        (
            {"targets": {arm: group.replace("us-east-1", "eu-west-1") for arm, group in GIVEN["targets"].items()}},
            "targets.docs_v1: .* allowed: a target group of us-east-1:123456789012",
        ),
        ({"min_healthy": 0}, "min_healthy: found '0'"),
    ],
)
def test_a_wrong_plan_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pointer_spec({**GIVEN, **given})
