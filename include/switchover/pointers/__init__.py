"""Pointers by kind. Adding one is one file and one line here; an installed package adds one by an entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.pointers.base import Applied, Capabilities, Change, EpochCheck, Pointer, PointerSpec, Reading
from switchover.registry import kinds, one_of

__all__ = [
    "KINDS",
    "AnyPointer",
    "Applied",
    "Capabilities",
    "Change",
    "EpochCheck",
    "Pointer",
    "PointerSpec",
    "Reading",
]

KINDS = kinds(
    "switchover.pointers",
    (
        "switchover.pointers.kafka_group:KafkaGroupSpec",
        "switchover.pointers.pgvector:PgvectorSpec",
        "switchover.pointers.weaviate:WeaviateSpec",
        "switchover.pointers.qdrant:QdrantSpec",
        "switchover.pointers.milvus:MilvusSpec",
        "switchover.pointers.kv_sql:SqlKeySpec",
        "switchover.pointers.kv_etcd:EtcdSpec",
        "switchover.pointers.search_alias:OpenSearchSpec",
        "switchover.pointers.search_alias:ElasticsearchSpec",
        "switchover.pointers.k8s_service:ServiceSpec",
        "switchover.pointers.k8s_ingress:IngressSpec",
        "switchover.pointers.k8s_gateway:HttpRouteSpec",
        "switchover.pointers.kv_dynamodb:DynamoDbSpec",
        "switchover.pointers.alb:AlbSpec",
        "switchover.pointers.route53:Route53Spec",
        "switchover.pointers.ssm:SsmSpec",
    ),
)

if TYPE_CHECKING:
    AnyPointer = PointerSpec
else:
    AnyPointer = one_of(KINDS)
