"""Vectors on their way to pgvector, in its binary form: no formatting, no parsing, exact."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format


@dataclass(frozen=True)
class Vector:
    """One vector as a query parameter; the query casts it: ``%s::vector``."""

    values: npt.NDArray[np.float32]


class _VectorDumper(Dumper):
    """pgvector's receive format: dimension, an unused word, big-endian float32 values."""

    format = Format.BINARY

    def dump(self, obj: Vector) -> bytes:
        return struct.pack(">HH", len(obj.values), 0) + obj.values.astype(">f4").tobytes()


psycopg.adapters.register_dumper(Vector, _VectorDumper)
