"""``switchover pointer read | swap | verify``: one pointer, from a plan or by its kind and keys."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from switchover.cli.options import Result, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.pointers import Change, Pointer
from switchover.steps.move import kinds, leased, move, pointer_spec

EXAMPLE = "--plan include/plans/docs.yaml"


def fill_pointer(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    _which(verb("read", _read, "say which arm is live", f"switchover pointer read {EXAMPLE}"))

    swap = verb(
        "swap",
        _swap,
        "move the pointer, compare-and-set; exit 5 when it is not where it was expected",
        f"switchover pointer swap {EXAMPLE} --expect docs_v1 --to docs_v2 --dry-run",
    )
    _which(swap)
    swap.add_argument("--expect", required=True, metavar="ARM", help="the arm that must be live now")
    swap.add_argument("--to", required=True, metavar="ARM", help="the arm to move to")
    swap.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    swap.add_argument(
        "--within", type=float, default=30, metavar="SECONDS", help="until the store serves it (default: 30)"
    )

    verify = verb(
        "verify",
        _verify,
        "exit 0 if the store serves the arm everywhere, else 1",
        "switchover pointer verify --kind kv_etcd --set connection=etcd --set key=docs --arm docs_v2",
    )
    _which(verify)
    verify.add_argument("--arm", required=True, metavar="ARM", help="the arm that should be live")


def _which(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--plan", type=Path, metavar="FILE", help="the pointer of this plan; its lease is respected")
    which.add_argument("--kind", metavar="KIND", help=f"a pointer without a plan: {', '.join(kinds())}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --kind: a key of the plan's `pointer` part; dots go deeper (targets.docs_v1=...)",
    )


def _open(options: argparse.Namespace, edge: Edge) -> tuple[Pointer, Plan | None]:
    if options.plan is not None:
        if options.set:
            raise BadInput("--set: belongs to --kind; a plan says everything itself")
        plan = load_plan(options.plan)
        return plan.pointer.build(edge), plan
    return pointer_spec({"kind": options.kind, **assignments(options.set)}).build(edge), None


def assignments(given: Sequence[str]) -> dict[str, Any]:
    """``["a.b=1", "c=x"]`` as nested mappings; values are YAML scalars."""
    found: dict[str, Any] = {}
    for text in given:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise BadInput(f"--set {text!r}: allowed: KEY=VALUE")
        *parents, last = path.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = yaml.safe_load(value) if value else ""
    return found


def _read(options: argparse.Namespace, edge: Edge) -> Result:
    pointer, _ = _open(options, edge)
    now = pointer.read()
    data = {"pointer": pointer.key, "target": now.target, "version": now.version, "epoch": now.epoch}
    if now.target is None:
        return f"{pointer.key}: does not exist", data, 1
    known = ", ".join(f"{name} {data[name]}" for name in ("version", "epoch") if data[name] is not None)
    return f"{pointer.key}: {now.target!r} is live{f' ({known})' if known else ''}", data, 0


def _swap(options: argparse.Namespace, edge: Edge) -> Result:
    pointer, plan = _open(options, edge)
    actor = f"command line, {getpass.getuser()}"
    if options.dry_run:
        change = Change(before=options.expect, after=options.to, epoch=pointer.read().epoch or 0, actor=actor)
        line = pointer.plan(change)
        return line, {"pointer": pointer.key, "dry_run": True, "plan": line}, 0
    wanted = {"expect": options.expect, "to": options.to, "actor": actor, "converge_s": options.within}
    if plan is None:
        moved = move(pointer, **wanted)
    else:
        for arm in (options.expect, options.to):
            plan.require_arm(arm)
        with leased(Ledger(engine=edge.sql(plan.ledger)), pointer, actor=actor, seconds=options.within) as epoch:
            moved = move(pointer, epoch=epoch, **wanted)
    return moved.line, moved.to_json(), 0


def _verify(options: argparse.Namespace, edge: Edge) -> Result:
    pointer, _ = _open(options, edge)
    why = pointer.behind(options.arm)
    line = (
        f"{pointer.key}: {'does not serve' if why else 'serves'} {options.arm!r}{f': {why}' if why else ' everywhere'}"
    )
    return line, {"pointer": pointer.key, "arm": options.arm, "verified": not why, "why": why}, 1 if why else 0
