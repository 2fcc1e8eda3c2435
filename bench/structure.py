"""How the inner ring is built: ``python bench/structure.py`` prints one JSON line.

``files, lines, median_lines, longest_file``: Python files below include/switchover. ``functions_over_60_lines``.
``top_level_modules``: modules that lie flat. ``circles_of_files, circles_of_packages``: groups that import each other
in a ring; imports for type checkers only count too. ``upward``: imports against the order of :data:`FLOORS`.
"""

from __future__ import annotations

import ast
import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1] / "include"
PRODUCT = "switchover"

#: The contract: a floor may import itself and what stands before it, nothing behind it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "lazy", "protocol", "approval", "text"),
    ("pins", "part"),
    ("registry",),
    ("edge",),
    ("judge",),  # pure; its rules are a part of the plan, so it stands low
    ("fence", "cache", "notify"),
    ("consumers", "ready"),
    ("encoders",),
    ("pointers",),
    ("writers", "indexes"),
    ("indexing", "signals"),
    ("gold",),
    ("arms",),
    ("compare",),
    ("plan",),
    ("planfile",),
    ("ledger",),
    ("report",),
    ("steps",),
    ("page", "watchdog"),
    ("cli",),
)

#: Imports that go up all the same: (who, what) -> why.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name of each module of the product -> its file."""
    found = {}
    for path in sorted((root / PRODUCT).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which modules of the product each module imports, also for type checkers only or inside a function."""
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {each if each in files else node.module for each in whole}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = {each for each in found if each in files and each != name}
    return graph


def unit(module: str) -> str:
    """The package right below the product, or the module that lies flat there."""
    return module.split(".")[1] if "." in module else module


def packages(graph: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """The same graph between packages."""
    found: dict[str, set[str]] = {}
    for module, targets in graph.items():
        found.setdefault(unit(module), set()).update(unit(each) for each in targets if unit(each) != unit(module))
    return found


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of two and more that import each other in a ring."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted({name} | {other for other in reach[name] if name in reach.get(other, ())}))
        for name in graph
        if name in reach[name]
    }
    return [list(group) for group in sorted(groups)]


def upward(graph: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Imports against the order of the floors, without the exceptions; a package that has no floor is one too."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    wrong = [(module, "no floor") for module in graph if unit(module) not in (*floor, PRODUCT)]
    for module, targets in graph.items():
        for target in targets:
            low, high = floor.get(unit(module)), floor.get(unit(target))
            if low is None or high is None or unit(module) == unit(target) or (module, target) in EXCEPTIONS:
                continue
            if high >= low:
                wrong.append((module, target))
    return sorted(wrong)


def long_functions(files: Iterable[Path], lines: int = 60) -> list[str]:
    """Functions of more than so many lines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{path.name}:{node.lineno} {node.name}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, kinds) and (node.end_lineno or 0) - node.lineno + 1 > lines
    ]


def _reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph.get(start, ()))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += graph.get(name, ())
    return seen


def main() -> None:
    """Print the figures."""
    files = modules()
    graph = imports(files)
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()}
    flat = [name for name, path in files.items() if path.parent == ROOT / PRODUCT and path.name != "__init__.py"]
    print(
        json.dumps(
            {
                "files": len(files),
                "lines": sum(lengths.values()),
                "median_lines": statistics.median(lengths.values()),
                "longest_file": max(lengths.items(), key=lambda each: each[1]),
                "functions_over_60_lines": long_functions(files.values()),
                "top_level_modules": len(flat),
                "circles_of_files": circles(graph),
                "circles_of_packages": circles(packages(graph)),
                "upward": upward(graph),
            }
        )
    )


if __name__ == "__main__":
    main()
