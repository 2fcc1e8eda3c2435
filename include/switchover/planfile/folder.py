"""A folder of plans: each on its own, and what two of them may not have in common.

A service belongs to one plan. A pointer or a writer may stand in two plans only when both say ``shared: true`` there:
else two switchovers at once would move one pointer, or resume a writer that the other has frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from switchover.errors import PlanError
from switchover.plan import Plan
from switchover.planfile.lines import LinedYaml, Location, shown
from switchover.planfile.load import load_lined
from switchover.pointers import PointerSpec
from switchover.writers import WriterSpec

SUFFIXES = (".yaml", ".yml")
#: Texts of a pointer's part that do not say which pointer it is.
PROSE = {"accept_split_brain"}
Place = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One plan file: its plan, or the error that takes the plan's place."""

    path: Path
    plan: Plan | None = None
    error: PlanError | None = None
    old_names: str | None = None  # one line that says what to rename


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What a plan takes for itself: ``place`` tells it from every other, ``words`` say it to people."""

    place: Place
    words: str
    key: Location
    shared: bool


def plan_files(place: Path) -> list[Path]:
    """The plan files of a folder, sorted, without hidden ones; ``place`` itself when it cannot be looked into."""
    try:
        inside = sorted(place.iterdir())
    except OSError:
        return [place]
    return [path for path in inside if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]


def load_plans(paths: Iterable[Path]) -> list[Found]:
    """Every plan by itself, then held against each other. Never raises: what is wrong is the plan's own error."""
    loaded = [_load(path) for path in paths]
    clashes = dict[Path, list[str]]()
    for path, line in _clashes([(source, plan) for found, source in loaded if source and (plan := found.plan)]):
        clashes.setdefault(path, []).append(line)
    return [
        replace(found, plan=None, error=PlanError("\n".join(clashes[found.path]))) if found.path in clashes else found
        for found, _ in loaded
    ]


def _load(path: Path) -> tuple[Found, LinedYaml | None]:
    try:
        plan, source = load_lined(path)
    except PlanError as error:
        return Found(path=path, error=error), None
    return Found(path=path, plan=plan, old_names=_old_names(source)), source


def _old_names(source: LinedYaml) -> str | None:
    if not source.renamed:
        return None
    words = [f"`{'.'.join(map(str, old))}` to `{'.'.join(map(str, new))}`" for old, new in source.renamed]
    return source.told(source.renamed[0][0][:1], f"an old name, which is still read; rename {' and '.join(words)}")


def _clashes(plans: list[tuple[LinedYaml, Plan]]) -> Iterator[tuple[Path, str]]:
    """For each plan that takes what another has: its path, and a line that names the other and says what is allowed."""
    taken = dict[Place, list[tuple[LinedYaml, _Claim]]]()
    for source, plan in plans:
        for claim in _claims(plan):
            taken.setdefault(claim.place, []).append((source, claim))
    for owners in taken.values():
        files = {source.path for source, _ in owners}
        if len(files) < 2 or all(claim.shared for _, claim in owners):
            continue
        for source, claim in owners:
            others = ", ".join(
                f"{shown(other.path)}:{other.line(theirs.key)}" for other, theirs in owners if other.path != source.path
            )
            service = claim.place[0] == "service"
            allowed = "one plan a service" if service else "one plan, or `shared: true` there in each of them"
            yield source.path, source.told(claim.key, f"{claim.words} stands in {others} too; allowed: {allowed}")


def _claims(plan: Plan) -> Iterator[_Claim]:
    yield _Claim(place=("service", plan.service), words=f"service {plan.service!r}", key=("service",), shared=False)
    pointer = plan.pointer
    yield _Claim(place=_pointer(pointer), words=f"this {pointer.kind} pointer", key=("pointer",), shared=pointer.shared)
    for number, writer in enumerate(plan.writers):
        words = f"writer {writer.name!r} ({writer.kind})"
        yield _Claim(place=_writer(writer), words=words, key=("writers", number), shared=writer.shared)


def _pointer(spec: PointerSpec) -> Place:
    """Connection, kind and names; not the arms, but for an Ingress, whose name stands only there."""
    values = spec.model_dump(mode="json")
    names = [f"{key}={value}" for key, value in values.items() if isinstance(value, str) and key not in PROSE]
    if values["kind"] == "k8s_ingress":
        names += sorted(values["targets"].values())
    return ("pointer", *sorted(names), str(values.get("rule", "")))


def _writer(spec: WriterSpec) -> Place:
    """Connection, kind and the names that this kind alone has."""
    common = set(WriterSpec.model_fields) - {"connection"}
    values = spec.model_dump(mode="json", exclude=common)
    return ("writer", *sorted(f"{key}={value}" for key, value in values.items() if isinstance(value, str)))
