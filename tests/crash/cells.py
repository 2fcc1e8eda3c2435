"""The kill matrix: what is killed, or done in the UI, at which moment, and which ends are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROCESSES = (
    "task process",
    "worker",
    "scheduler",
    "triggerer",
    "dag-processor",
    "api-server",
    "database",
    "watchdog",
)
EFFECTS = ("freeze", "flip", "rollback", "unfreeze")
CLICKS = ("mark failed", "clear", "delete run")
#: Where a run may end. Before the decision a crash may cost the run; after it the decision stands.
ENDS = {
    "freeze": ("promoted", "aborted", "rolled_back"),
    "flip": ("promoted", "aborted", "rolled_back"),
    "hold": ("rolled_back",),
    "rollback": ("rolled_back",),
    "unfreeze": ("promoted",),
}
#: A run that is marked failed, or deleted, never promotes what was not decided.
CLICKED_ENDS = {**ENDS, "freeze": ("aborted",), "flip": ("aborted", "rolled_back")}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One crash: ``what`` happens ``moment`` (before, after, during) the side effect or step ``at``."""

    what: str
    at: str
    moment: str
    ends: tuple[str, ...]

    @property
    def name(self) -> str:
        """For pytest and the table."""
        return name_of(vars(self))

    @property
    def goes_back(self) -> bool:
        """Whether Green must turn bad for the run to come there."""
        return self.at == "rollback"


def name_of(cell: Mapping[str, str]) -> str:
    """The name of a cell by its parts, also by a row of what it showed."""
    return f"{cell['what']}/{cell['at']}/{cell['moment']}"


def cells() -> list[Cell]:
    """Every cell, in an order in which neighbours share little."""
    found = [
        Cell(what=what, at=at, moment=moment, ends=ENDS[at])
        for what in PROCESSES
        for at in EFFECTS
        for moment in ("before", "after")
    ]
    found.append(Cell(what="whole Airflow", at="hold", moment="during", ends=ENDS["hold"]))
    for what in CLICKS:
        for at in (*EFFECTS, "hold"):
            ends = ENDS[at] if what == "clear" and at != "hold" else CLICKED_ENDS[at]
            if what == "clear" and at == "hold":
                ends = ("promoted", "rolled_back")
            found.append(Cell(what=what, at=at, moment="during" if at == "hold" else "before", ends=ends))
    return found
