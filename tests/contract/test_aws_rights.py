"""The policies in docs/pointers are exact: every call of a pointer's life is in its page's policy, and no other.

moto enforces the actions of a policy (not its resources and conditions: those are compared here, as data). It
refuses in the words of AWS on the load balancer's API only; test_aws_answers.py has the others' words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from sandbox.servers import Server
from switchover.errors import BadInput
from switchover.pointers import Pointer
from tests.contract.worlds.alb import AlbWorld
from tests.contract.worlds.aws import (
    ACCOUNT,
    AwsWorld,
    Call,
    DynamoDbWorld,
    Guard,
    SsmWorld,
    aws_connection,
    document,
    pointer_of,
)
from tests.contract.worlds.base import BLUE, GREEN, back, change
from tests.contract.worlds.route53 import Route53World, corrected

PAGES = Path(__file__).parents[2] / "docs" / "pointers"
WORLDS = (AlbWorld, DynamoDbWorld, Route53World, SsmWorld)
# A name that each page's policy uses, and the attribute of the world that stands for it.
EXAMPLES = {
    "alb": {"app/docs/": "app/{0.name}/"},
    "kv_dynamodb": {'"docs': '"{0.name}'},
    "route53": {"docs.example.com": "{0.record}", "Z0123456789ABCDEFGHIJ": "{0.zone}"},
    "ssm": {"docs/live": "switchover/{0.name}"},
}


@pytest.fixture(params=WORLDS, ids=lambda kind: kind.kind)
def world(request: pytest.FixtureRequest, moto_server: Server) -> Iterator[AwsWorld]:
    server = corrected(moto_server)
    world = request.param(moto_server) if request.param is Route53World else request.param(server)
    world.set_up()
    yield world
    world.tear_down()


def policy(kind: str) -> dict[str, Any]:
    """The policy of a kind's page."""
    blocks = re.findall(r"```json\n(.*?)```", (PAGES / f"{kind}.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    found: dict[str, Any] = json.loads(blocks[0])
    return found


def policy_for(world: AwsWorld) -> dict[str, Any]:
    """The page's policy with this world's names in the place of the example's."""
    text = json.dumps(policy(world.kind))
    for example, ours in EXAMPLES[world.kind].items():
        assert example in text
        text = text.replace(example, ours.format(world))
    found: dict[str, Any] = json.loads(text)
    return found


def listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def actions(policy: Mapping[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in listed(statement["Action"])}


def live(pointer: Pointer) -> None:
    """Everything that a switchover does with a pointer."""
    pointer.plan(change())
    pointer.refuse_older(2)
    with pointer.shadow(BLUE) as shadow:
        shadow.apply(change(epoch=2))
        assert shadow.verify(GREEN)
    assert pointer.apply(change(epoch=3)).changed
    assert pointer.verify(GREEN)
    assert pointer.apply(back(epoch=3)).changed


def test_the_policy_of_the_page_is_exactly_what_is_called(world: AwsWorld) -> None:
    calls: list[Call] = []
    live(pointer_of(world, calls))
    assert {action for action, _ in calls} == actions(policy(world.kind))


def test_every_call_is_on_a_resource_that_the_policy_names(world: AwsWorld) -> None:
    allowed, calls = policy_for(world), []
    live(pointer_of(world, calls))
    refused = [call for call in calls if not any(allows(statement, *call) for statement in allowed["Statement"])]
    assert refused == []


def test_another_pointer_is_not_covered(world: AwsWorld) -> None:
    """The comparison above can fail: the policy for another name refuses what changes something."""
    mine, calls = policy_for(world), []
    live(pointer_of(world, calls))
    theirs = json.loads(json.dumps(mine).replace(world.name, "another"))
    refused = {call[0] for call in calls if not any(allows(statement, *call) for statement in theirs["Statement"])}
    writes = {action for action in actions(mine) if not re.search(":(Describe|List|Get)", action)}
    assert writes <= refused


def allows(statement: Mapping[str, Any], action: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a statement covers a call: action, resource, and the conditions that the pages use."""
    if action not in listed(statement["Action"]):
        return False
    if not any(fnmatchcase(resource(action, parameters), pattern) for pattern in listed(statement["Resource"])):
        return False
    conditions = statement.get("Condition", {}).get("ForAllValues:StringEquals", {})
    return all(set(keyed(key, parameters)) <= set(listed(allowed)) for key, allowed in conditions.items())


def resource(action: str, parameters: Mapping[str, Any]) -> str:
    """The ARN that AWS judges a call by."""
    service = action.partition(":")[0]
    if service == "ssm":
        name = str(parameters.get("Name") or parameters["ResourceId"]).partition(":")[0]
        return f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter{name}"
    if service == "dynamodb":
        return str(parameters["TableName"])
    if service == "route53":
        what = "change" if "Id" in parameters else "hostedzone"
        return f"arn:aws:route53:::{what}/{parameters.get('HostedZoneId') or parameters['Id'].rpartition('/')[2]}"
    if ":Describe" in action:
        return "*"
    given = parameters.get("ListenerArn") or parameters.get("RuleArn") or parameters["ResourceArns"][0]
    return str(given)


def keyed(key: str, parameters: Mapping[str, Any]) -> list[str]:
    """The values of a condition key in a call."""
    if key == "dynamodb:LeadingKeys":
        return [parameters["Key"]["key"]["S"]]
    changes = parameters["ChangeBatch"]["Changes"]
    sets = [change["ResourceRecordSet"] for change in changes]
    return {
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": [each["Name"].lower().rstrip(".") for each in sets],
        "route53:ChangeResourceRecordSetsRecordTypes": [each["Type"] for each in sets],
        "route53:ChangeResourceRecordSetsActions": [change["Action"] for change in changes],
    }[key]


@pytest.fixture
def guard(world: AwsWorld) -> Iterator[Guard]:
    guard = Guard(world.server.url)
    yield guard
    guard.off()


def test_with_the_policy_a_whole_life_is_allowed(world: AwsWorld, guard: Guard) -> None:
    pointer = pointer_of(world, [], guard.connection())
    guard.allow(actions(policy(world.kind)))
    live(pointer)


def test_a_missing_right_is_named(world: AwsWorld, guard: Guard) -> None:
    """For every action of the policy: without it one clear line says which it is."""
    pointer = pointer_of(world, [], guard.connection())
    everything = actions(policy(world.kind))
    for missing in sorted(everything):
        guard.allow(everything - {missing})
        with pytest.raises(BadInput, match=rf"lacks the right {missing};|{missing} was refused \(403\)"):
            live(pointer)
        guard.allow(everything)
        pointer.apply(back(epoch=3))
    live(pointer)


def test_a_key_that_aws_does_not_know(world: AwsWorld, guard: Guard) -> None:
    stranger = aws_connection(guard.url, login="AKIAUNKNOWNUNKNOWN00", password="secret-of-nobody")
    guard.on()
    with pytest.raises(
        BadInput, match="does not accept the connection's key: .*InvalidClientTokenId|or its key$"
    ) as raised:
        pointer_of(world, [], stranger).read()
    assert "secret-of-nobody" not in str(raised.value)


def test_a_role_is_assumed(world: AwsWorld, guard: Guard) -> None:
    """The user may only assume the role; the role has the page's policy."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    name = f"switchover-{world.name}"
    role = guard.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    guard.iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=document(actions(policy(world.kind))))
    own_sts = {"service_config": {"sts": {"endpoint_url": guard.url}}}
    pointer = pointer_of(world, [], guard.connection(role_arn=role["Arn"], **own_sts))
    guard.allow({"sts:AssumeRole"})
    live(pointer)
    guard.allow({"sts:GetCallerIdentity"})
    fresh = pointer_of(world, [], guard.connection(role_arn=role["Arn"], **own_sts))
    with pytest.raises(BadInput, match="lacks the right sts:AssumeRole"):
        fresh.read()
