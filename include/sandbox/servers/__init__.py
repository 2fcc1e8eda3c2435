"""Real servers, and emulators where a real one cannot run, for the contract suite and the sandbox.

Each ``start_<server>(keeper)`` starts one as a child of the keeper and waits until it answers. It listens
on the loopback address only, keeps its data in the keeper's state directory, and ends with the keeper.
``NotHere`` says what a machine lacks and the command that gets it; nothing is downloaded when a server starts.
"""

from __future__ import annotations

from sandbox.errors import NotHere
from sandbox.servers.base import Server
from sandbox.servers.chroma import start_chroma
from sandbox.servers.elasticsearch import start_elasticsearch
from sandbox.servers.envoy import start_envoy
from sandbox.servers.etcd import start_etcd
from sandbox.servers.kafka import start_kafka
from sandbox.servers.kubernetes import start_kubernetes_api
from sandbox.servers.milvus import start_milvus
from sandbox.servers.moto import start_moto
from sandbox.servers.opensearch import start_opensearch
from sandbox.servers.pgbouncer import start_pgbouncer
from sandbox.servers.prometheus import start_prometheus
from sandbox.servers.qdrant import start_qdrant
from sandbox.servers.redis import start_redis
from sandbox.servers.weaviate import start_weaviate

__all__ = [
    "NotHere",
    "Server",
    "start_chroma",
    "start_elasticsearch",
    "start_envoy",
    "start_etcd",
    "start_kafka",
    "start_kubernetes_api",
    "start_milvus",
    "start_moto",
    "start_opensearch",
    "start_pgbouncer",
    "start_prometheus",
    "start_qdrant",
    "start_redis",
    "start_weaviate",
]
