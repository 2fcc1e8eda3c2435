"""One operator a step: opens the switchover, calls the step function, returns a small summary.

Nothing is decided here. What a step may do, and in which state, is in ``switchover.steps``.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Any

from airflow.configuration import AIRFLOW_HOME
from airflow.sdk import Context, ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from switchover.errors import BadInput
from switchover.page.bundle import write_evidence
from switchover.protocol import State
from switchover.report.summary import status_line
from switchover.steps import finish
from switchover.steps.attest import attest_green
from switchover.steps.flip import flip
from switchover.steps.freeze import freeze
from switchover.steps.frozen import held_lines, unresumed
from switchover.steps.preflight import Route
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from switchover_airflow.operators.base import StepOperator, open_switch

_FULL = "Make room there"
_RIGHTS = "Let Airflow's user write there, or name another folder as `evidence` of the plan"
#: What a person does about an error of the file system.
MEND = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHTS),
}


class AttestOperator(StepOperator):
    """Read Green's index whole before anything is frozen; what it shows is judged by verify."""

    def execute(self, context: Context) -> str:
        """Returns one line."""
        with open_switch(self) as switch:
            return attest_green(switch)


class FreezeOperator(StepOperator):
    """Freeze the writers and prove the drain."""

    def execute(self, context: Context) -> dict[str, str]:
        """Returns writer -> proof of its drain."""
        with open_switch(self) as switch:
            return freeze(switch)


class VerifyOperator(StepOperator):
    """Check every invariant and rehearse the rollback."""

    def execute(self, context: Context) -> dict[str, str]:
        """Returns check -> what was found."""
        with open_switch(self) as switch:
            checks = verify(switch)
        for check in checks:
            self.log.info("%-26s %s (expected %s)", check.name, check.found, check.expected)
        return {check.name: check.found for check in checks}


class WarmOperator(StepOperator):
    """Ask the gold set of both arms until Green is steady, and judge."""

    def execute(self, context: Context) -> dict[str, str]:
        """Returns rule -> verdict; the figures are in the ledger."""
        with open_switch(self) as switch:
            verdicts = warm(switch)
        for verdict in verdicts:
            self.log.info("%-18s %-12s %s", verdict.rule, verdict.outcome.value, verdict.detail)
        return {verdict.rule: verdict.outcome.value for verdict in verdicts}


class FlipOperator(StepOperator):
    """Move the one pointer to Green and read back until every reader follows."""

    def execute(self, context: Context) -> str:
        """Returns one line."""
        with open_switch(self) as switch:
            return flip(switch)


class UnfreezeOperator(StepOperator):
    """Record the promotion and resume the writers on Green."""

    def execute(self, context: Context) -> list[str]:
        """Returns the writers that were resumed."""
        with open_switch(self) as switch:
            return finish.unfreeze(switch)


class RollbackOperator(StepOperator):
    """Bring the pointer back to Blue, prove every reader, resume the writers on Blue."""

    ui_color = "#fce8e6"

    def execute(self, context: Context) -> list[str]:
        """Returns the writers that were resumed."""
        with open_switch(self) as switch:
            return finish.rollback(switch)


class AbortOperator(StepOperator):
    """End before the flip and resume the writers on Blue."""

    ui_color = "#fce8e6"

    def execute(self, context: Context) -> list[str]:
        """Returns the writers that were resumed."""
        with open_switch(self) as switch:
            return finish.abort(switch)


class EvidenceOperator(StepOperator):
    """Write the evidence bundle: summary, report, and the questions that got worst.

    :param folder: folder or object prefix; the run's id becomes a folder below it
    """

    def __init__(self, *, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns where the bundle is and what it holds."""
        with open_switch(self) as switch:
            base = _place(self.folder) / switch.id.replace(":", "__").replace("+", "_")
            try:
                base.mkdir(parents=True, exist_ok=True)
                names = write_evidence(switch.ledger, switch.id, lambda name, data: _put(base / name, data))
            except OSError as error:
                raise BadInput(
                    f"evidence: {base} cannot be written: {error.strerror or error}; nothing is lost, the ledger has it"
                    f" all: `switchover report '{switch.id}'`. {MEND.get(error.errno or 0, 'Mend that')} and clear this"
                    " task to write the bundle"
                ) from error
        self.log.info("evidence: %s (%s)", base, ", ".join(names))
        return {"folder": str(base), "files": names}


class OutcomeOperator(StepOperator):
    """Only *promoted* makes a green run; so do a dry run and a run with nothing to do.

    :param preflight_task_id: the task whose route is read
    """

    def __init__(self, *, preflight_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.preflight_task_id = preflight_task_id

    def execute(self, context: Context) -> str:
        """Returns the outcome in words, or fails with it."""
        found = context["ti"].xcom_pull(task_ids=self.preflight_task_id, key="preflight")
        if found is not None and found["route"] != Route.GO.value:
            return "\n".join(found["lines"])
        with contextlib.ExitStack() as stack:
            try:  # what the ledger has counts: preflight may have been cleared, or failed after it had opened the run
                switch = stack.enter_context(open_switch(self))
            except AirflowSkipException:
                raise AirflowFailException(
                    "preflight failed before it opened a switchover; nothing was changed. See its log"
                ) from None
            row = switch.read()
            line = status_line(row, switch.ledger.now())
            lost, held = unresumed(switch), held_lines(switch)
        if lost:
            raise AirflowFailException(f"{line}; writers still frozen: {', '.join(lost)}")
        line = "\n".join([line, *held])
        for each in held:
            self.log.warning("%s", each)
        if row.state is not State.PROMOTED:
            raise AirflowFailException(line)
        return line


class RestoreOperator(StepOperator):
    """Teardown: leave the pointer decided, the writers right and the lease free, whatever happened."""

    def execute(self, context: Context) -> str:
        """Returns one line; does nothing for a run that ended well."""
        with open_switch(self) as switch:
            return finish.restore(switch)


def _place(folder: str) -> ObjectStoragePath:
    """A relative folder lies below AIRFLOW_HOME, wherever the task happens to run."""
    if "://" in folder or folder.startswith("/"):
        return ObjectStoragePath(folder)
    return ObjectStoragePath(AIRFLOW_HOME) / folder


def _put(path: ObjectStoragePath, data: bytes) -> None:
    path.write_bytes(data)
