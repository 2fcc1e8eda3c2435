"""An Application Load Balancer: a listener's default action, or one of its rules, as the pointer.

Every arm is a target group of the same ``forward`` action; the live one has all the weight. Targets are never
registered anew. There is no compare-and-set: a flip reads, writes the epoch as a tag, writes the action, and
reads back.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from switchover.edge.aws_calls import Declined, Service, distinct, epoch_in, epoch_tag, place_of, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput, TargetRefused
from switchover.pointers.alb_rehearsal import rehearsal_rule, rules_of
from switchover.pointers.base import Capabilities, Change, EpochCheck, Pointer, PointerSpec, Reading, arm_of

ARN = r"^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}:"
ALL, NONE = 100, 0
ABSENT = ("ListenerNotFound", "RuleNotFound", "LoadBalancerNotFound")

TargetGroup = Annotated[str, Field(pattern=ARN + r"targetgroup/[A-Za-z0-9-]+/[0-9a-f]+$")]
Action = Mapping[str, Any]


class AlbSpec(PointerSpec):
    """A listener or a rule of an Application Load Balancer."""

    kind: Literal["alb"]
    listener_arn: str | None = Field(
        None,
        pattern=ARN + r"listener/app/[A-Za-z0-9-]+/[0-9a-f]+/[0-9a-f]+$",
        description="The listener whose default action is the pointer; either this or `rule_arn`.",
    )
    rule_arn: str | None = Field(
        None,
        pattern=ARN + r"listener-rule/app/[A-Za-z0-9-]+/[0-9a-f]+/[0-9a-f]+/[0-9a-f]+$",
        description="The rule, not a default one, that is the pointer.",
    )
    targets: Annotated[dict[str, TargetGroup], AfterValidator(distinct)] = Field(
        min_length=2, max_length=5, description="ARN of each arm's target group."
    )
    min_healthy: int = Field(1, ge=1, description="Healthy targets that an arm needs before it may go live.")

    @model_validator(mode="after")
    def _one_knob(self) -> AlbSpec:
        if (self.listener_arn is None) == (self.rule_arn is None):
            found = "both" if self.listener_arn else "neither"
            raise ValueError(f"found {found} of listener_arn and rule_arn; allowed: exactly one")
        place = self.arn.split(":")[3:5]
        for arm, group in self.targets.items():
            if group.split(":")[3:5] != place:
                raise ValueError(f"targets.{arm}: found {group!r}; allowed: a target group of {':'.join(place)}")
        return self

    @property
    def arn(self) -> str:
        """The ARN of the one that is given."""
        return self.listener_arn or self.rule_arn or ""

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        api = service(edge, "elbv2", self.connection, where=f"alb:{self.arn}", region=self.arn.split(":")[3])
        return AlbPointer(service=api, arn=self.arn, targets=self.targets, min_healthy=self.min_healthy)


class AlbPointer(Pointer):
    """The listener or rule ``arn``; ``targets``: arm to target group ARN."""

    def __init__(self, *, service: Service, arn: str, targets: Mapping[str, str], min_healthy: int) -> None:
        self._service = service
        self._arn = arn
        self._is_rule = ":listener-rule/" in arn
        self._listener = arn.replace(":listener-rule/", ":listener/").rpartition("/")[0] if self._is_rule else arn
        self._targets = targets
        self._min_healthy = min_healthy
        self._rehearses: AlbPointer | None = None
        self.key = f"alb:{arn}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=False,
            fencing=EpochCheck.BEFORE_THE_WRITE,
            propagation="seconds, until every node of the load balancer has it; only the readers tell",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        try:
            actions = self._actions()
            tags = self._service.call("describe_tags", ResourceArns=[self._arn], expect=ABSENT)
        except Declined:
            return Reading(target=None)
        found = tags["TagDescriptions"][0]["Tags"] if tags["TagDescriptions"] else ()
        return Reading(target=self._live(actions), epoch=epoch_in(found, where=self.key), token=actions)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. The load balancer's own health checks decide; it knows no INDEX_HASH."""
        group = place_of(self._targets, target, where=self.key)
        try:
            answer = self._service.call("describe_target_health", TargetGroupArn=group, expect=("TargetGroupNotFound",))
        except Declined:
            raise TargetRefused(f"{self.key}: {target!r} has no target group {group}; nothing was changed") from None
        problem = unfit(answer["TargetHealthDescriptions"], min_healthy=self._min_healthy)
        if problem:
            raise TargetRefused(f"{self.key}: target group of {target!r} {problem}; nothing was changed")

    def strays(self) -> str:
        """See :class:`Pointer`. A rule that is asked before this one and forwards to an arm by itself.

        A rule for a host name is left out: that is how one arm is asked.
        """
        if self._rehearses is not None:
            return self._rehearses.strays()
        try:
            rules = list(rules_of(self._service, self._listener, expect=ABSENT))
        except Declined:
            return ""
        own = next((rule["Priority"] for rule in rules if rule["RuleArn"] == self._arn), "default")
        for rule in rules:
            if not _before(rule["Priority"], own) or any(each["Field"] == "host-header" for each in rule["Conditions"]):
                continue
            weights = _weights(_forward(rule["Actions"]) or {})
            arms = [arm for arm, group in self._targets.items() if weights.get(group)]
            if arms:
                by = " and ".join(sorted({each["Field"] for each in rule["Conditions"]}))
                return (
                    f"rule {rule['Priority']} of the listener (by {by}) comes first and forwards to"
                    f" {' and '.join(arms)}: its requests would not follow; let it match a host name, or remove it"
                )
        return ""

    def plan(self, change: Change) -> str:
        """See :class:`Pointer`."""
        said = super().plan(change)
        forward = _forward(self.read().token or ())
        if forward is not None and _config(forward).get("TargetGroupStickinessConfig", {}).get("Enabled"):
            said += "; would switch off the stickiness between its target groups"
        return said

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`. The epoch is written before the action: each writer has named its own."""
        place_of(self._targets, change.after, where=self.key)
        try:
            if now.epoch != change.epoch:
                self._tag(change.epoch)
            self._write([self._moved(action, change.after) for action in now.token])
        except Declined:
            return False
        return True

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        now = self.read()
        if now.target is not None and (now.epoch is None or now.epoch < epoch):
            with contextlib.suppress(Declined):
                self._tag(epoch)

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`. A rule of the same listener for a host name that nobody has."""
        place_of(self._targets, target, where=self.key)
        action = self._moved({"Type": "forward"}, target)
        with rehearsal_rule(self._service, listener=self._listener, action=action, of=self._arn) as rule:
            shadow = AlbPointer(service=self._service, arn=rule, targets=self._targets, min_healthy=self._min_healthy)
            shadow._rehearses = self
            yield shadow

    def _actions(self) -> Sequence[Action]:
        """The actions as they are; ``Declined`` when there is no such listener or rule."""
        if not self._is_rule:
            answer = self._service.call("describe_listeners", ListenerArns=[self._arn], expect=ABSENT)
            actions: Sequence[Action] = answer["Listeners"][0]["DefaultActions"]
            return actions
        rule = self._service.call("describe_rules", RuleArns=[self._arn], expect=ABSENT)["Rules"][0]
        if rule["IsDefault"]:
            raise BadInput(f"{self.key}: is a listener's default rule; allowed: listener_arn with that listener")
        actions = rule["Actions"]
        return actions

    def _write(self, actions: Sequence[Action]) -> None:
        if self._is_rule:
            self._service.call("modify_rule", RuleArn=self._arn, Actions=actions, expect=ABSENT)
        else:
            self._service.call("modify_listener", ListenerArn=self._arn, DefaultActions=actions, expect=ABSENT)

    def _tag(self, epoch: int) -> None:
        self._service.call("add_tags", ResourceArns=[self._arn], Tags=[epoch_tag(epoch)], expect=ABSENT)

    def _live(self, actions: Sequence[Action]) -> str:
        """The arm that has all the weight, or what is there instead."""
        forward = _forward(actions)
        if forward is None:
            return f"a {actions[-1]['Type']} action" if actions else "no action"
        weights = {group: weight for group, weight in _weights(forward).items() if weight > 0}
        if len(weights) == 1:
            return _name(self._targets, next(iter(weights)))
        shares = [f"{_name(self._targets, group)} {weight}" for group, weight in weights.items()]
        return ", ".join(shares) or "no target group"

    def _moved(self, action: Action, arm: str) -> Action:
        """An action as it is written back: a ``forward`` moved to ``arm``, any other as it was."""
        if action["Type"] != "forward":
            return _kept(action)
        others = [group for group in _weights(action) if group not in self._targets.values()]
        weights = {group: ALL if name == arm else NONE for name, group in self._targets.items()}
        weights |= dict.fromkeys(others, NONE)
        return {
            **{name: value for name, value in action.items() if name in ("Type", "Order")},
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": group, "Weight": weight} for group, weight in weights.items()],
                # Clients that are held to Blue by a cookie would not follow the flip.
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }


def unfit(descriptions: Sequence[Mapping[str, Any]], *, min_healthy: int) -> str:
    """What keeps a target group from going live, from an answer of DescribeTargetHealth; empty when nothing does."""
    if not descriptions:
        return "is empty: no target is registered"
    healths = [description["TargetHealth"] for description in descriptions]
    states = Counter(health["State"] for health in healths)
    if states["healthy"] >= min_healthy:
        return ""
    found = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    reasons = sorted({health["Reason"] for health in healths if health.get("Reason")})
    why = f" ({', '.join(reasons)})" if reasons else ""
    problem = f"has {states['healthy']} healthy targets, needed: {min_healthy}; found {found}{why}"
    if "Target.NotInUse" in reasons:
        # No listener forwards to it, so nobody checks its health; with weight 0 in the action somebody does.
        problem += ": add it to the forward action with weight 0, then its health is checked"
    return problem


def _before(priority: str, own: str) -> bool:
    """Whether a rule is asked before another; the default action is asked last."""
    return priority != "default" and (own == "default" or int(priority) < int(own))


def _name(targets: Mapping[str, str], group: str) -> str:
    arm = arm_of(targets, group)
    return "target group " + group.partition(":targetgroup/")[2] if arm == group else arm


def _forward(actions: Sequence[Action]) -> Action | None:
    return next((action for action in actions if action["Type"] == "forward"), None)


def _config(forward: Action) -> Mapping[str, Any]:
    config: Mapping[str, Any] = forward.get("ForwardConfig") or {}
    return config


def _weights(forward: Action) -> dict[str, int]:
    """Weight of each target group, in their order."""
    groups = _config(forward).get("TargetGroups")
    if groups:
        return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return {str(forward["TargetGroupArn"]): 1} if "TargetGroupArn" in forward else {}


def _kept(action: Action) -> Action:
    """An action that is not moved. A client secret is never told; AWS keeps the one that it has when asked to."""
    if "AuthenticateOidcConfig" not in action:
        return action
    told = {name: value for name, value in action["AuthenticateOidcConfig"].items() if name != "ClientSecret"}
    return {**action, "AuthenticateOidcConfig": {**told, "UseExistingClientSecret": True}}
