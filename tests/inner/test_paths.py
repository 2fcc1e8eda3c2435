"""JMESPath as plans use it: our compiled forms find what its own interpreter finds; functions only where allowed."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchover.edge.body import BadAnswer
from switchover.edge.functions import ALLOWED, function_of
from switchover.edge.paths import compile_path
from switchover.errors import BadInput

EXPRESSIONS = (
    *("a", "a.b", "a.b.c", '"a b"', "@", "a[0]", "a[-1].b", "[0]", "a[0][1]", "a | b", "a[].b", "a[*].b[].c"),
    *("a[?b=='x'].c", "a[?b=='x'].c[]", "a[?b=='x'] | [0].c", "{a: a.b, c: c[0]}", "a[] | [0]"),
    *("not_null(a, b.c, 'none')", "'text'"),
    *("a[].{b: b, c: not_null(c, a)}", "[?a=='x'].b | [0]", "a[*]", "[]", "a.*", "a || b", "a[?b > `1`]", "length(@)"),
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", "c", "a b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@given(value=VALUES)
def test_a_compiled_path_finds_what_the_interpreter_finds(expression: str, value: Any) -> None:
    find = compile_path(expression)
    try:
        expected = jmespath.search(expression, value)
    except jmespath.exceptions.JMESPathError:
        with pytest.raises(BadAnswer):
            find(value)
    else:
        assert find(value) == expected


@pytest.mark.parametrize("wrong", ["a[", "a..b", "", "a[?b=='x'", "nothing(a)(", "[" * 900, "a" * 1_001])
def test_what_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="JMESPath"):
        compile_path(wrong)


@pytest.mark.parametrize("path", ["sum(a)", "to_number(a)", "ceil(a)", "join(a, a)", "sort_by(a, &b)", "keys(a)"])
@pytest.mark.parametrize("value", [["x"], [{"b": 1}, {"b": "x"}], "x", {"a": 1}, None, True, [1, None]])
def test_a_function_that_cannot_take_a_value_says_so_and_raises_nothing_else(path: str, value: Any) -> None:
    try:
        compile_path(path)({"a": value})
        told = ""
    except BadAnswer as error:
        told = str(error)
    assert not told or (path in told and "\n" not in told)


@pytest.mark.parametrize("allowed", ["", "other", "js", "json_", "json.decoder"])
def test_a_function_is_called_only_where_the_deployment_names_its_package(allowed: str) -> None:
    with pytest.raises(BadInput, match=rf"encoder: 'json:loads' may not be called; allowed: .*{ALLOWED}"):
        function_of("json:loads", key="encoder", environ={ALLOWED: allowed})


def test_a_function_of_a_named_package_is_found_and_one_that_is_not_there_is_named() -> None:
    environ = {ALLOWED: "yaml, json"}
    assert function_of("json:loads", key="f", environ=environ)("1") == 1
    assert function_of("json.decoder:JSONDecoder", key="f", environ=environ)
    for name, told in (("json:nothing", "cannot be imported"), ("json:__all__", "is no function")):
        with pytest.raises(BadInput, match=told):
            function_of(name, key="f", environ=environ)
