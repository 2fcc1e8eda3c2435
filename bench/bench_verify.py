"""What does verify ask of an index under the freeze, at any size, and how fast is the whole proof before it?

    python bench/bench_verify.py [--rows 100000,1000000] [--stores pgvector] [--dimension 64]

One JSON line a store and size, on generated rows in a real server:

``frozen_s``           all that verify asks of Green's index under the freeze once it was attested: presence, manifest,
                       change mark, the kept reading, some 1,300 rows looked at again, the encoder's 64
``attest_rows_per_s``  the whole proof of texts and vectors before the freeze
``ratio_ordered``      how many times as many rows a second as the ordered read of earlier versions (texts only, in the
                       client), in the same run
``peak_mb``            the most memory that this process held while it did both, above what it held before
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers import short_lived_keeper, throwaway_postgres  # noqa: E402

from sandbox import servers  # noqa: E402
from switchover.edge.connection import Connection  # noqa: E402
from switchover.edge.edge import Edge  # noqa: E402
from switchover.indexes import Index  # noqa: E402
from switchover.indexes.attest import attest, audit  # noqa: E402
from switchover.indexes.pgvector import PgvectorIndex  # noqa: E402
from switchover.indexes.receipt import Proof  # noqa: E402
from switchover.indexes.search import OpenSearchIndexSpec  # noqa: E402
from switchover.pins import IndexFacts, Manifest  # noqa: E402
from switchover.pointers.pgvector import create_tables  # noqa: E402

ORDERED_AT_MOST = 1_000_000  # rows; the ordered read of more takes minutes and has the same rate
BULK = 2_000


def manifest(rows: int, dimension: int, pairs: str) -> Manifest:
    named = dict.fromkeys(("embed_schema", "tok_ver", "chunk_schema_ver", "analyzer_conf", "metric"), "bench")
    facts = IndexFacts(**named, store={}, corpus_revision=1, count=rows, pairs=pairs)
    encoder = {"name": "bench", "dimension": dimension}
    return Manifest(target="t", pins={"INDEX_HASH": facts.index_hash()}, facts=facts, encoder=encoder)


def peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def measured(index: Index, store: str, rows: int, ordered_rows_per_s: float | None) -> dict[str, Any]:
    """One line. The index is described already."""
    kept: list[Proof] = []
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()
    began = time.perf_counter()
    found = attest(index, "t", kept=None, save=kept.append, say=lambda line: print(line, file=sys.stderr))
    attested_s = time.perf_counter() - began
    assert found.proof.tally.sum.count == rows
    began = time.perf_counter()
    index.health("t")
    again = attest(index, "t", kept=kept[-1], save=kept.append)
    looked = audit(index, again)
    index.count("t")
    index.sample("t", size=64)
    frozen_s = time.perf_counter() - began
    assert again.skipped and not looked.wrong, looked.wrong
    rate = rows / attested_s
    return {
        "store": store,
        "rows": rows,
        "frozen_s": round(frozen_s, 2),
        "attest_rows_per_s": round(rate),
        "ratio_ordered": round(rate / ordered_rows_per_s, 1) if ordered_rows_per_s else None,
        "peak_mb": round(peak_mb() - before, 1),
        "audited": looked.line,
    }


def pgvector(sizes: list[int], dimension: int) -> Iterator[dict[str, Any]]:
    with throwaway_postgres() as server:
        server.create_database("bench", vector=True)
        engine = sa.create_engine(server.url("bench").replace("postgresql:", "postgresql+psycopg:", 1))
        create_tables(engine)
        index = PgvectorIndex(engine=engine)
        ordered: float | None = None
        for rows in sizes:
            with psycopg.connect(server.url("bench"), autocommit=True) as conn:
                conn.execute("DROP TABLE IF EXISTS t")
                conn.execute("DELETE FROM switchover_manifest")
                conn.execute(
                    "CREATE TABLE t (id text PRIMARY KEY, text text NOT NULL, revision bigint NOT NULL,"
                    f" embedding vector({dimension}) NOT NULL)"
                )
                conn.execute("ALTER TABLE t ALTER embedding SET STORAGE PLAIN")
                values = ", ".join(f"sin(i * {number + 1})" for number in range(dimension))
                conn.execute(
                    "INSERT INTO t SELECT 'doc-' || (i / 7) || ':' || (i % 7) * 300, repeat(md5(i::text), 9), 1,"
                    f" ARRAY[{values}]::real[]::vector FROM generate_series(1, {rows}) AS i"
                )
                conn.execute("VACUUM ANALYZE t")
                conn.execute("SELECT pg_stat_force_next_flush()")
                described = manifest(rows, dimension, "sum256:0")
                conn.execute(
                    "INSERT INTO switchover_manifest VALUES ('t', %s, %s)",
                    [described.index_hash, json.dumps(described.to_json())],
                )
            if rows <= ORDERED_AT_MOST:
                began = time.perf_counter()
                index.ordered_pairs("t", upto=1)
                ordered = rows / (time.perf_counter() - began)
            yield measured(index, "pgvector", rows, ordered)
        engine.dispose()


@contextmanager
def opensearch() -> Iterator[tuple[Index, Any]]:
    with short_lived_keeper() as keeper:
        server = servers.start_opensearch(keeper)
        connection = Connection(id="bench", conn_type="http", host=server.host, port=server.port)
        edge = Edge(connections=lambda _: connection)
        yield OpenSearchIndexSpec(kind="opensearch", connection="bench").build(edge), edge.client("opensearch", "bench")
        edge.close()


def search(sizes: list[int], dimension: int) -> Iterator[dict[str, Any]]:
    with opensearch() as (index, client):
        for rows in sizes:
            described = manifest(rows, dimension, "sum256:0")
            meta = {"index_hash": described.index_hash, "manifest": described.to_json()}
            kept = {"index": False, "doc_values": False}
            fields = {"text": {"type": "keyword", **kept}, "embedding": {"type": "float", **kept}}
            client.indices.delete(index="t", ignore_unavailable=True)
            client.indices.create(
                index="t",
                body={
                    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"},
                    "mappings": {"_meta": meta, "properties": {**fields, "revision": {"type": "long"}}},
                },
            )
            for first in range(0, rows, BULK):
                lines = []
                for number in range(first, min(first + BULK, rows)):
                    vector = [round((number * step % 97) / 97 + 0.01, 4) for step in range(1, dimension + 1)]
                    lines.append(json.dumps({"index": {"_id": f"doc-{number}"}}))
                    lines.append(json.dumps({"text": f"{number:032d}" * 9, "revision": 1, "embedding": vector}))
                answer = client.bulk(body="\n".join(lines) + "\n", index="t", request_timeout=60)
                assert not answer["errors"]
            client.indices.refresh(index="t", request_timeout=60)
            yield measured(index, "opensearch", rows, None)


STORES = {"pgvector": pgvector, "opensearch": search}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,1000000", help="sizes, in rows")
    parser.add_argument("--stores", default="pgvector", help=f"of {', '.join(STORES)}")
    parser.add_argument("--dimension", type=int, default=64)
    options = parser.parse_args()
    sizes = [int(each) for each in options.rows.split(",")]
    for store in options.stores.split(","):
        for line in STORES[store](sizes, options.dimension):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
