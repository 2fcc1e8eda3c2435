"""CONTRIBUTING's map against the tree: a stranger finds every package, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench import structure

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP = PAGE.split("## Where things are\n")[1].split("\n## ")[0]
KINDS = PAGE.split("## Adding a kind\n")[1].split("\n## ")[0]
ROWS = [line.split("|")[1] for line in MAP.splitlines() if line.startswith("| `")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("bench", "dags", "docs", "include", "plugins", "tests")
PRODUCT = structure.ROOT / "switchover"


def test_the_map_fits_on_one_screen() -> None:
    assert len(MAP.strip().splitlines()) < 40


def test_the_map_names_every_package_and_flat_module_once_and_no_other() -> None:
    there = [path.parent.name for path in PRODUCT.glob("*/__init__.py")]
    there += [path.stem for path in PRODUCT.glob("*.py") if path.stem != "__init__"]
    assert sorted(name for row in ROWS for name in re.findall(r"`(\w+)`", row)) == sorted(there)


def test_the_map_stands_in_the_order_of_the_floors() -> None:
    floor = {name: number for number, names in enumerate(structure.FLOORS) for name in names}
    floors = [floor[name] for row in ROWS for name in re.findall(r"`(\w+)`", row)]
    assert floors == sorted(floors)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+(?:/|\.py|\.txt))`|(docs/[\w-]+\.md)", MAP + KINDS))))
def test_every_path_that_is_named_is_there(path: tuple[str, str]) -> None:
    name = path[0] or path[1]
    assert (ROOT / name).exists() or (PRODUCT / name).exists()


@pytest.mark.parametrize("kind", ["pointers", "indexes", "signals", "encoders", "writers", "judge/rules"])
def test_adding_a_kind_says_where_its_file_and_its_line_go(kind: str) -> None:
    assert f"`{kind}/`" in KINDS and f"`{kind}/__init__.py`" in KINDS


def test_every_python_file_that_a_page_names_is_there() -> None:
    there = [f"/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    named = [(page, name) for page in PAGES for name in re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8"))]
    assert named
    assert [each for each in named if not any(path.endswith(f"/{each[1]}") for path in there)] == []
