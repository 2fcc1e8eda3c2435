"""A connection reads the same here as in Airflow, in both text forms that Airflow writes and reads."""

from __future__ import annotations

import json

import pytest
from airflow.models.connection import Connection as AirflowConnection

from switchover.edge.connection import parse_connection
from switchover_airflow.connections import _plain

WRITTEN = [
    {"conn_type": "kafka", "extra": {"bootstrap.servers": "b:9092", "enable.ssl.certificate.verification": False}},
    {"conn_type": "elasticsearch", "host": "es", "port": 9200, "extra": {"api_key": "k/+=", "verify_certs": False}},
    {
        "conn_type": "aws",
        "extra": {"role_arn": "arn:x", "service_config": {"sts": {"endpoint_url": "h"}}},
    },
    {"conn_type": "postgres", "host": "db1,db2", "login": "u", "password": "p@/:?#%", "extra": {"sslmode": "require"}},
    {"conn_type": "postgres", "host": "/run/PG", "login": "u", "schema": "ledger", "extra": {}},
    {
        "conn_type": "http",
        "host": "https://api.example",
        "login": "u",
        "password": "p",
        "extra": {"headers": {"X-A": "b"}},
    },
    {
        "conn_type": "http",
        "host": "h",
        "schema": "https",
        "port": 8080,
        "extra": {"verify": "/ca", "cert": ["a", "b"]},
    },
    {"conn_type": "google_cloud_platform", "extra": {"key": "v"}},
]
READ = [
    "postgresql://u:p%40@db:5432/x?sslmode=verify-full&sslrootcert=%2Fca.pem&connect_timeout=3",
    "http://https://u:p@host:8443/?verify=false",
    "http://u:p@host:8080/http",
    "kafka://?bootstrap.servers=b%3A9092",
    "weaviate://h?http_secure=true&grpc_port=443",
    "http://h/?path=http%3A%2F%2Fa",
]


def same(text: str, theirs: AirflowConnection) -> None:
    ours, expected = parse_connection("c", text), _plain("c", theirs)
    assert {**vars(ours), "extra": dict(ours.extra)} == vars(expected)


@pytest.mark.parametrize("said", WRITTEN, ids=lambda said: said["conn_type"])
def test_what_airflow_writes(said: dict[str, object]) -> None:
    theirs = AirflowConnection(conn_id="c", **{**said, "extra": json.dumps(said["extra"])})
    same(theirs.get_uri(), AirflowConnection(conn_id="c", uri=theirs.get_uri()))
    same(theirs.as_json(), theirs)


@pytest.mark.parametrize("uri", READ)
def test_what_airflow_reads(uri: str) -> None:
    same(uri, AirflowConnection(conn_id="c", uri=uri))
