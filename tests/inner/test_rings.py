"""The rings: what may import what, and what no task code may touch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INNER = sorted((ROOT / "include" / "switchover").rglob("*.py"))
TASK_CODE = [*INNER, *sorted((ROOT / "plugins").rglob("*.py")), *sorted((ROOT / "dags").rglob("*.py"))]
METADATA = ("airflow.models", "airflow.settings", "airflow.utils.session", "airflow.utils.db")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", INNER, ids=lambda path: str(path.relative_to(ROOT)))
def test_inner_ring_never_imports_airflow_or_the_outer_rings(path: Path) -> None:
    outer = {name for name in imported(path) if name.split(".")[0] in ("airflow", "switchover_airflow", "sandbox")}
    assert not outer


@pytest.mark.parametrize("path", TASK_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_task_code_touches_the_metadata_database(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith(METADATA)}


@pytest.mark.parametrize("path", TASK_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320
