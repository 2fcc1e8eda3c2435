"""``switchover rollback | back | restore | rehearse | retire``: what a person does, also when Airflow cannot."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from switchover.cli.options import Result, ledger_option, runs
from switchover.edge.edge import Edge
from switchover.errors import BadInput, NotConverged, SwitchoverError
from switchover.ledger import Ledger
from switchover.ledger.ttr import ttr
from switchover.planfile.load import load_plan
from switchover.report.advice import unproven_steps
from switchover.report.summary import status_line, ttr_line
from switchover.steps.back import go_back, look_back
from switchover.steps.breakglass import break_glass, run_to_roll_back
from switchover.steps.finish import restore
from switchover.steps.promoted import promoted_run
from switchover.steps.readers import unproven
from switchover.steps.rehearse import rehearse_service
from switchover.steps.retire import retire
from switchover.steps.switch import Switch

PLAN = "include/plans/docs.yaml"


def fill_rollback(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    rollback = runs(parser, _rollback, "switchover rollback --service docs")
    which = rollback.add_mutually_exclusive_group(required=True)
    which.add_argument("--service", help="the service; the run goes back by the plan that it began with")
    which.add_argument("--plan", type=Path, metavar="FILE", help="the service's plan, with readers that were mended")
    ledger_option(rollback)
    rollback.add_argument("--run", metavar="RUN", help="the switchover, if several are open")
    rollback.add_argument("--yes", action="store_true", help="do not ask")


def fill_back(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    back = runs(parser, _back, "switchover back --service docs")
    which = back.add_mutually_exclusive_group(required=True)
    which.add_argument("--service", help="the service, by the plan that its promoted run began with")
    which.add_argument("--plan", type=Path, metavar="FILE", help="the service's plan as it is now")
    ledger_option(back)
    back.add_argument("--yes", action="store_true", help="do not ask")


def fill_restore(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    ends = runs(parser, _restore, "switchover restore docs:manual__2026")
    ends.add_argument("run", metavar="RUN", help="id of the switchover, from `switchover status`")
    ends.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="READER",
        help="leave out a reader that cannot be read at all (`pointer`: the store's own proof); it is written down",
    )
    ends.add_argument("--plan", type=Path, metavar="FILE", help="take the readers of this mended plan")
    ledger_option(ends)


def fill_rehearse(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    _plan_option(runs(parser, _rehearse, f"switchover rehearse --plan {PLAN}"))


def fill_retire(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    gone = runs(parser, _retire, f"switchover retire --plan {PLAN} --index docs_v1")
    _plan_option(gone)
    gone.add_argument("--index", required=True, metavar="NAME", help="the index to remove")
    gone.add_argument("--yes", action="store_true", help="do not ask")


def _plan_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")


def _rollback(options: argparse.Namespace, edge: Edge) -> Result:
    mended, person = load_plan(options.plan) if options.plan else None, getpass.getuser()
    ledger = Ledger(engine=edge.sql(mended.ledger if mended else options.ledger))
    row = run_to_roll_back(service=mended.service if mended else options.service, ledger=ledger, run=options.run)
    plan = mended or row.read_plan().model_copy(update={"ledger": options.ledger})  # as it is called here
    told = f"{row.id}: {status_line(row, ledger.now())}\nBring {plan.service!r} back to Blue {row.blue!r} now?"
    _ask(told, "yes", sure=options.yes)
    with _progress():
        back = break_glass(plan=plan, edge=edge, actor=f"command line, {person}", person=person, run=row.id)
    parts = ttr(back.row)
    lines = [f"{back.row.id}: {status_line(back.row, ledger.now())}"]
    lines += [f"time to restore (seconds): {ttr_line(parts)}"] if parts else []
    lines += [f"writers resumed: {', '.join(back.writers) or 'none'}"]
    data = {"id": back.row.id, "state": back.row.state.value, "ttr_s": parts, "writers": back.writers}
    return "\n".join(lines), data, 0


def _back(options: argparse.Namespace, edge: Edge) -> Result:
    person = getpass.getuser()
    if options.plan:
        plan = load_plan(options.plan)
    else:
        run = promoted_run(service=options.service, ledger=Ledger(engine=edge.sql(options.ledger)))
        plan = run.read_plan().model_copy(update={"ledger": options.ledger})  # as it is called here
    found = look_back(plan=plan, edge=edge)
    told = "\n".join([f"{found.run.id}: {status_line(found.run, found.at)}", *found.lines])
    ask = f"Bring {plan.service!r} back to {found.run.blue!r} instead of {found.run.green!r} now?"
    _ask(f"{told}\n{ask}", "yes", sure=options.yes)
    with _progress():
        back = go_back(plan=plan, edge=edge, actor=f"command line, {person}", person=person)
    parts = ttr(back.row)
    lines = [f"{back.row.id}: {status_line(back.row, back.row.ended_at or back.row.updated_at)}", *back.lines]
    lines += [f"time to restore (seconds): {ttr_line(parts)}"] if parts else []
    lines += [f"writers resumed: {', '.join(back.writers) or 'none'}"]
    data = {"id": back.row.id, "state": back.row.state.value, "ttr_s": parts, "lacking": back.lines}
    return "\n".join(lines), {**data, "writers": back.writers}, 0


def _restore(options: argparse.Namespace, edge: Edge) -> Result:
    person, plan = getpass.getuser(), load_plan(options.plan) if options.plan else None
    switch = Switch.open(
        edge=edge,
        ledger=plan.ledger if plan else options.ledger,
        id=options.run,
        actor=f"command line, {person}",
        holder=f"person:{person}",
    )
    try:
        line = restore(switch, person=person, without=options.without, plan=plan)
    except NotConverged as error:
        row = switch.read()
        live, index_hash = row.should_be_live
        missing = unproven(switch, live, index_hash=index_hash or "")
        raise NotConverged("; ".join([str(error), *unproven_steps(row, missing)[1:]])) from error
    finally:
        with contextlib.suppress(SwitchoverError):
            switch.leadership.release()
    return f"{options.run}: {line}", {"id": options.run, "state": switch.read().state.value, "result": line}, 0


def _rehearse(options: argparse.Namespace, edge: Edge) -> Result:
    found = rehearse_service(plan=load_plan(options.plan), edge=edge, actor=f"command line, {getpass.getuser()}")
    data = {"pointer": found.pointer, "seconds": found.seconds, "budget_s": found.budget_s, "ok": found.ok}
    return found.note, data, 0 if found.ok else 1


def _retire(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan)
    _ask(f"Remove index {options.index!r} of {plan.service!r} for good?", options.index, sure=options.yes)
    line = retire(plan=plan, edge=edge, index=options.index, actor=f"command line, {getpass.getuser()}")
    return line, {"index": options.index, "result": line}, 0


def _ask(told: str, answer: str, *, sure: bool) -> None:
    """Go on only if a person types ``answer``. Without a terminal nobody can be asked."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise BadInput("nobody can be asked here; add --yes. Nothing was changed")
    sys.stderr.write(f"{told} Type {answer!r}: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != answer:
        raise BadInput("not confirmed; nothing was changed")


@contextlib.contextmanager
def _progress() -> Iterator[None]:
    """Every line of the audit trail on the terminal while it is written."""
    log, handler = logging.getLogger("switchover"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
