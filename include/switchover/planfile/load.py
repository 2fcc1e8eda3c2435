"""Reads a plan file: its shape, what else it must be, and the files that it names.

Those lie in one of three folders, also behind every link:

- the plan's own folder and what is below it,
- the folder ``gold`` beside the plan's folder,
- the folder that the deployment names in ``SWITCHOVER_FILES``; without it the project's ``include/gold``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from switchover.errors import PlanError
from switchover.gold.corpus.file import FileCorpus
from switchover.gold.spec import Gold
from switchover.plan import Plan, renamed
from switchover.planfile.checks import problems
from switchover.planfile.lines import LinedYaml, shown

ROOT = "SWITCHOVER_FILES"


def load_lined(path: Path) -> tuple[Plan, LinedYaml]:
    """The plan, and the file that says on which line a key stands. ``PlanError``, and nothing else."""
    try:
        source = LinedYaml.read(path)
        return _plan_of(source), source
    except PlanError:
        raise
    except Exception as error:  # one plan's fault, also one that nobody thought of, is never another plan's
        raise PlanError(f"{shown(path)}:1: cannot be read as a plan ({type(error).__name__}); report this") from error


def _plan_of(source: LinedYaml) -> Plan:
    if not isinstance(source.data, dict):
        raise PlanError(source.told((), f"a plan is a mapping of keys; found {type(source.data).__name__}"))
    source.use_names_of_now(*renamed(source.data))
    plan = source.validate(Plan)
    source.refuse(problems(plan, source.data))
    update: dict[str, Any] = {
        "gold": _gold_of(source, plan.gold),
        "notify": [
            channel.model_copy(
                update={"template": _file_of(source, ("notify", number, "template"), channel.template, "a Jinja2 file")}
            )
            for number, channel in enumerate(plan.notify)
        ],
    }
    if plan.cache is not None:
        popular = _file_of(source, ("cache", "popular"), plan.cache.popular, "a text file with a question a line")
        update["cache"] = plan.cache.model_copy(update={"popular": popular})
    return plan.model_copy(update=update)


def _gold_of(source: LinedYaml, gold: Gold) -> Gold:
    """The gold part with absolute paths; also what a format reads beside the file lies where files of plans may be."""
    path = _file_of(source, ("gold", "path"), gold.path, "a file with questions") or gold.path
    for file in gold.format.files(Path(path))[1:]:
        _file_of(source, ("gold", "format"), str(file), "a file beside the questions")
    update: dict[str, Any] = {
        "path": path,
        "paraphrases": _file_of(source, ("gold", "paraphrases"), gold.paraphrases, "a JSON lines file"),
    }
    if isinstance(gold.corpus, FileCorpus):
        corpus = _file_of(source, ("gold", "corpus", "path"), gold.corpus.path, "a file with source texts")
        update["corpus"] = gold.corpus.model_copy(update={"path": corpus})
    return gold.model_copy(update=update)


def _folders_of(plan: Path) -> list[Path]:
    """Where files of this plan may be, with every link followed."""
    root = os.environ.get(ROOT) or Path(__file__).resolve().parents[2] / "gold"
    return [Path(each).resolve() for each in (plan.parent, plan.parent / ".." / "gold", root)]


def _file_of(source: LinedYaml, key: tuple[str | int, ...], name: str | None, allowed: str) -> str | None:
    """A named file's absolute path; ``PlanError`` when there is none where files of a plan may be."""
    if name is None:
        return None
    told = f"allowed: {allowed}, relative to the plan"
    try:
        found = (source.path.parent / name).resolve()
        folders = _folders_of(source.path)
        inside = any(found.is_relative_to(folder) for folder in folders)
        missing = inside and not found.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, a circle of links
        source.refuse(iter([(key, f"cannot be looked at: {type(error).__name__}; {told}")]))
        raise
    if not inside:
        listed = ", ".join(shown(folder) for folder in folders)
        problem = f"leads out of the folders for files of plans ({listed}); {ROOT} names another; {told}"
        source.refuse(iter([(key, problem)]))
    if missing:
        source.refuse(iter([(key, f"no such file: {name}; {told}")]))
    return str(found)


def load_plan(path: Path) -> Plan:
    """Read and check one plan file; the paths in it are made absolute.

    Raises ``PlanError`` with one line per problem, and nothing else.
    """
    return load_lined(path)[0]
