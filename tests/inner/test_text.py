"""One line of an error, and a number for JSON: one helper each."""

from __future__ import annotations

import math
import re

import pytest
from bench import structure

from switchover.pins import PIN_NAMES, check_pin_names
from switchover.text import finite, first_line, one_line

OWN_FORM = re.compile(r"splitlines\(\)( or [^)]*)?\)?\[0\]|str\(error\)\.split\(\)")

#: The fence is used in other people's services: it loads nothing of the product but its errors (test_fence.py).
ALLOWED = ("switchover.text", "switchover.fence.postgres")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (ValueError("\n no such table\nLINE 1: SELECT\n"), "no such table"),
        (TimeoutError(), "TimeoutError"),
        ("refused\nsee below", "refused"),
        ("", ""),
    ],
)
def test_the_first_line_says_what_is_wrong(said: object, line: str) -> None:
    assert first_line(said) == line


def test_one_line_holds_all_that_was_said_up_to_its_end() -> None:
    assert one_line(ValueError("a\n\tb  c")) == "a b c"
    assert (len(one_line("x" * 400)), len(one_line("x" * 400, None))) == (300, 400)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_null_in_json(value: float | None) -> None:
    assert finite(value) is None and finite(0) == 0.0


def test_a_name_that_is_no_pin_is_told_from_one_that_is_not_allowed_there() -> None:
    check_pin_names(PIN_NAMES)
    with pytest.raises(ValueError, match=r"'EMBED' is not a pin; allowed: INDEX_HASH, EMBED_SCHEMA"):
        check_pin_names(["EMBED"])
    with pytest.raises(ValueError, match=r"'INDEX_HASH' cannot be given; allowed: GIT_SHA"):
        check_pin_names(["GIT_SHA", "INDEX_HASH"], ["GIT_SHA"])


def test_no_module_cuts_its_errors_in_a_form_of_its_own() -> None:
    files = {name: path for name, path in structure.modules().items() if name not in ALLOWED}
    found = [name for name, path in files.items() if OWN_FORM.search(path.read_text())]
    assert files and found == []
