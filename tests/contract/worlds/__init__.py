"""Every backend of the contract suite, by kind."""

from __future__ import annotations

from tests.contract.worlds.alb import AlbWorld
from tests.contract.worlds.aws import DynamoDbWorld, SsmWorld
from tests.contract.worlds.base import World
from tests.contract.worlds.chroma import ChromaWorld
from tests.contract.worlds.etcd import EtcdWorld
from tests.contract.worlds.kafka import KafkaWorld
from tests.contract.worlds.kubernetes import HttpRouteWorld, IngressWorld, ServiceWorld
from tests.contract.worlds.milvus import MilvusWorld
from tests.contract.worlds.opensearch import ElasticsearchWorld, OpenSearchWorld
from tests.contract.worlds.qdrant import QdrantWorld
from tests.contract.worlds.route53 import Route53World
from tests.contract.worlds.sql import KvSqlWorld, PgvectorWorld
from tests.contract.worlds.weaviate import WeaviateWorld

WORLDS: dict[str, type[World]] = {
    world.kind: world
    for world in (
        MilvusWorld,
        QdrantWorld,
        WeaviateWorld,
        ChromaWorld,
        EtcdWorld,
        KafkaWorld,
        KvSqlWorld,
        PgvectorWorld,
        OpenSearchWorld,
        ElasticsearchWorld,
        ServiceWorld,
        IngressWorld,
        HttpRouteWorld,
        DynamoDbWorld,
        AlbWorld,
        Route53World,
        SsmWorld,
    )
}
