"""YAML with line numbers: every validation error can say where it stands in the file."""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from switchover.errors import PlanError
from switchover.planfile.bounds import BoundedLoader, read_text
from switchover.registry import SHAPES

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[int | str]

MAX_TEXT = 2_000
MAX_NUMBER = 1_000_000_000
MAX_LINES = 30
#: What no log, database or page takes as it is: control characters but for tab and line feed, halves of a surrogate.
NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]")


class LinedYaml:
    """One YAML file: its data, and the line of every key."""

    def __init__(self, *, path: Path, data: Any, root: yaml.Node | None) -> None:
        self.path = path
        self.data = data
        self._root = root
        self.renamed: Sequence[tuple[Location, Location]] = ()

    @classmethod
    def read(cls, path: Path) -> LinedYaml:
        """Parse ``path``, in bounds. Duplicate keys, bad YAML and unreadable files are ``PlanError``."""
        try:
            text = read_text(path)
        except OSError as error:
            raise PlanError(f"{shown(path)}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise PlanError(f"{shown(path)}: cannot be read: {error}") from None
        try:
            loader = BoundedLoader(text)
            root = loader.get_single_node()
            _refuse_keys(path, root)
            data = loader.construct_document(root) if root is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else 1
            raise PlanError(f"{shown(path)}:{line}: not YAML: {error.problem or error.context}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise PlanError(f"{shown(path)}:{line}: not YAML: a character that is not allowed") from None
        found = cls(path=path, data=data, root=root)
        found.refuse(_plain_values(data, ()))
        return found

    def use_names_of_now(self, data: Any, renamed: Sequence[tuple[Location, Location]]) -> None:
        """Go on with ``data``, in which each old key of ``renamed`` (old, new) has its new name."""
        self.data, self.renamed = data, renamed

    def line(self, location: Location) -> int:
        """Line of the deepest part of ``location`` that is in the file, counted from 1."""
        node, line = self._root, 1
        for step in self._written(location):
            found = _child(node, step)
            if found is None:
                continue  # the tag of a union, or a key that is missing
            node, line = found
        return line

    def told(self, location: Location, problem: str) -> str:
        """One line: file, line, key, problem."""
        key = ".".join(str(step) for step in self._written(location))
        parts = (f"{shown(self.path)}:{self.line(location)}", key, problem)
        return " ".join(": ".join(part for part in parts if part).splitlines())

    def _written(self, location: Location) -> Location:
        """The place as the file names it, where that still says an old name."""
        for old, new in self.renamed:
            if tuple(location[: len(new)]) == new:
                return (*old, *location[len(new) :])
        return location

    def refuse(self, problems: Iterator[tuple[Location, str]]) -> None:
        """``PlanError`` when there is any problem, a line for each."""
        _refuse([self.told(location, problem) for location, problem in problems])

    def validate(self, model: type[Model]) -> Model:
        """The data as ``model``; every problem becomes one line of a ``PlanError``."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            _refuse([self._explain(detail, model) for detail in error.errors(include_url=False)])
            raise

    def _explain(self, detail: ErrorDetails, model: type[BaseModel]) -> str:
        location = self._without_tags(detail["loc"])
        if detail["type"].startswith("union_tag"):
            location.append("kind")
        kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
        if kind == "extra_forbidden":
            allowed = _allowed_keys(model, location[:-1], self.data)
            close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            return self.told(location, f"unknown key{hint}; allowed: {', '.join(allowed)}")
        if kind in ("missing", "union_tag_not_found"):
            return self.told(location, "missing; this key is required")
        if kind == "union_tag_invalid":
            found = context["tag"]
        if kind == "value_error":
            problem = str(context.get("error", detail["msg"]))
            named = re.match(r"([a-z_]+(?:\.[\w-]+)*): (.*)", problem, re.DOTALL)
            if named and not location:  # a check of the whole says itself which key it is about
                return self.told(named[1].split("."), named[2])
            return self.told(location, problem)
        allowed_text = str(context.get("expected") or context.get("expected_tags") or detail["msg"])
        allowed_text = allowed_text.removeprefix("Input should be ")
        if kind == "string_type" and isinstance(found, bool | int | float):
            allowed_text += "; put it into quotes"
        return self.told(location, f"found {_short(found)}; allowed: {allowed_text}")

    def _without_tags(self, location: Location) -> list[int | str]:
        """Pydantic puts the tag of a union into the location; it is no key of the file."""
        data, kept = self.data, list[int | str]()
        for place, step in enumerate(location, start=1):
            if step in SHAPES:
                continue
            if isinstance(step, str) and isinstance(data, dict) and step not in data:
                # A key that is not there can only come last; before that it is the tag of a part without its `kind`.
                kind = data.get("kind", step if place < len(location) else None)
                if kind == step:
                    continue
            kept.append(step)
            data = _descend(data, step)
        return kept


def shown(path: Path) -> str:
    """A path as text that can be printed, whatever bytes its name has."""
    return NOT_TEXT.sub("?", str(path))


def _refuse(lines: list[str]) -> None:
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"and {len(lines) - MAX_LINES} more"]
    if lines:
        raise PlanError("\n".join(lines))


def _plain_values(data: Any, location: tuple[int | str, ...]) -> Iterator[tuple[Location, str]]:
    """What no text and no number of any key may be."""
    if isinstance(data, dict | list):
        for step, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _plain_values(value, (*location, step))
    elif isinstance(data, str) and NOT_TEXT.search(data):
        yield location, "holds a control character, or half of a character; allowed: text"
    elif isinstance(data, str) and len(data) > MAX_TEXT:
        yield location, f"has {len(data)} characters; allowed: up to {MAX_TEXT}"
    elif isinstance(data, int | float) and not (math.isfinite(data) and abs(data) <= MAX_NUMBER):
        yield location, f"this number is too large, or none; allowed: up to {MAX_NUMBER:,}"


def _descend(data: Any, step: int | str) -> Any:
    if isinstance(data, dict) and step in data:
        return data[step]
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return data


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # what `<<` took over stands before the mapping's own keys
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    return None


def _refuse_keys(path: Path, node: yaml.Node | None) -> None:
    """Keys that are given twice, and keys that are no text."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or NOT_TEXT.search(key.value) or len(key.value) > MAX_TEXT:
                raise PlanError(f"{shown(path)}:{line}: not YAML: a key that is no text; allowed: names of keys")
            if key.value in seen:
                name = " ".join(key.value.splitlines())
                raise PlanError(f"{shown(path)}:{line}: {name}: given twice; first on line {seen[key.value]}")
            seen[key.value] = line
            _refuse_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_keys(path, item)


def _allowed_keys(model: type[BaseModel], location: Location, data: Any) -> list[str]:
    """Field names of the part of ``model`` at ``location``; a union is told by its ``kind``."""
    current: Any = model
    for step in location:
        data = _descend(data, step)
        current = _chosen(_inside(current, step), data)
    return list(current.model_fields) if _is_model(current) else []


def _inside(annotation: Any, step: int | str) -> Any:
    """What stands at a key of a model or of a mapping, or at a place of a list."""
    if _is_model(annotation):
        field = annotation.model_fields.get(str(step))
        return field.annotation if field is not None else None
    arguments = get_args(annotation)
    return arguments[-1] if arguments else None


def _chosen(annotation: Any, data: Any) -> Any:
    """The one of ``X | None``, or of a tagged union, that ``data`` is meant to be."""
    parts = [part for part in _flatten(annotation) if part is not type(None)]
    parts.sort(key=lambda part: isinstance(data, list) != (str(get_origin(part)) == str(list)))
    kind = data.get("kind") if isinstance(data, dict) else None
    for part in parts:
        field = part.model_fields.get("kind") if _is_model(part) else None
        if field is not None and kind in get_args(field.annotation):
            return part
    return parts[0] if parts else None


def _flatten(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _flatten(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for argument in get_args(annotation) for part in _flatten(argument)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
