"""What to look at first where no rule decided: a check, a writer, the watchdog, a person or a stranger did."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One kind of end: what its reason, or the note of the step that failed, says, and the first steps for people."""

    name: str
    says: re.Pattern[str]
    steps: tuple[str, ...]


ENDINGS = (
    Ending(
        name="verify",
        says=re.compile(r"^verify: |checks? failed"),
        steps=(
            "The checks that failed, with what was found and what was expected, are in the table of checks.",
            "A pin that differs and should: add it to `changes`. One that should not: build Green again.",
            "`switchover doctor` and a dry run make the same reads; start again when the dry run is green.",
        ),
    ),
    Ending(
        name="drain",
        says=re.compile(r"not drained after"),
        steps=(
            "What is still in flight? The line names the writer and its last proof.",
            "A job that takes longer than `drain_s`: wait for it, or give the writer more time in the plan.",
            "A job that hangs: end it with its own tool; its fence makes a repeat safe.",
        ),
    ),
    Ending(
        name="moved by somebody else",
        says=re.compile(r"somebody else moved|moved by someone else|not by this run|moved it away|was on .* and is on"),
        steps=(
            "Who moved the pointer? Look at the store's own audit trail at the time of the line.",
            "Only one tool may move it: take the right away from every other.",
            "Where is it now? `switchover pointer read --plan FILE`; each reader must follow it.",
        ),
    ),
    Ending(
        name="break-glass",
        says=re.compile(r"break-glass"),
        steps=(
            "Ask the person who is named what they saw: no rule saw it.",
            "Add it as gold questions, or as a figure of the plan's signals, so that the next hold sees it.",
            "Live traffic at that time is in the report: do its failures begin before the flip?",
        ),
    ),
    Ending(
        name="watchdog",
        says=re.compile(r"watchdog|nobody renewed the lease|lease"),
        steps=(
            "Airflow stopped driving the run: is its scheduler, triggerer or worker down, or its database?",
            "The audit trail names who held the lease last, and until when.",
            "Green was not judged bad: when Airflow runs again, start the same switchover again.",
        ),
    ),
    Ending(
        name="ended undecided",
        says=re.compile(r"ended undecided|aborted before the flip|no verdict"),
        steps=(
            "Which step failed? The first red one in the timeline has the reason in its note.",
            "Airflow's log of that task has the whole error.",
            "Mend it and start again: Blue was live all the time, or is again.",
        ),
    ),
)


def playbook_of_end(reason: str, steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first steps for an end that no rule brought about: one entry, none where nothing is known of it."""
    for text in _said(reason, steps):
        for ending in ENDINGS:
            if ending.says.search(text):
                return [{"rule": ending.name, "detail": text, "steps": list(ending.steps)}]
    return []


def _said(reason: str, steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What a failed step says is nearer to the cause than what the run's end says."""
    yield from (str(step["note"]) for step in steps if step.get("ok") is False and step.get("note"))
    yield reason
