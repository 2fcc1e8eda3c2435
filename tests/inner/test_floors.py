"""The floors of the inner ring: their order is a contract, ``bench.structure.FLOORS``."""

from __future__ import annotations

import argparse
import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench import structure

from switchover.cli.entry import COMMANDS, build_parser, main

FILES = structure.modules()
GRAPH = structure.imports(FILES)
HEAVY = ("sqlalchemy", "psycopg", "httpx", "numpy", "boto3", "botocore", "kubernetes", "redis", "confluent_kafka")


def test_no_package_imports_upwards() -> None:
    assert structure.upward(GRAPH) == []


def test_no_files_and_no_packages_import_each_other_in_a_ring() -> None:
    assert structure.circles(GRAPH) == []
    assert structure.circles(structure.packages(GRAPH)) == []


def test_at_most_ten_modules_lie_flat() -> None:
    flat = [path.name for path in (structure.ROOT / "switchover").glob("*.py") if path.name != "__init__.py"]
    assert len(flat) <= 10, flat


def test_every_exception_has_a_reason_and_is_needed() -> None:
    for (module, target), why in structure.EXCEPTIONS.items():
        assert target in GRAPH[module] and len(why) > 20


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("edge/sql.py", "from switchover.plan import Plan", ("switchover.edge.sql", "switchover.plan")),
        ("judge/measure.py", "import switchover.ledger", ("switchover.judge.measure", "switchover.ledger")),
    ],
)
def test_one_wrong_import_is_found(tmp_path: Path, file: str, line: str, found: tuple[str, str]) -> None:
    shutil.copytree(structure.ROOT / "switchover", tmp_path / "switchover", ignore=shutil.ignore_patterns("*.pyc"))
    path = tmp_path / "switchover" / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert found in structure.upward(structure.imports(structure.modules(tmp_path)))


def test_a_ring_is_found() -> None:
    assert structure.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    "module", ["switchover.plan", "switchover.cli", "switchover.lazy", "switchover.encoders.wordllama"]
)
def test_a_plan_loads_no_library_of_a_store(module: str) -> None:
    code = f"import sys, {module}; print([each for each in {HEAVY!r} if each in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_help_loads_no_library_of_a_store() -> None:
    code = (
        "import sys, switchover.cli\n"
        "try:\n    switchover.cli.main(['--help'])\n"
        f"finally:\n    print([each for each in {HEAVY!r} if each in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.strip() == "[]"


@pytest.mark.parametrize("given", [[], ["-h"], ["no-such-command"]], ids=["nothing", "help", "unknown"])
def test_help_and_a_refusal_name_every_command(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    said = capsys.readouterr()
    assert ended.value.code == (0 if given == ["-h"] else 2)
    assert not given or all(name in said.out + said.err for name, _, _ in COMMANDS)


def test_a_parser_knows_the_arguments_of_one_command_or_of_all() -> None:
    assert _filled(build_parser("status")) == ["status"] and _filled(build_parser("")) == []
    assert _filled(build_parser()) == [name for name, _, _ in COMMANDS]


def _filled(parser: argparse.ArgumentParser) -> list[str]:
    commands = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return [name for name, command in commands.choices.items() if len(command._actions) > 1]


@pytest.mark.parametrize("path", FILES.values(), ids=[*FILES])
def test_what_is_loaded_late_is_what_type_checkers_see(path: Path) -> None:
    tree = ast.parse(path.read_text())
    late = {
        (node.targets[0].id, node.value.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "lazy"
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value.args[0], ast.Constant)
    }
    seen = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            seen |= {(alias.asname or alias.name, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            seen |= {(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names}
    assert late <= seen
