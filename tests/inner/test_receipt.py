"""The sum over an index: the same in every order and every cut, and another for every other content."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchover.indexes.receipt import (
    MODULUS,
    Adder,
    Choice,
    Proof,
    Sum,
    Tally,
    found_by_audit,
    pairs_sum,
    row_digest,
    vector_digest,
)
from switchover.indexes.receipts import merged, receipt
from switchover.pins import content_digest

Rows = list[tuple[str, str, bytes | None]]
ROWS = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=30)
ALL = Choice.among(0, key=0)


def total(rows: Rows) -> Tally:
    adder = Adder(ALL)
    for row in rows:
        adder.add(*row)
    return adder.tally()


def test_one_row_by_hand() -> None:
    row = hashlib.sha256(b"\0\0\0\0\0\0\0\3a:\xc3"[:8] + "aé".encode() + hashlib.sha256(b"text").digest()).digest()
    assert row_digest("aé", "text") == row
    both = hashlib.sha256(row + b"\1\2").digest()
    assert vector_digest(row, b"\1\2") == both
    one = Sum.of_row("aé", "text", b"\1\2")
    assert one == Sum(count=1, texts=int.from_bytes(row, "big"), vectors=int.from_bytes(both, "big"))
    assert one.pairs == f"sum256:{row.hex()}"
    assert pairs_sum([("aé", content_digest("text"))]) == one.pairs


@given(rows=ROWS, seed=st.integers(0, 2**32), cuts=st.integers(1, 5))
def test_any_order_and_any_cut_gives_the_same(rows: Rows, seed: int, cuts: int) -> None:
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    parts = [total(shuffled[number::cuts]) for number in range(cuts)]
    assert sum((part.sum for part in parts), Sum()) == total(rows).sum
    assert sum((Sum.of_row(*row) for row in shuffled), Sum()) == total(rows).sum


@given(rows=ROWS, more=ROWS)
def test_what_goes_is_subtracted(rows: Rows, more: Rows) -> None:
    assert total(rows + more).sum - total(more).sum == total(rows).sum


@given(one=ROWS, other=ROWS)
def test_only_the_same_rows_have_the_same_sum(one: Rows, other: Rows) -> None:
    same = sorted(map(repr, one)) == sorted(map(repr, other))
    assert (total(one).sum == total(other).sum) is same


def test_a_row_that_is_there_twice_counts_twice() -> None:
    """An exclusive or would forget it."""
    twice = total([("a", "x", b"v")] * 2).sum
    assert twice.texts and twice.vectors
    assert twice.count == 2


def test_vectors_belong_to_their_rows() -> None:
    """Two rows that have exchanged their vectors hold the same texts, and not the same."""
    right, wrong = total([("a", "x", b"1"), ("b", "y", b"2")]).sum, total([("a", "x", b"2"), ("b", "y", b"1")]).sum
    assert right.texts == wrong.texts
    assert right.vectors != wrong.vectors


@given(rows=ROWS, shards=st.lists(st.text(max_size=3), max_size=3))
def test_a_reading_comes_back_from_the_ledger_as_it_was(rows: Rows, shards: list[str]) -> None:
    proof = Proof(
        target="t", creation="c", change="1", index_hash="h", key=7, tally=total(rows), done=tuple(shards), pairs="p"
    )
    assert Proof.from_json(json.loads(json.dumps(proof.to_json()))) == proof
    assert Proof.from_json(proof.receipt()).tally.kept == {}


@pytest.mark.parametrize("rows", [0, 500, 1_300, 20_000])
def test_about_as_many_rows_are_kept_as_an_audit_wants(rows: int) -> None:
    choice = Choice.among(rows, key=random.Random(1).getrandbits(32))
    adder = Adder(choice)
    for number in range(rows):
        adder.add(f"id-{number}", "text", None)
    kept = len(adder.tally().kept)
    assert kept == rows if rows <= 1_300 else 1_150 < kept < 1_450
    other = Choice.among(rows, key=random.Random(2).getrandbits(32))
    if rows > 1_300:
        digests = [row_digest(f"id-{number}", "text") for number in range(rows)]
        assert [choice.takes(each) for each in digests] != [other.takes(each) for each in digests], "not the same ones"


@pytest.mark.parametrize(
    ("altered", "kept", "rows", "expected"),
    [
        (1, 1_000, 1_000_000, 0.001),
        (1, 10, 10, 1.0),
        (0, 5, 10, 0.0),
        (2, 1, 4, 0.5),
        (1_000, 1_000, 1_000_000, 0.6325),
    ],
)
def test_what_an_audit_finds(altered: int, kept: int, rows: int, expected: float) -> None:
    assert found_by_audit(altered=altered, kept=kept, rows=rows) == pytest.approx(expected, abs=1e-4)


def test_a_sum_stays_within_its_256_bits() -> None:
    big = Sum(texts=MODULUS - 1, count=1)
    assert (big + Sum(texts=2, count=1)).texts == 1
    assert (Sum() - big).texts == 1


def test_the_sums_of_workers_are_that_of_the_whole(tmp_path: Path) -> None:
    rows = [(f"id-{number}", f"text {number}", [number / 8, 1.0]) for number in range(100)]
    paths = [tmp_path / f"worker-{worker}.json" for worker in range(3)]
    for worker, path in enumerate(paths):
        with receipt(path) as one:
            for row in rows[worker::3]:
                one.add(*row)
    whole = total([(id, text, np.array(vector, dtype=">f4").tobytes()) for id, text, vector in rows]).sum
    assert merged(paths) == merged(reversed(paths)) == whole
    assert merged(paths).pairs == pairs_sum((id, content_digest(text)) for id, text, _ in rows)


def test_a_worker_that_died_leaves_no_receipt(tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    with receipt(path) as one:
        one.add("a", "text", None)

    def dies() -> None:
        with receipt(path) as again:
            again.add("a", "text", None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        dies()
    with pytest.raises(FileNotFoundError):
        merged([path])
