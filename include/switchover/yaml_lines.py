"""YAML with line numbers: every validation error can say where it stands in the file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from switchover.errors import PlanError

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[int | str]


class LinedYaml:
    """One YAML file: its data, and the line of every key."""

    def __init__(self, *, path: Path, data: Any, root: yaml.Node | None) -> None:
        self.path = path
        self.data = data
        self._root = root

    @classmethod
    def read(cls, path: Path) -> LinedYaml:
        """Parse ``path``. Duplicate keys, bad YAML and unreadable files are ``PlanError``."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{path}: cannot be read: {error}") from error
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_duplicates(path, root)
            return cls(path=path, data=yaml.safe_load(text), root=root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else 1
            raise PlanError(f"{path}:{line}: not YAML: {error.problem or error.context}") from error

    def line(self, location: Location) -> int:
        """Line of the deepest part of ``location`` that is in the file, counted from 1."""
        node, line = self._root, 1
        for step in location:
            found = _child(node, step)
            if found is None:
                continue  # the tag of a union, or a key that is missing
            node, line = found
        return line

    def validate(self, model: type[Model]) -> Model:
        """The data as ``model``; every problem becomes one line of a ``PlanError``."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            lines = [self._explain(detail, model) for detail in error.errors()]
            raise PlanError("\n".join(lines)) from None

    def _explain(self, detail: ErrorDetails, model: type[BaseModel]) -> str:
        location = [step for step in detail["loc"] if not self._is_tag(detail["loc"], step)]
        if detail["type"].startswith("union_tag"):
            location.append("kind")
        where = f"{self.path}:{self.line(location)}"
        key = ".".join(str(step) for step in location)
        kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
        if kind == "extra_forbidden":
            allowed = _allowed_keys(model, location[:-1], self.data)
            close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            return f"{where}: {key}: unknown key{hint}; allowed: {', '.join(allowed)}"
        if kind in ("missing", "union_tag_not_found"):
            return f"{where}: {key}: missing; this key is required"
        if kind == "union_tag_invalid":
            found = context["tag"]
        if kind == "value_error":
            problem = str(context.get("error", detail["msg"]))
            return f"{where}: {key}: {problem}" if key else f"{where}: {problem}"
        allowed_text = str(context.get("expected") or context.get("expected_tags") or detail["msg"])
        allowed_text = allowed_text.removeprefix("Input should be ")
        return f"{where}: {key}: found {_short(found)}; allowed: {allowed_text}"

    def _is_tag(self, location: Location, step: int | str) -> bool:
        """Pydantic puts the tag of a union into the location; it is no key of the file."""
        index = list(location).index(step)
        data: Any = self.data
        for earlier in location[:index]:
            data = _descend(data, earlier)
        return isinstance(step, str) and isinstance(data, dict) and step not in data and data.get("kind") == step


def _descend(data: Any, step: int | str) -> Any:
    if isinstance(data, dict) and step in data:
        return data[step]
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return data


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    return None


def _refuse_duplicates(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise PlanError(f"{path}:{line}: {key.value}: given twice; first on line {seen[key.value]}")
            seen[key.value] = line
            _refuse_duplicates(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(path, item)


def _allowed_keys(model: type[BaseModel], location: Location, data: Any) -> list[str]:
    """Field names of the part of ``model`` at ``location``; a union is told by its ``kind``."""
    current: Any = model
    for step in location:
        data = _descend(data, step)
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(step)].annotation
        current = _part_of(current, data)
    if not (isinstance(current, type) and issubclass(current, BaseModel)):
        return []
    return list(current.model_fields)


def _part_of(annotation: Any, data: Any) -> Any:
    """The model inside ``list[...]``, ``dict[str, ...]``, ``X | None`` or a tagged union."""
    models = [part for part in _flatten(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    kind = data.get("kind") if isinstance(data, dict) else None
    for part in models:
        field = part.model_fields.get("kind")
        if field is not None and kind in getattr(field.annotation, "__args__", ()):
            return part
    return models[0] if models and not (isinstance(data, list)) else annotation


def _flatten(annotation: Any) -> list[Any]:
    arguments = getattr(annotation, "__args__", None)
    if not arguments:
        return [annotation]
    return [part for argument in arguments for part in _flatten(argument)]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
