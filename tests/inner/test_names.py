"""Names of indexes: one rule a store, in its own unit, in plan check, pointer, index and build alike."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.inner.test_plan import GOOD

from switchover.edge import names
from switchover.errors import BadInput, PlanError, TargetRefused
from switchover.indexes import AnyIndex, IndexSpec
from switchover.indexes.pgvector import PgvectorIndex, quoted
from switchover.indexing.pgvector import PgvectorTarget
from switchover.planfile.load import load_plan
from switchover.pointers import AnyPointer
from switchover.pointers.base import PointerSpec
from switchover.pointers.pgvector import create_tables

CYRILLIC = "документы_поиска_версия_два"  # 27 letters, 51 bytes
LONG = "индекс_документов_поиска_второй_версии_два"  # 42 letters, 79 bytes


@pytest.mark.parametrize(
    ("store", "good", "bad"),
    [
        (
            names.table_name,
            ["docs_v1", "search.docs_v1", "Docs", "docs-v1", "20241001", "bücher_v1", CYRILLIC, "a" * 63, "日本語"],
            ["", "a.b.c", "a" * 64, LONG, 'do"cs', "do cs", "docs;", "a.", ".a", "docs\x00", "é" * 32],
        ),
        (
            names.built_table_name,
            ["docs_v1", "docs-v1", CYRILLIC, "a" * 56],
            ["search.docs_v1", "a" * 57, "é" * 29, LONG],
        ),
        (
            names.search_name,
            ["docs_v1", "bücher", "日本語の文書", "20241001", ".hidden", "a" * 255, "docs-v1"],
            ["", "Docs", "docs*", "a,b", "<a-{now}>", "_docs", "-docs", "+docs", ".", "..", "a b", "é" * 128, "a:b"],
        ),
        (names.qdrant_name, ["docs", "Bücher 2", "a" * 255], ["", "a/b", "a:b", "a" * 256, "a\x1f"]),
        (names.milvus_name, ["docs_v1", "_d"], ["", "1docs", "docs-v1", "bücher", "a" * 256]),
        (names.weaviate_name, ["Docs_v1"], ["", "docs", "Docs-v1", "Bücher", "A" * 256]),
    ],
)
def test_what_each_store_takes(store: names.Namer, good: list[str], bad: list[str]) -> None:
    for name in good:
        assert store(name, "x") == name
    for name in bad:
        with pytest.raises(BadInput, match=r"^x: found .*allowed: "):
            store(name, "x")


@pytest.mark.parametrize("kind", ["pgvector", "opensearch", "elasticsearch"])
@pytest.mark.parametrize("name", ["a" * 300, 'a"b', "a*b", "a b", ""])
def test_every_index_refuses_in_the_plan_what_its_store_does_not_take(kind: str, name: str) -> None:
    spec: IndexSpec = TypeAdapter(AnyIndex).validate_python({"kind": kind, "connection": "c"})
    spec.check_arms(["docs_v1", "docs_v2"])
    with pytest.raises(ValueError, match="index: arm .* found .*allowed: "):
        spec.check_arms(["docs_v1", name])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("opensearch", "docs_v1", "Docs"),
        ("elasticsearch", "docs_v1", "Docs"),
        ("qdrant", "docs_v1", "docs/v1"),
        ("milvus", "docs_v1", "docs-v1"),
        ("weaviate", "Docs_v1", "docs_v1"),
    ],
)
def test_every_pointer_to_collections_refuses_it_too_and_two_arms_in_one_place(kind: str, good: str, bad: str) -> None:
    told = {"kind": kind, "connection": "c", "alias": good}
    adapter: TypeAdapter[PointerSpec] = TypeAdapter(AnyPointer)
    adapter.validate_python(told).check_arms([good, f"{good}2"])
    with pytest.raises(ValueError, match=f"pointer: arm {bad!r}: found {bad!r}.*allowed: "):
        adapter.validate_python(told).check_arms([good, bad])
    with pytest.raises(ValueError, match="pointer: arm 'b': found"):
        adapter.validate_python({**told, "targets": {"a": good, "b": bad}}).check_arms(["a", "b"])
    with pytest.raises(ValueError, match="two arms have the same collection|are one place"):
        adapter.validate_python({**told, "targets": {"a": good, "b": good}}).check_arms(["a", "b"])


def test_a_plan_with_a_name_that_its_store_does_not_take_is_refused(tmp_path: Path) -> None:
    for name in (LONG, "a" * 57, "docs.v1.x", "docs_v1__build"):
        path = tmp_path / "plan.yaml"
        build = "build: {documents: {connection: docs_db}, chunking: fixed-300/1}\n"
        path.write_text(GOOD.replace("v1", "docs_v1").replace("v2", f"{name!r}") + build, encoding="utf-8")
        with pytest.raises(PlanError, match="(index|build): arm .*allowed: ") as refused:
            load_plan(path)
        assert str(refused.value).startswith(f"{path}:")


@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=70))
def test_a_name_that_is_taken_is_kept_whole_by_the_server(pg_url: str, name: str) -> None:
    try:
        table = quoted(name)
    except BadInput:
        return
    with psycopg.connect(pg_url) as connection:
        found = connection.execute("SELECT parse_ident(%s)", [table]).fetchone()
    assert found == (name.split("."),)


def test_a_build_never_takes_an_index_for_the_table_that_it_fills(fresh_db: str, fresh_db_url: str) -> None:
    engine = sa.create_engine(fresh_db)
    create_tables(engine)
    with psycopg.connect(fresh_db_url, autocommit=True) as direct:
        for name in ("a" * 56, CYRILLIC, "docs-v1"):
            direct.execute(f"CREATE TABLE \"{name}\" AS SELECT 'live row' AS id")
            direct.execute("INSERT INTO switchover_manifest VALUES (%s, 'h', '{}')", [name])
            target = PgvectorTarget(engine=engine, target=name)
            target.prepare()
            target.check_replaceable()
            target.start({"r": 1}, dimension=3)
            assert direct.execute(f'SELECT * FROM "{name}"').fetchall() == [("live row",)]
        direct.execute("CREATE TABLE docs__build (id text)")
        direct.execute("INSERT INTO switchover_manifest VALUES ('docs__build', 'h', '{}')")
        with pytest.raises(TargetRefused, match="'docs__build', which is an index with a manifest"):
            PgvectorTarget(engine=engine, target="docs").check_replaceable()
        with pytest.raises(BadInput, match="which has 79 bytes; allowed: 63 bytes"):
            PgvectorTarget(engine=engine, target=LONG)
    engine.dispose()


def test_names_that_lead_to_one_table_are_one_index(fresh_db: str, fresh_db_url: str) -> None:
    engine = sa.create_engine(fresh_db)
    create_tables(engine)
    index = PgvectorIndex(engine=engine)
    with psycopg.connect(fresh_db_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE whole (id text) PARTITION BY LIST (id)")
        direct.execute("CREATE TABLE part PARTITION OF whole FOR VALUES IN ('a')")
        direct.execute("CREATE TABLE other (id text)")
    others = ["whole", "public.whole", "part", "public.part", "other", "nowhere"]
    assert index.shared("whole", others) == ["whole", "public.whole", "part", "public.part"]
    assert index.shared("part", others) == ["part", "public.part"]
    assert index.shared("nowhere", others) == []
    assert PgvectorTarget(engine=engine, target="other").shared([*others, "public.other"]) == ["other", "public.other"]
    engine.dispose()
