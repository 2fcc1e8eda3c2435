"""What each client and each answer of a search cluster becomes: one line, of the right kind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.servers import Server
from sandbox.servers.elasticsearch import hashed
from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.edge.search_api import SearchApi, search_api
from switchover.errors import BadInput, SwitchoverError, Unreachable
from tests.contract.answering import answering
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
from tests.contract.worlds.opensearch import SEARCH_WORLDS, ElasticsearchWorld

KINDS = sorted(SEARCH_WORLDS)
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}

#: The role of docs/pointers/opensearch.md. Elasticsearch takes each for itself and all that begin with it.
ROLE_ACTIONS = [
    "indices:admin/aliases",
    "indices:admin/get",
    "indices:data/read/search",
    "indices:admin/block/add",
    "indices:admin/settings/update",
    "indices:monitor/settings/get",
]


def api_at(kind: str, port: int) -> SearchApi:
    connection = Connection(id=CONNECTION, conn_type=kind, host="127.0.0.1", port=port)
    return search_api(Edge(connections=lambda _: connection), kind=kind, connection=CONNECTION)


def failure(type_: str, reason: str) -> dict[str, Any]:
    return {"error": {"type": type_, "reason": reason}}


ANSWERS = [
    (401, failure("security_exception", "unable to authenticate"), BadInput, "this login lacks the right"),
    (403, failure("security_exception", "no permissions for [indices:admin/aliases]"), BadInput, "admin/aliases"),
    (403, failure("cluster_block_exception", "index [a] blocked"), BadInput, r"blocked.*changed nothing"),
    (429, failure("cluster_block_exception", "flood-stage"), BadInput, r"flood-stage.*changed nothing"),
    (429, failure("rejected_execution_exception", "queue is full"), Unreachable, "answered 429: .*queue is full"),
    (
        400,
        failure("parse_exception", "unknown field [must_exist]"),
        BadInput,
        r"must_exist\].*changed nothing",
    ),
    (500, failure("exception", "broken"), Unreachable, "answered 500"),
    (502, "<html>\nno backend</html>", Unreachable, "answered 502"),
    (503, failure("master_not_discovered_exception", "none"), Unreachable, "answered 503"),
    (404, "<html>\nnothing here</html>", BadInput, "answered 404"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("status", "body", "error", "said"), ANSWERS)
def test_every_answer_is_one_line_of_its_kind(
    kind: str, status: int, body: Any, error: type[SwitchoverError], said: str
) -> None:
    content = {"Content-Type": "text/html"} if isinstance(body, str) else {}
    with answering(status, body, {**PRODUCT, **content}) as port, pytest.raises(error, match=said) as caught:
        api_at(kind, port).call("GET", "/_alias/docs")
    assert "\n" not in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_that_not_every_node_acknowledged_is_no_answer(kind: str) -> None:
    """It was taken: only a look tells where the alias is."""
    said = "taken, but not acknowledged by every node within 4s"
    with answering(200, {"acknowledged": False}, PRODUCT) as port, pytest.raises(Unreachable, match=said):
        api_at(kind, port).change("POST", "/_aliases", {"actions": []})


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_not_json_is_no_answer(kind: str) -> None:
    with answering(200, "{half", PRODUCT) as port, pytest.raises(Unreachable, match="its answer is not JSON"):
        api_at(kind, port).call("GET", "/_alias/docs")


@pytest.mark.parametrize(("told", "verified"), [({}, True), ({"verify_certs": "False"}, False)])
def test_certificates_are_verified_unless_told_otherwise(told: dict[str, Any], verified: bool) -> None:
    connection = Connection(id=CONNECTION, conn_type="any", host="https://search.test", port=9200, extra=told)
    (os_node,) = clients.opensearch(connection).transport.seed_connections
    (es_node,) = clients.elasticsearch(connection).transport.node_pool.all()
    assert (os_node.pool.cert_reqs == "CERT_REQUIRED") == verified
    assert es_node.config.verify_certs == verified


def test_another_product_is_said() -> None:
    said = "the server is not Elasticsearch; allowed: kind opensearch"
    with answering(200, {}) as port, pytest.raises(BadInput, match=said):
        api_at("elasticsearch", port).call("GET", "/_alias/docs")


LOGIN, PASSWORD = "switchover", "of-this-test-only"
NAMES = ["rights.docs_v1", "rights.docs_v2", "rights", "rights--*"]


def role(*actions: str) -> dict[str, Any]:
    return {"cluster": [], "indices": [{"names": NAMES, "privileges": list(actions)}]}


def login_without(action: str) -> str:
    return f"{LOGIN}-{ROLE_ACTIONS.index(action)}"


@pytest.fixture(scope="module")
def logins(elasticsearch: Server) -> None:
    """A login with the documented role, and for each of its actions one that lacks it."""
    roles = {LOGIN: role(*ROLE_ACTIONS)}
    for action in ROLE_ACTIONS:
        roles[login_without(action)] = role(*(each for each in ROLE_ACTIONS if each != action))
    config = elasticsearch.data / "config"
    add_lines(config / "roles.yml", [f"{name}: {json.dumps(each)}" for name, each in roles.items()])
    add_lines(config / "users", [f"{name}:{hashed(PASSWORD)}" for name in roles])
    add_lines(config / "users_roles", [f"{name}:{name}" for name in roles])
    deadline = time.monotonic() + 30
    url = f"{elasticsearch.url}/_alias/rights"
    while httpx.get(url, auth=(LOGIN, PASSWORD), trust_env=False).status_code in (401, 403):
        assert time.monotonic() < deadline, "Elasticsearch did not read its files again"
        time.sleep(0.2)


def add_lines(path: Path, lines: list[str]) -> None:
    path.write_text(path.read_text() + "\n".join(lines) + "\n")


@pytest.fixture
def es(elasticsearch: Server) -> Iterator[ElasticsearchWorld]:
    world = ElasticsearchWorld(elasticsearch)
    world.name = "rights"
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def test_the_documented_role_is_enough(es: ElasticsearchWorld, logins: None) -> None:
    """Every verb, the fence, the rehearsal and the freeze, with nothing else allowed."""
    pointer = es.pointer(freeze_writes=True, login=(LOGIN, PASSWORD))
    assert pointer.read().target == BLUE
    pointer.refuse_older(1)
    with pointer.shadow(BLUE) as shadow:
        assert shadow.apply(change()).changed
    assert pointer.apply(change()).changed
    assert pointer.verify(GREEN)
    assert pointer.apply(back()).changed
    assert es.serve() == {BLUE}


@pytest.mark.parametrize("missing", ROLE_ACTIONS)
def test_no_action_of_the_role_can_be_left_out(es: ElasticsearchWorld, logins: None, missing: str) -> None:
    pointer = es.pointer(freeze_writes=True, login=(login_without(missing), PASSWORD))
    with pytest.raises(BadInput, match="this login lacks the right, docs/pointers/opensearch.md has the role"):
        pointer.apply(change())
    assert es.serve() == {BLUE}


def test_the_role_reaches_no_other_index(es: ElasticsearchWorld, logins: None) -> None:
    pointer = es.pointer(login=(LOGIN, PASSWORD))
    with pytest.raises(BadInput, match="this login lacks the right"):
        pointer.check_target("elsewhere")


def test_a_wrong_password_is_said_without_it(es: ElasticsearchWorld) -> None:
    with pytest.raises(BadInput, match="answered 401: security_exception") as caught:
        es.pointer(login=(LOGIN, "not-the-password")).read()
    assert "not-the-password" not in str(caught.value)
