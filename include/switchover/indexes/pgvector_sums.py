"""The sum over an index (see ``receipt``) made inside PostgreSQL, and what tells that a table was written to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchover.indexes.receipt import MODULUS, Choice, Sum, Tally
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import sqlalchemy as sa
else:
    np = lazy("numpy")
    sa = lazy("sqlalchemy")

BLOCKS = 16_384  # of 8 kB: one shard is 128 MB, seconds of reading
SINCE_BYTEA_IS_CAST = 180_000
#: The table or view itself, and all that its rows come from: the parts of a partitioned table, the tables of a view.
WHOLE = """WITH RECURSIVE whole AS (
        SELECT to_regclass(:table)::oid AS oid
        UNION
        SELECT found.oid FROM whole JOIN LATERAL (
            SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = whole.oid
            UNION ALL
            SELECT used.refobjid FROM pg_rewrite AS rule JOIN pg_depend AS used
                ON used.objid = rule.oid AND used.classid = 'pg_rewrite'::regclass
            WHERE rule.ev_class = whole.oid AND used.refclassid = 'pg_class'::regclass
                AND EXISTS (SELECT 1 FROM pg_class AS view WHERE view.oid = whole.oid AND view.relkind = 'v')
        ) AS found ON true),
    kept AS (
        SELECT pg_class.oid, relkind, relfilenode FROM whole JOIN pg_class USING (oid)
        WHERE relkind IN ('r', 'm', 'f'))"""
# No id of the server itself: reading that needs a file which managed services, and some servers, do not give.
# The server counts every row that is written or removed; a file of another number is another table's content.
VECTORS = """SELECT
           (SELECT nullif(atttypmod, -1) FROM pg_attribute
            WHERE attrelid = to_regclass(:table) AND attname = :column) AS dimension,
           found.opclass, found.parameters
       FROM (SELECT 1) AS one LEFT JOIN LATERAL (
           SELECT op.opcname AS opclass,
                  am.amname || coalesce(' ' || array_to_string(c.reloptions, ', '), '') AS parameters
           FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
           JOIN pg_opclass op ON op.oid = i.indclass[0]
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE i.indrelid = to_regclass(:table) AND a.attname = :column AND am.amname IN ('hnsw', 'ivfflat')
           ORDER BY c.relname LIMIT 1) AS found ON true"""
MARK = (
    WHOLE
    + """ SELECT to_regclass(:table)::oid AS oid,
        (SELECT oid FROM pg_database WHERE datname = current_database()) AS db,
        current_database() AS name,
        string_agg(oid || '.' || relfilenode, ',' ORDER BY oid) AS files,
        coalesce(sum(pg_stat_get_tuples_inserted(oid)), 0) AS inserted,
        coalesce(sum(pg_stat_get_tuples_updated(oid)), 0) AS updated,
        coalesce(sum(pg_stat_get_tuples_deleted(oid)), 0) AS deleted
        FROM kept"""
)
PARTS = (
    WHOLE
    + " SELECT oid::regclass::text AS name, relkind, pg_relation_size(oid) / 8192 AS blocks FROM kept ORDER BY oid"
)
COLUMNS = """SELECT attname, format_type(atttypid, NULL) AS type, format_type(atttypid, atttypmod) AS whole,
        (SELECT typsend::text FROM pg_type WHERE pg_type.oid = atttypid) AS send
    FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"""
_SHARD = re.compile(r"(?P<table>.+):(?P<first>\d+)-(?P<last>\d+)")


@dataclass(frozen=True, kw_only=True)
class Names:
    """What the columns of an index are called; ``None``: it has no such column."""

    id: str = "id"
    text: str = "text"
    revision: str | None = "revision"
    vector: str | None = "embedding"
    doc: str | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's type without its size, with it, and the function that gives its bytes."""

    type: str
    whole: str
    send: str


def quoted_name(name: str) -> str:
    """A column's name between double quotes."""
    return '"' + name.replace('"', '""') + '"'


def columns(connection: sa.Connection, table: str) -> dict[str, Column]:
    """The columns of a quoted table or view."""
    found = connection.execute(sa.text(COLUMNS), {"table": table})
    return {row.attname: Column(type=row.type, whole=row.whole, send=row.send) for row in found}


def vector_bytes(there: Mapping[str, Column], name: str | None) -> str:
    """SQL for the bytes of a vector's column: numbers as float32 (halfvec: float16), big-endian, one after another.

    Of other types the bytes as the server sends them.
    """
    if name is None:
        return "NULL::bytea"
    column = there.get(name)
    if column is None:
        return quoted_name(name)  # the server says that there is no such column
    sent = f"{column.send}({quoted_name(name)})"
    return f"substring({sent} from 5)" if column.type.rpartition(".")[2] in ("vector", "halfvec") else sent


def shards(connection: sa.Connection, table: str) -> list[str]:
    """Ranges of blocks of each table that the rows come from; one for all of a view, whose rows have no place."""
    parts = connection.execute(sa.text(PARTS), {"table": table}).all()
    if is_view(connection, table) or any(part.relkind == "f" for part in parts):
        return [f"{table}:0-0"]
    return [
        f"{part.name}:{first}-{min(first + BLOCKS, part.blocks)}"
        for part in parts
        for first in range(0, part.blocks, BLOCKS)
    ]


