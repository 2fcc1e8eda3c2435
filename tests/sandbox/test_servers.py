"""Each server starts, serves its field's own client, keeps its data over a restart and leaves no process."""

from __future__ import annotations

import json
import re
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import chromadb
import httpx
import psutil
import pytest
from botocore.config import Config
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from opensearchpy import OpenSearch
from pymilvus import MilvusClient
from tests.servers import here, short_lived_keeper

from sandbox import servers
from sandbox.processes import leftovers, ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers import NotHere, Server, envoy
from sandbox.servers.base import lasting_port
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.edge.search_api import SearchApi, search_api

VALUE = uuid.uuid4().hex
NAME = f"docs-{VALUE[:8]}"  # other tests use these servers too
INDEX = f"docs_{VALUE[:8]}_v1"


class Case(NamedTuple):
    """One server: how its client writes, how it reads that again, and what must be read."""

    write: Callable[[Server], None]
    read: Callable[[Server], Any]
    expected: Any


def aws(server: Server, service: str) -> Any:
    extra = server.connection["extra"]
    return boto3.client(
        service,
        endpoint_url=extra["endpoint_url"],
        region_name=extra["region_name"],
        aws_access_key_id=server.connection["login"],
        aws_secret_access_key=server.connection["password"],
        config=Config(proxies={}, retries={"max_attempts": 1}),
    )


def write_aws(server: Server) -> None:
    ec2, elb = aws(server, "ec2"), aws(server, "elbv2")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]][:2]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    balancer = elb.create_load_balancer(Name=NAME, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name=f"blue-{NAME}", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]
    forward = {"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[forward])
    aws(server, "ssm").put_parameter(Name=NAME, Value=VALUE, Type="String")
    aws(server, "route53").create_hosted_zone(Name=f"{NAME}.example", CallerReference=VALUE)
    table = aws(server, "dynamodb")
    table.create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName=NAME, Item={"name": {"S": NAME}, "target": {"S": VALUE}})


def read_aws(server: Server) -> list[str]:
    elb = aws(server, "elbv2")
    balancer = elb.describe_load_balancers(Names=[NAME])["LoadBalancers"][0]["LoadBalancerArn"]
    listener = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]
    group = listener["DefaultActions"][0]["TargetGroupArn"]
    assert elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"] == []
    item = aws(server, "dynamodb").get_item(TableName=NAME, Key={"name": {"S": NAME}})["Item"]
    return [
        elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["TargetGroupName"],
        aws(server, "ssm").get_parameter(Name=NAME)["Parameter"]["Value"],
        aws(server, "route53").list_hosted_zones_by_name(DNSName=f"{NAME}.example")["HostedZones"][0]["Name"],
        item["target"]["S"],
    ]


def etcd_call(server: Server, verb: str, **body: str) -> Any:
    encoded = {name: b64encode(text.encode()).decode() for name, text in body.items()}
    response = httpx.post(f"{server.url}/v3/kv/{verb}", json=encoded, trust_env=False)
    return response.raise_for_status().json()


def write_etcd(server: Server) -> None:
    etcd_call(server, "put", key=NAME, value=VALUE)


def read_etcd(server: Server) -> str:
    return b64decode(etcd_call(server, "range", key=NAME)["kvs"][0]["value"]).decode()


def write_milvus(server: Server) -> None:
    client = MilvusClient(server.url)
    client.create_collection(INDEX, dimension=4, auto_id=False)
    client.insert(INDEX, [{"id": 7, "vector": [1.0, 0.0, 0.0, 0.0], "text": VALUE}])
    client.create_alias(INDEX, f"{INDEX}_live")
    client.close()


def read_milvus(server: Server) -> list[str]:
    client = MilvusClient(server.url)
    client.load_collection(INDEX)
    rows = client.query(f"{INDEX}_live", ids=[7], output_fields=["text"])
    found = [client.describe_alias(f"{INDEX}_live")["collection_name"], rows[0]["text"]]
    client.close()
    return found


def write_chroma(server: Server) -> None:
    collection = chromadb.HttpClient(host=server.host, port=server.port).create_collection(INDEX)
    collection.add(ids=["7"], embeddings=[[1.0, 0.0]], documents=[VALUE])


def read_chroma(server: Server) -> list[str]:
    collection = chromadb.HttpClient(host=server.host, port=server.port).get_collection(INDEX)
    return collection.get(ids=["7"])["documents"] or []


def write_envoy(server: Server) -> None:
    taken = envoy.accepted(server)[0]
    routes = envoy.routes(envoy.always(200, VALUE))
    envoy.publish(server.data / envoy.ROUTES, envoy.ROUTES_TYPE, [routes])
    deadline = time.monotonic() + 10
    while envoy.accepted(server)[0] == taken and time.monotonic() < deadline:
        time.sleep(0.02)


def read_envoy(server: Server) -> str:
    return httpx.get(server.url, trust_env=False).text


def opensearch(server: Server) -> OpenSearch:
    return OpenSearch(hosts=[{"host": server.host, "port": server.port}], use_ssl=False, max_retries=0, trust_env=False)


def write_opensearch(server: Server) -> None:
    client = opensearch(server)
    client.indices.create(index=INDEX)
    client.index(index=INDEX, id="7", body={"text": VALUE}, refresh=True)
    client.indices.update_aliases(body={"actions": [{"add": {"index": INDEX, "alias": NAME}}]})


def read_opensearch(server: Server) -> list[str]:
    client = opensearch(server)
    hits = client.search(index=NAME, body={"query": {"match": {"text": VALUE}}})["hits"]["hits"]
    return [*client.indices.get_alias(name=NAME), *(hit["_source"]["text"] for hit in hits)]


