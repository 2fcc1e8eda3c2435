"""Pointers by kind: the one place that knows every backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchover.pointers.alb import AlbSpec
from switchover.pointers.base import Applied, Capabilities, Change, Fencing, Pointer, PointerSpec, Reading
from switchover.pointers.k8s_gateway import HttpRouteSpec
from switchover.pointers.k8s_ingress import IngressSpec
from switchover.pointers.k8s_service import ServiceSpec
from switchover.pointers.kafka_group import KafkaGroupSpec
from switchover.pointers.kv_dynamodb import DynamoDbSpec
from switchover.pointers.kv_etcd import EtcdSpec
from switchover.pointers.kv_sql import SqlKeySpec
from switchover.pointers.milvus import MilvusSpec
from switchover.pointers.pgvector import PgvectorSpec
from switchover.pointers.qdrant import QdrantSpec
from switchover.pointers.route53 import Route53Spec
from switchover.pointers.search_alias import ElasticsearchSpec, OpenSearchSpec
from switchover.pointers.ssm import SsmSpec
from switchover.pointers.weaviate import WeaviateSpec

__all__ = ["AnyPointer", "Applied", "Capabilities", "Change", "Fencing", "Pointer", "PointerSpec", "Reading"]

AnyPointer = Annotated[
    KafkaGroupSpec
    | PgvectorSpec
    | WeaviateSpec
    | QdrantSpec
    | MilvusSpec
    | SqlKeySpec
    | EtcdSpec
    | OpenSearchSpec
    | ElasticsearchSpec
    | ServiceSpec
    | IngressSpec
    | HttpRouteSpec
    | DynamoDbSpec
    | AlbSpec
    | Route53Spec
    | SsmSpec,
    Field(discriminator="kind"),
]