def is_view(connection: sa.Connection, table: str) -> bool:
    """Whether its rows have no blocks of its own."""
    query = "SELECT relkind IN ('v', 'f') FROM pg_class WHERE oid = to_regclass(:table)"
    return bool(connection.execute(sa.text(query), {"table": table}).scalar_one_or_none())


def tally(
    connection: sa.Connection, table: str, shard: str, *, names: Names, upto: int, choice: Choice
) -> Tally | None:
    """The sum of one shard; ``None`` when a row has no id, text or revision."""
    found = _SHARD.fullmatch(shard)
    assert found, f"shard {shard!r} is none of ours"
    first, last = int(found["first"]), int(found["last"])
    place = f"WHERE ctid >= '({first},0)'::tid AND ctid < '({last},0)'::tid" if last else ""
    later = f"{quoted_name(names.revision)} > :upto" if names.revision else "false"
    id, vector = f"{quoted_name(names.id)}::text", vector_bytes(columns(connection, table), names.vector)
    digest = "sha256(int8send(octet_length(raw)) || raw || sha256(convert_to(text, 'UTF8')))"
    # OFFSET 0: without it the planner would put each digest's expression into each sum that uses it.
    query = f"""
        SELECT count(h) AS rows, count(g) AS full_rows, count(*) FILTER (WHERE later) AS later,
            count(*) FILTER (WHERE h IS NULL AND later IS NOT TRUE) AS unfit,
            {_sums(connection, "h")}, {_sums(connection, "g")},
            array_agg(id) FILTER (WHERE chosen) AS ids, array_agg(encode(h, 'hex')) FILTER (WHERE chosen) AS texts,
            array_agg(coalesce(encode(g, 'hex'), '')) FILTER (WHERE chosen) AS vectors
        FROM (
            SELECT id, h, later, sha256(h || vector) AS g, ({_word(connection, "h", 28, 4)} # :key) < :below AS chosen
            FROM (
                SELECT id, later, vector, CASE WHEN later IS FALSE THEN {digest} END AS h
                FROM (
                    SELECT {id} AS id, convert_to({id}, 'UTF8') AS raw,
                        {quoted_name(names.text)}::text AS text, {vector} AS vector,
                        {later} AS later
                    FROM {found["table"]} {place}
                ) AS stored
                OFFSET 0
            ) AS digested
            OFFSET 0
        ) AS row"""
    values = {"key": choice.key, "below": choice.below, **({"upto": upto} if names.revision else {})}
    got = connection.execute(sa.text(query), values).one()
    if got.unfit:
        return None
    kept = dict(zip(got.ids or (), zip(got.texts or (), got.vectors or (), strict=True), strict=True))
    total = Sum(count=got.rows, texts=_joined(got, "h"), vectors=_joined(got, "g"), bare=got.rows - got.full_rows)
    return Tally(sum=total, later=got.later, kept=kept)


# A digest as whole numbers that PostgreSQL adds up fast and without a sign: seven bytes each, and the last four.
_PIECES = tuple((start, min(7, 32 - start)) for start in range(0, 32, 7))


def _sums(connection: sa.Connection, name: str) -> str:
    words = (_word(connection, name, start, size) for start, size in _PIECES)
    return ", ".join(f"sum({word}) AS {name}{number}" for number, word in enumerate(words))


def _word(connection: sa.Connection, name: str, start: int, size: int) -> str:
    piece = f"substring({name} from {start + 1} for {size})"
    version = connection.connection.driver_connection.info.server_version  # type: ignore[union-attr]
    if version >= SINCE_BYTEA_IS_CAST:
        return f"{piece}::bigint"
    return f"('x' || encode({piece}, 'hex'))::bit({8 * size})::bigint"


def _joined(row: Any, name: str) -> int:
    words = (int(getattr(row, f"{name}{number}") or 0) for number in range(len(_PIECES)))
    total = sum(word << 8 * (32 - start - size) for word, (start, size) in zip(words, _PIECES, strict=True))
    return total % MODULUS


def numbers(text: str) -> tuple[int, npt.NDArray[np.float64]]:
    """Dimension and stored numbers of a vector in its text form: ``[1,2]``, ``{1,2}``, ``{1:2,7:3}/9`` or ``0110``."""
    if text.endswith("]") or (text.endswith("}") and ":" not in text):
        found = np.array([float(value) for value in text[1:-1].split(",") if value], dtype=np.float64)
        return len(found), found
    stored, slash, dimension = text.partition("/")
    if not slash:
        return len(text), np.array([float(bit) for bit in text], dtype=np.float64)
    pairs = [pair.split(":") for pair in stored[1:-1].split(",") if pair]
    return int(dimension), np.array([float(value) for _, value in pairs], dtype=np.float64)


def dense(text: str) -> Sequence[float]:
    """A vector in its text form as numbers, those of a sparse one among zeros."""
    stored, slash, dimension = text.partition("/")
    if not slash:
        return numbers(text)[1].tolist()  # type: ignore[no-any-return]
    whole = [0.0] * int(dimension)
    for pair in filter(None, stored[1:-1].split(",")):
        place, value = pair.split(":")
        whole[int(place) - 1] = float(value)
    return whole
