"""The JSON of an answer, read in bounds: its size, how deep it is, its numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import httpx

DEEPEST = 32  # brackets within each other
MOST = 100_000  # brackets in one answer
DIGITS = 19  # of a whole number: what 64 bits hold
_KINDS = {bool: "true or false", dict: "an object", list: "a list", str: "a text"}


class BadAnswer(ValueError):
    """An answer that is no JSON within the bounds. The text says why, in a few words, without the answer."""


def read_json(response: httpx.Response) -> Any:
    """The JSON of an answer; ``BadAnswer`` for what is none, is nested too deeply, or holds no finite number."""
    return parse_json(response.content)


def read_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; ``BadAnswer`` when it is something else."""
    body = read_json(response)
    if not isinstance(body, dict):
        raise BadAnswer(f"answer is {kind_of(body)}; allowed: an object")
    return body


def parse_json(body: bytes) -> Any:
    """JSON from bytes of UTF-8. ``BadAnswer`` as :func:`read_json` says."""
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > MOST:
        raise BadAnswer(f"answer has {brackets:,} brackets; allowed: up to {MOST:,}")
    try:
        text = body.decode("utf-8-sig")
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_short)
    except UnicodeDecodeError:
        raise BadAnswer("answer is no UTF-8") from None
    except RecursionError:
        raise _too_deep() from None
    except BadAnswer:
        raise
    except ValueError:
        raise BadAnswer("answer is no JSON" if body.strip() else "answer is empty") from None
    if brackets > DEEPEST:
        _check_depth(found)
    return found


def kind_of(value: Any) -> str:
    """What a JSON value is, in a person's words."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


def _no_number(name: str) -> NoReturn:
    raise BadAnswer(f"answer holds {name}, which is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadAnswer("answer holds a number that is too large")
    return value


def _short(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise BadAnswer(f"answer holds a whole number of {len(digits)} digits; allowed: up to {DIGITS}")
    return int(digits)


def _too_deep() -> BadAnswer:
    return BadAnswer(f"answer has brackets within each other deeper than {DEEPEST}")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level if isinstance(outer, list | dict) for inner in _inside(outer)]
        if not level:
            return
    raise _too_deep()


def _inside(outer: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer
