"""The rule of a listener on which a flip is rehearsed: it matches a host name that nobody has."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from switchover.edge.aws_calls import Declined, Service
from switchover.errors import BadInput

LAST_PRIORITY = 50_000
TRIES = 5

Rule = Mapping[str, Any]


@contextlib.contextmanager
def rehearsal_rule(service: Service, *, listener: str, action: Mapping[str, Any], of: str) -> Iterator[str]:
    """A rule with one action, at the last free priority; gives its ARN. Gone after the block.

    ``of``: the ARN of the pointer that is rehearsed. Its host name is its own, so a rule that a crash left
    behind is found and removed, and two pointers of one listener do not meet.
    """
    host = f"{hashlib.sha256(of.encode()).hexdigest()[:16]}.rehearsal.switchover.invalid"
    for rule in rules_of(service, listener):
        if any(host in condition.get("HostHeaderConfig", {}).get("Values", ()) for condition in rule["Conditions"]):
            _delete(service, rule["RuleArn"])
    arn = _create(service, listener, host, action)
    try:
        yield arn
    finally:
        _delete(service, arn)


def rules_of(service: Service, listener: str, *, expect: Collection[str] = ()) -> Iterator[Rule]:
    """Every rule of a listener. ``Declined`` for an answer in ``expect``."""
    more: dict[str, str] = {}
    while True:
        answer = service.call("describe_rules", ListenerArn=listener, expect=expect, **more)
        yield from answer["Rules"]
        if not answer.get("NextMarker"):
            return
        more = {"Marker": answer["NextMarker"]}


def _create(service: Service, listener: str, host: str, action: Mapping[str, Any]) -> str:
    condition = {"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}
    for _ in range(TRIES):
        taken = {rule["Priority"] for rule in rules_of(service, listener)}
        free = next(number for number in range(LAST_PRIORITY, 0, -1) if str(number) not in taken)
        try:
            answer = service.call(
                "create_rule",
                ListenerArn=listener,
                Priority=free,
                Conditions=[condition],
                Actions=[action],
                expect=("PriorityInUse", "TooManyRules"),
            )
        except Declined as declined:
            if declined.code == "TooManyRules":
                raise BadInput(
                    f"alb:{listener}: no room for a rehearsal's rule: {declined}; remove one or raise the quota"
                ) from None
            continue
        return str(answer["Rules"][0]["RuleArn"])
    raise BadInput(f"alb:{listener}: no free priority for the rehearsal's rule in {TRIES} tries; try again")


def _delete(service: Service, arn: str) -> None:
    with contextlib.suppress(Declined):
        service.call("delete_rule", RuleArn=arn, expect=("RuleNotFound",))
