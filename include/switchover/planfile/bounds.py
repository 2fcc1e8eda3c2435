"""YAML in bounds: how long a file, how deep, how many nodes. What is beyond them is an error before it costs anything.

A plan has a few hundred nodes. Aliases count as what they stand for, so that a few lines cannot become millions.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 128 * 1024
MAX_NODES = 5_000
MAX_DEPTH = 20
TEXT_TAG = "tag:yaml.org,2002:str"
NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
DATE_TAG = "tag:yaml.org,2002:timestamp"


class BoundedLoader(yaml.SafeLoader):
    """A ``SafeLoader`` that counts. A date stays the text that it is in the file; a tag is refused."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the base class has it so)
        first: [(tag, pattern) for tag, pattern in found if tag != DATE_TAG]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """See ``yaml.composer.Composer``; a ``MarkedYAMLError`` beyond a bound."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) not in (None, TEXT_TAG):
            raise _beyond("tags are not allowed", event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _beyond(f"nested deeper than {MAX_DEPTH}", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent) and id(node) not in self._sizes:
            raise _beyond(f"*{event.anchor} stands in what it stands for", event)
        if node is not None and id(node) not in self._sizes:
            self._sizes[id(node)] = 1 + sum(self._sizes[id(child)] for child in _children(node))
        # Of what is still open nothing is counted yet: each node is held against the bound, and so is their number.
        if max(self._sizes.get(id(node), 0), len(self._sizes)) > MAX_NODES:
            raise _beyond(f"more than {MAX_NODES} values", event)
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number; one that Python cannot read is an error of its line."""
        try:
            if node.tag == NUMBER_TAGS[0]:
                return int(self.construct_yaml_int(node))
            return float(self.construct_yaml_float(node))
        except (ValueError, OverflowError):
            raise yaml.constructor.ConstructorError(
                None, None, "a number that cannot be read", node.start_mark
            ) from None


for _tag in NUMBER_TAGS:
    BoundedLoader.add_constructor(_tag, BoundedLoader.construct_number)


def read_text(path: Path) -> str:
    """The file's text. ``ValueError`` in words when it is no file, too long, or no UTF-8; ``OSError``."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no file")
    with path.open("rb") as file:
        found = file.read(MAX_BYTES + 1)
    if len(found) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES // 1024} KiB")
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _beyond(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, event.start_mark)  # type: ignore[arg-type]
