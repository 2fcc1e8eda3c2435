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
broken = "hollow:NotThere"
taken = "shelf:Taken"
[project.entry-points."switchover.encoders"]
letters = "letters:LettersSpec"
broken = "hollow:NotThere"
{others}
[tool.setuptools]
py-modules = ["shelf", "letters", "hollow"]
"""
NAMED = ("switchover.pointers", "switchover.encoders")
MODULE = '''
"""A pointer of somebody else: a file that names the live arm."""
from pathlib import Path
from typing import Literal

from switchover.pointers import Capabilities, EpochCheck, Pointer, PointerSpec, Reading


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

    def refuse_older(self, epoch):
        pass

    def swap(self, change, now):
        raise NotImplementedError

    def shadow(self, target):
        raise NotImplementedError
'''
ENCODER = '''
"""An encoder of somebody else, in a module of its own."""
from typing import Literal

from switchover.encoders import EncoderSpec


class LettersSpec(EncoderSpec):
    """Letters, counted."""

    names = "letters"
    kind: Literal["letters"]
    name: Literal["letters"] = "letters"
    revision: str = "1"
    dimension: int = 26

    def build(self, edge):
        return Letters(self)

    @classmethod
    def reported(cls, facts):
        return Letters(cls(kind="letters")) if facts.get("name") == "letters" else None


class Letters:
    def __init__(self, spec):
        self.name, self.revision, self.dimension = spec.name, spec.revision, spec.dimension
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
USE_ENCODERS = """
import sys
from pathlib import Path
from switchover.encoders import encoder_from
from switchover.errors import SwitchoverError
from switchover.plan import Plan
from switchover.planfile.load import load_plan
plan = load_plan(Path(sys.argv[1]))
judge, stored = plan.judge_encoder.build(None), plan.build.encoder.build(None)
print(judge.name, stored.name, stored.dimension, encoder_from(plan.judge_encoder.facts()).name)
print(encoder_from(plan.build.encoder.facts()).name, Plan.model_validate_json(plan.to_json()) == plan)
try:
    encoder_from({"name": "bert"})
except SwitchoverError as error:
    print(error)
try:
    load_plan(Path(sys.argv[2]))
except SwitchoverError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in it, as pip installs it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    others = "\n".join(
        f'[project.entry-points."{group}"]\nbroken = "hollow:NotThere"' for group in GROUPS if group not in NAMED
    )
    (source / "pyproject.toml").write_text(PROJECT.format(others=others))
    (source / "shelf.py").write_text(MODULE)
    (source / "letters.py").write_text(ENCODER)
    (source / "hollow.py").write_text("")
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
    for group in GROUPS:  # that each is read: its broken kind is told
        assert f"{group}: hollow:NotThere cannot be used: AttributeError" in done.stderr
    assert "switchover.pointers: shelf:Taken cannot be used: the kind 'pgvector' is there already" in done.stderr


def test_a_plan_uses_an_encoder_of_an_installed_package_and_may_still_leave_the_kind_out(
    installed: Path, tmp_path: Path
) -> None:
    plan = yaml.safe_load((ROOT / "include" / "plans" / "docs.yaml").read_text())
    (tmp_path / "gold.jsonl").write_bytes((ROOT / "include" / "plans" / plan["gold"]["path"]).read_bytes())
    plan["gold"]["path"] = "gold.jsonl"
    plan.pop("cache", None)
    plan["judge_encoder"] = {"kind": "letters"}
    documents = {"connection": "docs_db"}
    plan["build"] = {"documents": documents, "encoder": {"dimension": 64}, "chunking": "fixed-300/1"}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    plan["build"]["encoder"] = {"dimension": 999}
    plan["judge_encoder"] = {"kind": "sketches"}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(plan))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT / "include")])}
    argv = [sys.executable, "-c", USE_ENCODERS, tmp_path / "plan.yaml", tmp_path / "wrong.yaml"]
    done = subprocess.run(argv, env=environ, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    made, read, unknown, *wrong = done.stdout.splitlines()
    assert made == "letters wordllama-l2-supercat 64 letters"
    assert read == "wordllama-l2-supercat True"
    assert unknown.startswith("encoder 'bert' is not known; allowed: wordllama-l2-supercat, universal")
    assert ", letters; any other: say it in the plan, `encoder` of the arm" in unknown
    assert "build.encoder.dimension: found 999; allowed: less than or equal to 256" in wrong[0]
    assert (
        "judge_encoder.kind: found 'sketches'; allowed: 'wordllama', 'multilingual', 'openai', 'tei',"
        " 'callable', 'letters'" in wrong[1]
    )


def test_every_group_of_entry_points_is_told_in_the_docs() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    assert all(f"`{group}`" in text for group in GROUPS)
