"""``switchover index attest | adopt``: read an arm's index whole, or take it over, without a switchover."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from switchover.cli.options import Result, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.ledger import Ledger
from switchover.pins import check_pin_names
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.steps.adopt import adopt
from switchover.steps.attest import checks_of, read_whole, told
from switchover.text import first_line, table

PLAN = "include/plans/docs.yaml"


def fill_index(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    attest = verb(
        "attest",
        _attest,
        "read an arm's index whole, or go on with a reading that was interrupted; exit 1 when it is not its build",
        f"switchover index attest --plan {PLAN} --arm docs_v2",
    )
    _arm(attest)
    attest.add_argument("--anew", action="store_true", help="also when nothing was written since it was read")

    adopt = verb(
        "adopt",
        _adopt,
        "take over an index that was not built by us: write its manifest and receipt, change nothing else",
        f"switchover index adopt --plan {PLAN} --arm docs_v1 --facts adopt.yaml",
    )
    _arm(adopt)
    adopt.add_argument("--facts", type=Path, metavar="FILE", help="YAML with `pins` and `encoder`, as far as known")
    adopt.add_argument("--pin", action="append", default=[], metavar="PIN=VALUE", help="one pin; before the file's")
    adopt.add_argument("--again", action="store_true", help="also where there is a manifest")


def _arm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")
    parser.add_argument("--arm", metavar="ARM", default="green", help="an arm, or `green`: the plan's (default)")


def _attest(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan)
    arm, index, ledger = _named(plan, options.arm), plan.indexes(edge), Ledger(engine=edge.sql(plan.ledger))
    actor, written = f"command line, {getpass.getuser()}", plan.index_of(arm).written or bool(plan.sharing(arm))
    found = read_whole(index, ledger, arm, actor=actor, say=_say, written=written, anew=options.anew)
    checks = checks_of(index, found, label=arm, written=written)
    rows = [(check.name, check.found, check.expected, "" if check.ok else "FAILED") for check in checks]
    lines = [told(found), table([("check", "found", "expected", ""), *rows])]
    data = {"target": arm, "skipped": found.skipped, "checks": [asdict(check) for check in checks]}
    return "\n".join(lines), data, 0 if all(check.ok for check in checks) else 1


def _adopt(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan)
    arm, facts = _named(plan, options.arm), _facts(options.facts)
    given = dict(pin.partition("=")[::2] for pin in options.pin)
    pins = {**facts.get("pins", {}), **given}
    try:
        check_pin_names(pins)
    except ValueError as error:
        raise BadInput(str(error)) from None
    found = adopt(
        plan.indexes(edge),
        Ledger(engine=edge.sql(plan.ledger)),
        arm,
        pins={name: str(value) for name, value in pins.items()},
        encoder=facts.get("encoder", {}),
        person=getpass.getuser(),
        again=options.again,
        say=_say,
    )
    data = {"target": arm, "index_hash": found.manifest.index_hash, "unknown": list(found.unknown)}
    return found.line, data, 0


def _facts(path: Path | None) -> dict[str, Any]:
    """What a file says of an index; ``BadInput`` for another key."""
    if path is None:
        return {}
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: {first_line(error)}") from error
    known = isinstance(read, dict) and set(read) <= {"pins", "encoder"}
    if not known or not all(isinstance(part, dict) for part in read.values()):
        raise BadInput(f"{path}: allowed: `pins` and `encoder`, each with its names and values")
    return dict(read)


def _named(plan: Plan, arm: str) -> str:
    arm = plan.green if arm == "green" else arm
    plan.require_arm(arm)
    return arm


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
