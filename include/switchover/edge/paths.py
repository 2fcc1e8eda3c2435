"""JMESPath: where in somebody else's JSON a thing stands. Data, never code.

The common forms (names, places in a list, projections, ``not_null``) are compiled into functions of our own, with
JMESPath's meaning: its interpreter needs several times as long. All other forms are left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from switchover.edge.body import BadAnswer
from switchover.lazy import lazy
from switchover.text import first_line

if TYPE_CHECKING:
    import jmespath
else:
    jmespath = lazy("jmespath")

Find = Callable[[Any], Any]
Node = Mapping[str, Any]
LONGEST = 1_000  # characters of an expression


def compile_path(text: str) -> Find:
    """The function that finds ``text`` in a JSON value: what stands there, or ``None``.

    ``ValueError`` for what is no JMESPath. The function raises ``BadAnswer`` where a value is of a type that the
    expression cannot take.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a JMESPath of {len(text):,} characters; allowed: up to {LONGEST:,}")
    try:
        whole = jmespath.compile(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"found {text!r}, which is no JMESPath: {first_line(error)}") from None
    plain = _plain(whole.parsed)

    def find(value: Any) -> Any:
        try:
            return whole.search(value)
        except Exception as error:  # noqa: BLE001  (its functions fail in many ways on values that nobody foresaw)
            raise BadAnswer(f"path {text!r}: {first_line(error)[:120]}") from None

    return plain or find


def check_path(text: str) -> str:
    """The same text; ``ValueError`` when it is no JMESPath."""
    compile_path(text)
    return text


#: A key of a plan that holds a JMESPath.
PathText = Annotated[str, AfterValidator(check_path)]


def _plain(node: Node) -> Find | None:
    """The function for a node of JMESPath's tree; ``None`` for a form that is left to its interpreter."""
    make = _FORMS.get(node["type"])
    return make(node) if make is not None else None


def _field(node: Node) -> Find:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _same(node: Node) -> Find:
    return lambda value: value


def _index(node: Node) -> Find:
    at = node["value"]

    def find(value: Any) -> Any:
        try:
            return value[at] if isinstance(value, list) else None
        except IndexError:
            return None

    return find


def _literal(node: Node) -> Find:
    constant = node["value"]
    return lambda value: constant


def _chain(node: Node) -> Find | None:
    """One after the other: ``a.b``, ``a[0]``, ``a | b``."""
    if all(child["type"] == "field" for child in node["children"]):
        return _fields([child["value"] for child in node["children"]])
    steps = [_plain(child) for child in node["children"]]
    if any(step is None for step in steps):
        return None
    first, *others = (step for step in steps if step is not None)
    if len(others) == 1:
        second = others[0]
        return lambda value: second(first(value))

    def find(value: Any) -> Any:
        value = first(value)
        for step in others:
            value = step(value)
        return value

    return find


def _fields(names: list[str]) -> Find:
    """``a.b.c``, which is most of all paths."""

    def find(value: Any) -> Any:
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return find


def _projection(node: Node) -> Find | None:
    """``a[*].b``: b of each, without those that have none."""
    base, inner = (_plain(child) for child in node["children"])
    if base is None or inner is None:
        return None

    def find(value: Any) -> Any:
        several = base(value)
        if not isinstance(several, list):
            return None
        return [found for found in map(inner, several) if found is not None]

    return find


def _flatten(node: Node) -> Find | None:
    """``a[]``: lists within the list are laid one behind the other."""
    base = _plain(node["children"][0])
    if base is None:
        return None

    def find(value: Any) -> Any:
        several = base(value)
        if not isinstance(several, list):
            return None
        laid: list[Any] = []
        for each in several:
            if isinstance(each, list):
                laid += each
            else:
                laid.append(each)
        return laid

    return find


def _filtered(node: Node) -> Find | None:
    """``a[?kind=='x'].b``; other conditions than one equal text are left to the interpreter."""
    base, inner = (_plain(child) for child in node["children"][:2])
    condition = node["children"][2]
    if base is None or inner is None or condition["type"] != "comparator" or condition["value"] != "eq":
        return None
    left, right = condition["children"]
    key = _plain(left)
    if key is None or right["type"] != "literal" or not isinstance(right["value"], str):
        return None
    wanted = right["value"]

    def find(value: Any) -> Any:
        several = base(value)
        if not isinstance(several, list):
            return None
        kept = (each for each in several if key(each) == wanted)
        return [found for found in map(inner, kept) if found is not None]

    return find


def _function(node: Node) -> Find | None:
    """``not_null(a, b)``: the first that is there."""
    choices = [_plain(child) for child in node["children"]]
    if node["value"] != "not_null" or not choices or any(choice is None for choice in choices):
        return None
    known = [choice for choice in choices if choice is not None]

    def find(value: Any) -> Any:
        return next((found for found in (choice(value) for choice in known) if found is not None), None)

    return find


def _hash(node: Node) -> Find | None:
    """``{a: b, c: d}``"""
    pairs = [(child["value"], _plain(child["children"][0])) for child in node["children"]]
    if any(find is None for _, find in pairs):
        return None
    known = [(name, find) for name, find in pairs if find is not None]
    return lambda value: None if value is None else {name: find(value) for name, find in known}


_FORMS: dict[str, Callable[[Node], Find | None]] = {
    "field": _field,
    "current": _same,
    "identity": _same,
    "index": _index,
    "literal": _literal,
    "subexpression": _chain,
    "index_expression": _chain,
    "pipe": _chain,
    "projection": _projection,
    "flatten": _flatten,
    "filter_projection": _filtered,
    "function_expression": _function,
    "multi_select_hash": _hash,
}
