"""What people are told: the whole table of (event, state, where the pointer is) -> title and line, to be read once.

``told.txt`` beside this file is that table; ``SWITCHOVER_WRITE_TOLD=1`` writes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from switchover.ledger import RunRow
from switchover.notify import Event
from switchover.protocol import Decision, State
from switchover.report.told import Now, actor_words, line_of, title_of

TABLE = Path(__file__).with_name("told.txt")
AT = datetime(2026, 11, 30, 22, 30, 0, tzinfo=timezone.utc)
RUN = "docs:1"
PLACES = {"Blue": "docs_v1", "Green": "docs_v2", "third": "docs_v9", "unread": None}
STATES = (State.WARMED, State.FLIPPING, State.HOLDING, State.ROLLING_BACK, State.STUCK)
ENDED = (State.PROMOTED, State.ROLLED_BACK, State.ABORTED)
WATCHDOG = "watchdog:vm:123"


def row_of(state: State, decision: Decision | None = None, reason: str = "") -> RunRow:
    values: dict[str, Any] = dict.fromkeys(RunRow.__dataclass_fields__)
    values |= {"id": RUN, "service": "docs", "blue": "docs_v1", "green": "docs_v2", "plan": {}, "state": state}
    values |= {"decision": decision, "reason": reason, "opened_at": AT, "updated_at": AT - timedelta(seconds=3)}
    values |= {"hold_until": AT + timedelta(minutes=14), "flipped_at": AT - timedelta(minutes=6)}
    values |= {"ended_at": AT - timedelta(seconds=2) if state.ended else None}
    return RunRow(**values)


def decided_in(state: State) -> Decision | None:
    backwards = (State.ROLLING_BACK, State.ROLLED_BACK, State.ABORTED)
    return Decision.PROMOTE if state is State.PROMOTED else Decision.ROLL_BACK if state in backwards else None


def now_of(state: State, place: str, *, by: str = RUN, reason: str = "") -> Now:
    row = row_of(state, decided_in(state), reason)
    return Now(row=row, at=AT, target=PLACES[place], by=actor_words(RUN, by))


def rows() -> Iterator[str]:
    yield "# event | state | pointer | who tells -> title"
    for event in [each for each in Event if each not in (Event.PROMOTION, Event.ABORT)]:  # as of a rollback
        for state in (*STATES, *ENDED):
            for place in PLACES:
                title = title_of(event, now_of(state, place))
                if title is not None:
                    yield f"{event.value:16} {state.value:12} {place:6} the run       {title}"
    for holder in (WATCHDOG, "person:anna"):
        for state in ENDED:
            title = title_of(Event.ROLLBACK, now_of(state, "Blue", by=holder))
            yield f"{'(end)':16} {state.value:12} {'Blue':6} {holder.split(':')[0]:13} {title}"
    yield "# state | pointer -> line below the title"
    for state in (*STATES, *ENDED):
        for place in PLACES:
            yield f"{state.value:12} {place:6} {line_of(now_of(state, place, reason='coverage FAIL: 0.41'))}"


def test_the_whole_table_is_as_it_was_read() -> None:
    table = "\n".join(rows()) + "\n"
    if os.environ.get("SWITCHOVER_WRITE_TOLD"):
        TABLE.write_text(table, encoding="utf-8")
    assert table == TABLE.read_text(encoding="utf-8")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("state", list(State))
def test_no_title_says_what_is_not_so(state: State, place: str) -> None:
    for event in Event:
        say_only_what_is_so(event, state, place)


def say_only_what_is_so(event: Event, state: State, place: str) -> None:
    title = title_of(event, now_of(state, place))
    if title is None:
        return
    others = {"docs_v1", "docs_v2"} - {PLACES[place]}
    assert not [arm for arm in others if f"{arm} serves users" in title], "who serves is who the pointer says"
    assert title_of(Event.PROMOTION, now_of(state, place)) == title_of(Event.ABORT, now_of(state, place))
    if "still serves" in title or "going back" in title:
        assert place == "Green" and not state.ended and state is not State.STUCK
    if state.ended:
        assert title.startswith(state.value.replace("_", " "))
        assert event in (Event.ROLLBACK, Event.PROMOTION, Event.ABORT), "of an end only the end is told"
    else:
        assert not any(word in title for word in ("promoted", "rolled back", "aborted"))
    if place == "third":
        assert "a person must look" in title and "docs_v9" in title


def test_what_was_decided_is_not_told_as_open() -> None:
    accepted = Now(row=row_of(State.HOLDING, Decision.PROMOTE), at=AT, target="docs_v2")
    assert title_of(Event.STOP, accepted) is None
    assert title_of(Event.APPROVAL_WANTED, accepted) is None
    assert title_of(Event.FLIP, accepted) is None


@pytest.mark.parametrize(
    ("holder", "words"),
    [(RUN, ""), (None, ""), ("person:anna", "by anna"), (WATCHDOG, "by the watchdog on vm"), ("x", "by x")],
)
def test_who_acts_in_words(holder: str | None, words: str) -> None:
    assert actor_words(RUN, holder) == words
