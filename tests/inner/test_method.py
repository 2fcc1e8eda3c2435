"""docs/method.md: every test that it names is there, and every statement has a place, a test or what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([a-z]+/test_\w+\.py)::(test_\w+)`", PAGE)


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 30
    assert PAGE.count("::test_") == len(NAMED), "one of them is written in another way"


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_test_that_is_named_is_there(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.M)


def test_what_has_no_test_says_what_is_missing() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count(" | ") + line.count(" |") > 3]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 4 and cells[0] != "statement" and not set(cells[0]) <= {"-"}:
            assert cells[2] or cells[3], row
