"""docs/consumers.md: the effect that it shows runs, and its names are there."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

PAGE = (Path(__file__).parents[2] / "docs" / "consumers.md").read_text(encoding="utf-8")


def test_the_effect_of_the_page_is_a_row_and_a_receipt_a_message(pg_url: str) -> None:
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, names)
    messages = [SimpleNamespace(topic=lambda: "orders", offset=lambda at=at: at, value=lambda: b"{}") for at in (7, 8)]
    with psycopg.connect(pg_url) as connection:
        connection.execute("CREATE TEMPORARY TABLE consumed (topic text, at_offset bigint, value bytea)")
        assert names["apply"](connection, messages) == [{"offset": 7}, {"offset": 8}]
        assert connection.execute("SELECT array_agg(at_offset ORDER BY at_offset) FROM consumed").fetchone() == (
            [7, 8],
        )
