"""What moto cannot say: AWS's answers to a caller without rights, with a bad key, or too often.

A server of ours gives the answers in the shape of each API; botocore and the pointers are real.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, SwitchoverError, Unreachable
from switchover.pointers import Pointer
from switchover.steps.move import pointer_spec
from tests.contract.answering import answering
from tests.contract.worlds.aws import ACCOUNT, REGION, aws_connection
from tests.contract.worlds.base import CONNECTION

ELB = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
POINTERS: dict[str, dict[str, Any]] = {
    "alb": {
        "listener_arn": f"{ELB}:listener/app/docs/50dc6c495c0c9188/f2f7dc8efc522ab2",
        "targets": {"docs_v1": f"{ELB}:targetgroup/docs-v1/1", "docs_v2": f"{ELB}:targetgroup/docs-v2/2"},
    },
    "kv_dynamodb": {"table_arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/switchover", "key": "docs"},
    "route53": {
        "zone_id": "Z0123456789",
        "name": "docs.example.test",
        "type": "CNAME",
        "targets": {"docs_v1": "v1.example.test", "docs_v2": "v2.example.test"},
        "accept_split_brain": "The owner accepts both arms at once.",
    },
    "ssm": {"parameter": "/docs/live", "account": ACCOUNT, "targets": {"docs_v1": "one", "docs_v2": "two"}},
}
FIRST_CALL = {
    "alb": "elasticloadbalancing:DescribeListeners",
    "kv_dynamodb": "dynamodb:GetItem",
    "route53": "route53:ListResourceRecordSets",
    "ssm": "ssm:GetParameter",
}


def pointer(kind: str, url: str, **extra: Any) -> Pointer:
    edge = Edge(connections=lambda _: aws_connection(url, extra=extra))
    return pointer_spec({"kind": kind, "connection": CONNECTION, **POINTERS[kind]}).build(edge)


def said(kind: str, code: str, text: str) -> str:
    """An error in the words of the API that a kind speaks."""
    if kind in ("kv_dynamodb", "ssm"):
        return json.dumps({"__type": f"com.amazonaws.service#{code}", "message": text})
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
    return f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"


def answer_of(kind: str, status: int, body: str) -> SwitchoverError:
    """What a pointer makes of an answer."""
    with answering(status, body) as port, pytest.raises(SwitchoverError) as raised:
        pointer(kind, f"http://127.0.0.1:{port}").read()
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("kind", sorted(POINTERS))
class TestAnswers:
    @pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
    def test_a_missing_right(self, kind: str, code: str) -> None:
        error = answer_of(kind, 400, said(kind, code, "User: arn:x is not authorized to perform: y"))
        assert isinstance(error, BadInput)
        assert f"the connection lacks the right {FIRST_CALL[kind]}; docs/pointers/ has the policies" in str(error)

    @pytest.mark.parametrize("code", ["UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException"])
    def test_a_key_that_is_not_valid(self, kind: str, code: str) -> None:
        error = answer_of(kind, 403, said(kind, code, "The security token is invalid."))
        assert isinstance(error, BadInput)
        assert f"AWS does not accept the connection's key: The security token is invalid ({code})" in str(error)

    @pytest.mark.parametrize("code", ["Throttling", "ThrottlingException", "PriorRequestNotComplete"])
    def test_too_many_requests(self, kind: str, code: str) -> None:
        error = answer_of(kind, 400, said(kind, code, "Rate exceeded"))
        assert isinstance(error, Unreachable)
        assert f"{FIRST_CALL[kind]} was not answered: Rate exceeded ({code})" in str(error)

    @pytest.mark.parametrize("body", ["", "<html>Bad Gateway</html>", "not even a page"])
    @pytest.mark.parametrize("status", [200, 500, 503])
    def test_a_server_that_fails(self, kind: str, status: int, body: str) -> None:
        assert isinstance(answer_of(kind, status, body), Unreachable)

    def test_a_refusal_that_is_not_the_services(self, kind: str) -> None:
        error = answer_of(kind, 403, "<html>blocked by policy</html>")
        assert isinstance(error, BadInput)
        assert f"{FIRST_CALL[kind]} was refused (403)" in str(error)

    def test_another_error_is_told(self, kind: str) -> None:
        error = answer_of(kind, 400, said(kind, "SomethingNew", "Nobody expected this."))
        assert isinstance(error, BadInput)
        assert str(error).endswith(f"{FIRST_CALL[kind]} was refused: Nobody expected this (SomethingNew)")

    def test_no_key_anywhere(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        edge = Edge(connections=lambda _: aws_connection("http://127.0.0.1:1", login="", password=""))
        with pytest.raises(BadInput, match="the connection cannot be used: Unable to locate credentials"):
            pointer_spec({"kind": kind, "connection": CONNECTION, **POINTERS[kind]}).build(edge).read()

    def test_a_profile_that_is_absent(self, kind: str) -> None:
        with pytest.raises(BadInput, match=r"connection 'store': cannot be used: .*\(nobody\) could not be found"):
            pointer(kind, "http://127.0.0.1:1", profile_name="nobody")

    def test_an_endpoint_that_is_no_url(self, kind: str) -> None:
        with pytest.raises(BadInput, match="connection 'store': cannot be used: Invalid endpoint: nonsense"):
            pointer(kind, "nonsense")

    def test_a_way_to_assume_a_role_that_is_only_airflows(self, kind: str) -> None:
        extra = {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/x", "assume_role_method": "assume_role_with_saml"}
        with pytest.raises(BadInput, match="'assume_role_with_saml'; allowed outside Airflow: assume_role"):
            pointer(kind, "http://127.0.0.1:1", **extra)


@pytest.mark.parametrize("kind", ["alb", "kv_dynamodb"])
def test_another_region_than_the_arn_is_refused_before_any_call(kind: str) -> None:
    with pytest.raises(BadInput, match="connection 'store': is for region eu-west-1, but .* is in us-east-1"):
        pointer(kind, "http://127.0.0.1:1", region_name="eu-west-1")


@pytest.mark.parametrize("kind", sorted(POINTERS))
def test_a_connection_of_another_type_is_refused(kind: str) -> None:
    edge = Edge(connections=lambda _: Connection(id=CONNECTION, conn_type="http"))
    with pytest.raises(BadInput, match="connection 'store': is of type 'http'; allowed: aws"):
        pointer_spec({"kind": kind, "connection": CONNECTION, **POINTERS[kind]}).build(edge)
