"""Pointers by kind: the one place that knows every backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchover.pointers.base import Applied, Capabilities, Change, Fencing, Pointer, PointerSpec, Reading
from switchover.pointers.kv_etcd import EtcdSpec
from switchover.pointers.kv_sql import SqlKeySpec
from switchover.pointers.pgvector import PgvectorSpec

__all__ = ["AnyPointer", "Applied", "Capabilities", "Change", "Fencing", "Pointer", "PointerSpec", "Reading"]

AnyPointer = Annotated[
    PgvectorSpec | SqlKeySpec | EtcdSpec,
    Field(discriminator="kind"),
]