def elasticsearch(server: Server) -> SearchApi:
    told = server.connection
    login = {"login": told["login"], "password": told["password"]}
    connection = Connection(id="search", conn_type="elasticsearch", host=server.host, port=server.port, **login)
    return search_api(Edge(connections=lambda _: connection), kind="elasticsearch", connection="search")


def write_elasticsearch(server: Server) -> None:
    api = elasticsearch(server)
    api.change("PUT", f"/{INDEX}", {})
    api.call("PUT", f"/{INDEX}/_doc/7?refresh=true", {"text": VALUE})
    api.change("POST", "/_aliases", {"actions": [{"add": {"index": INDEX, "alias": f"{INDEX}_live"}}]})


def read_elasticsearch(server: Server) -> list[str]:
    api = elasticsearch(server)
    hits = api.call("GET", f"/{INDEX}_live/_search?q=text:{VALUE}").body["hits"]["hits"]
    return [*api.call("GET", f"/_alias/{INDEX}_live").body, *(hit["_source"]["text"] for hit in hits)]


def kafka(server: Server) -> dict[str, Any]:
    return {**server.connection["extra"], "group.id": NAME, "enable.auto.commit": False, "log_level": 0}


def write_kafka(server: Server) -> None:
    admin = AdminClient(server.connection["extra"])
    admin.create_topics([NewTopic(NAME, 1, 1)])[NAME].result(30)
    producer = Producer(server.connection["extra"])
    for text in ("first", VALUE):
        producer.produce(NAME, text)
    assert producer.flush(30) == 0
    consumer = Consumer(kafka(server))
    consumer.commit(offsets=[TopicPartition(NAME, 0, 1)], asynchronous=False)
    consumer.close()


def read_kafka(server: Server) -> list[Any]:
    """The group's committed offset and the message that it points at."""
    consumer = Consumer(kafka(server))
    committed = answered(lambda: consumer.committed([TopicPartition(NAME, 0)], timeout=30))
    consumer.assign(committed)
    message = consumer.poll(30)
    consumer.close()
    assert message is not None and message.error() is None
    return [committed[0].offset, (message.value() or b"").decode()]


def answered(ask: Callable[[], list[TopicPartition]]) -> list[TopicPartition]:
    """The answer of a broker that may have to read its groups first, as after a start."""
    for _ in range(60):
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
                raise
        time.sleep(0.5)
    return ask()


def family_of(server: Server) -> list[psutil.Process]:
    """The server's process and its descendants."""
    process = psutil.Process(server.pid)
    return [process, *process.children(recursive=True)]


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses on which these processes take connections."""
    found = [each for process in processes for each in process.net_connections("inet")]
    return {each.laddr.ip.removeprefix("::ffff:") for each in found if each.status == psutil.CONN_LISTEN}


CASES = {
    "chroma": Case(write_chroma, read_chroma, [VALUE]),
    "elasticsearch": Case(write_elasticsearch, read_elasticsearch, [INDEX, VALUE]),
    "envoy": Case(write_envoy, read_envoy, VALUE),
    "etcd": Case(write_etcd, read_etcd, VALUE),
    "kafka": Case(write_kafka, read_kafka, [1, VALUE]),
    "milvus": Case(write_milvus, read_milvus, [INDEX, VALUE]),
    "moto_server": Case(write_aws, read_aws, [f"blue-{NAME}", VALUE, f"{NAME}.example.", VALUE]),
    "opensearch": Case(write_opensearch, read_opensearch, [INDEX, VALUE]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_server_serves_its_client_and_stops_and_starts_with_its_data(
    name: str, request: pytest.FixtureRequest
) -> None:
    server, case = request.getfixturevalue(name), CASES[name]
    case.write(server)
    assert case.read(server) == case.expected
    pid, family = server.pid, family_of(server)
    assert listening(family) == {ports.HOST}

    server.stop()
    assert not any(leftovers.alive(each) for each in family)
    assert ports.is_free(server.port)

    server.start()
    assert server.pid != pid
    assert case.read(server) == case.expected, "the restart lost data"


def test_what_describes_a_server_says_what_it_is(etcd: Server, moto_server: Server) -> None:
    assert re.fullmatch(r"etcd \d+\.\d+\.\d+, real server", etcd.describe)
    assert moto_server.describe == f"moto {version('moto')}, emulator of the AWS APIs"
    assert json.loads(etcd.airflow_connection())["port"] == etcd.port


def test_envoy_keeps_its_routes_when_the_new_ones_cannot_be_used() -> None:
    with short_lived_keeper() as keeper:
        server = here(servers.start_envoy, keeper)
        assert read_envoy(server) == "no routes are published"
        write_envoy(server)
        unknown = {"match": {"prefix": "/"}, "route": {"cluster": "nosuch"}}
        wrong = {**envoy.routes(unknown), "validate_clusters": True}
        envoy.publish(server.data / envoy.ROUTES, envoy.ROUTES_TYPE, [wrong])
        deadline = time.monotonic() + 10
        while not envoy.accepted(server)[1]:
            assert time.monotonic() < deadline, "was not refused"
            time.sleep(0.02)
        assert read_envoy(server) == VALUE


def not_here(keeper: KeeperClient) -> Server:
    raise NotHere("nosuch: no such program here; run `make servers`")


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["machine", "CI"]
)
def test_a_missing_server_is_a_skip_with_its_reason_and_in_ci_a_failure(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="run `make servers`"):
        here(not_here, None)  # type: ignore[arg-type]


def test_a_server_gets_a_port_that_no_outgoing_connection_takes() -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert all(lasting_port() < first for _ in range(50))
