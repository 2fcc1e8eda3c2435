"""The fence's pure parts: keys, payloads, and that it stands alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import date, datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchover.errors import BadInput
from switchover.fence import FenceKey, fence_key
from switchover.fence.payload import KEPT_BYTES, PAYLOAD_BYTES, changes, payload_of, receipt_json

PARTS: dict[str, Any] = {"source_type": "kafka", "source_id": "orders/0", "revision": 42, "action": "upsert"}


def test_a_key_can_be_made_in_any_language() -> None:
    assert fence_key(**PARTS) == hashlib.sha256(b"5:kafka8:orders/02:426:upsert").hexdigest()
    assert fence_key(**PARTS).source_type == "kafka"
    assert fence_key(**{**PARTS, "revision": "42"}) == fence_key(**PARTS)
    assert fence_key(**PARTS, index_hash="ab") == hashlib.sha256(b"5:kafka8:orders/02:426:upsert2:ab").hexdigest()


texts = st.text(min_size=1, max_size=6)


@given(one=st.tuples(texts, texts, texts, texts), two=st.tuples(texts, texts, texts, texts))
def test_other_parts_make_another_key(one: tuple[str, ...], two: tuple[str, ...]) -> None:
    first, second = (fence_key(**dict(zip(PARTS, parts, strict=True))) for parts in (one, two))
    assert (first == second) == (one == two)


@pytest.mark.parametrize("name", list(PARTS))
@pytest.mark.parametrize(
    "part", [datetime(2026, 1, 1, tzinfo=timezone.utc), date(2026, 1, 1), 1.5, True, None, "", b"x", ["x"]]
)
def test_a_part_that_is_a_time_or_no_text_is_refused(name: str, part: Any) -> None:
    with pytest.raises(BadInput, match=f"fence_key: {name}: found .*; allowed: "):
        fence_key(**{**PARTS, name: part})


@pytest.mark.parametrize("text", ["", "abc", "A" * 64, "0" * 63, 5, None])
def test_what_is_no_key_is_refused(text: Any) -> None:
    with pytest.raises(BadInput, match="that fence_key\\(\\) returns"):
        FenceKey(text)


def test_the_order_of_names_in_a_payload_changes_nothing() -> None:
    assert payload_of({"a": 1, "b": "é"}) == payload_of({"b": "é", "a": 1})
    assert payload_of({"a": 1}).digest != payload_of({"a": "1"}).digest
    assert payload_of(b"raw").kept is None and payload_of(b"raw").digest == hashlib.sha256(b"raw").hexdigest()


def test_a_payload_is_kept_up_to_a_bound_and_taken_up_to_another() -> None:
    assert payload_of("x" * (KEPT_BYTES - 2)).kept is not None
    assert payload_of("x" * (KEPT_BYTES - 1)).kept is None
    assert payload_of("x" * (PAYLOAD_BYTES - 2)).size == PAYLOAD_BYTES
    with pytest.raises(
        BadInput, match=f"payload of {PAYLOAD_BYTES + 1} bytes; allowed: {PAYLOAD_BYTES}; pass the digest"
    ):
        payload_of("x" * (PAYLOAD_BYTES - 1))
    with pytest.raises(BadInput, match="receipt of .* bytes; allowed: 16384"):
        receipt_json("x" * 16384)


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, "\ud800"])
def test_a_payload_that_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match="fence: payload of type .*allowed: JSON values"):
        payload_of(value)


@pytest.mark.parametrize(
    ("first", "second", "diff"),
    [
        ("1", "1", []),
        ("1", "true", ["payload: 1 → true"]),
        ('{"a":{"b":1}}', '{"a":{"b":2}}', ["a.b: 1 → 2"]),
        ('{"a":[1,2]}', '{"a":[1]}', ["a: [1, 2] → [1]"]),
        ('["x"]', '["y"]', ['[0]: "x" → "y"']),
        (f'"{"x" * 99}"', "null", [f'payload: "{"x" * 59}… → null']),
        (None, "1", []),
    ],
)
def test_changes_name_the_places(first: str | None, second: str | None, diff: list[str]) -> None:
    assert changes(first, second) == diff


def test_the_fence_loads_nothing_of_the_product_but_its_errors() -> None:
    program = """
import sys
import switchover.fence, switchover.fence.postgres
for later in ('redis', 'boto3'):
    assert later not in sys.modules, later
import switchover.fence.redis, switchover.fence.dynamodb
ours = {name for name in sys.modules if name.startswith("switchover.") and not name.startswith("switchover.fence")}
assert ours == {"switchover.errors"}, ours
heavy = {"airflow", "numpy", "sqlalchemy", "pydantic"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
