"""Kinds from an installed package: a plan uses one, and a broken package takes nothing away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from switchover.registry import GROUPS

ROOT = Path(__file__).parents[2]
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "shelf"
version = "1"
[project.entry-points."switchover.pointers"]
shelf = "shelf:ShelfSpec"
broken = "shelf:NotThere"
taken = "shelf:Taken"
[tool.setuptools]
py-modules = ["shelf"]
"""
MODULE = '''
"""A pointer of somebody else: a file that names the live arm."""
from pathlib import Path
from typing import Literal

from switchover.pointers import Capabilities, Fencing, Pointer, PointerSpec, Reading


class ShelfSpec(PointerSpec):
    """A file."""

    kind: Literal["shelf"]
    file: str

    def build(self, edge):
        return Shelf(self)


class Taken(ShelfSpec):
    kind: Literal["pgvector"]


class Shelf(Pointer):
    def __init__(self, spec):
        self.key, self._file = f"shelf:{spec.file}", Path(spec.file)

    def describe(self):
        raise NotImplementedError

    def read(self):
        return Reading(target=self._file.read_text().strip(), version="1")

    def check_target(self, target):
        pass

    def fence(self, epoch):
        pass

    def swap(self, change, now):
        raise NotImplementedError

    def shadow(self, target):
        raise NotImplementedError
'''
USE = """
import logging, sys
from pathlib import Path
logging.basicConfig(format="%(message)s")
from switchover.plan import plan_schema
from switchover.planfile.load import load_plan
plan = load_plan(Path(sys.argv[1]))
print(plan.pointer.kind, plan.pointer.build(None).read().target, "ShelfSpec" in plan_schema()["$defs"])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in it, as pip installs it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "shelf.py").write_text(MODULE)
    uv = Path(sys.executable).parent / "uv"
    argv = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    subprocess.run([*argv, "--python", sys.executable, "--target", target, source], check=True, timeout=120)
    return target


def test_a_plan_uses_a_pointer_of_an_installed_package(installed: Path, tmp_path: Path) -> None:
    plan = yaml.safe_load((ROOT / "include" / "plans" / "docs.yaml").read_text())
    gold = ROOT / "include" / "plans" / plan["gold"]["path"]
    (tmp_path / "gold.jsonl").write_bytes(gold.read_bytes())
    (tmp_path / "live").write_text("docs_v1\n")
    plan["gold"]["path"] = "gold.jsonl"
    plan.pop("cache", None)
    plan["pointer"] = {"kind": "shelf", "connection": "nowhere", "file": str(tmp_path / "live")}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT / "include")])}
    argv = [sys.executable, "-c", USE, tmp_path / "plan.yaml"]
    done = subprocess.run(argv, env=environ, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "shelf docs_v1 True\n"), done.stderr
    assert "switchover.pointers: shelf:NotThere cannot be used: AttributeError" in done.stderr
    assert "switchover.pointers: shelf:Taken cannot be used: the kind 'pgvector' is there already" in done.stderr


def test_every_group_of_entry_points_is_told_in_the_docs() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    assert all(f"`{group}`" in text for group in GROUPS)
