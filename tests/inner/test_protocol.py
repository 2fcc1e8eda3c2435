"""The protocol's one function: every record and observation has one answer, and it is the safe one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from switchover.protocol import (
    BEFORE_FLIP,
    ENDED,
    TRANSITIONS,
    Decision,
    Kind,
    Observation,
    Record,
    State,
    decide,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=timezone.utc)
RECORD = Record(id="docs:1", service="docs", state=State.HOLDING, blue="v1", green="v2")
EVERY_STATE = list(State)
EVERY_TARGET = ["v1", "v2", "other", None]
EVERY_DECISION = [None, *Decision]
PROMOTABLE = (State.HOLDING, State.STUCK, State.PROMOTED)  # where the ledger lets a promotion be written
EVERY = [
    combination
    for combination in itertools.product(EVERY_STATE, EVERY_TARGET, EVERY_DECISION, [True, False], [True, False])
    if combination[2] is not Decision.PROMOTE or combination[0] in PROMOTABLE
]


def answer(state: State, target: str | None, decision: Decision | None, alive: bool, ended: bool) -> Kind:
    record = replace(RECORD, state=state, decision=decision)
    return decide(record, Observation(target=target, lease_alive=alive, run_ended=ended), NOW).kind


def test_every_combination_has_an_answer() -> None:
    assert {answer(*combination) for combination in EVERY} == set(Kind)


@pytest.mark.parametrize("combination", EVERY)
def test_safety(combination: tuple[State, str | None, Decision | None, bool, bool]) -> None:
    state, target, decision, alive, ended = combination
    kind = answer(*combination)
    if state in ENDED:
        assert kind is Kind.NOTHING
    elif target is None:
        assert kind is Kind.RETRY, "an unread pointer changes nothing"
    elif target == "other":
        assert kind is Kind.STOP, "a foreign move is never overwritten"
    if kind is Kind.FLIP:
        assert (state, target, decision, alive, ended) == (State.FLIPPING, "v1", None, True, False) or (
            decision is Decision.PROMOTE
        )
    if kind is Kind.PROMOTE:
        assert target == "v2" and decision is Decision.PROMOTE
    if kind is Kind.ROLL_BACK:
        assert target == "v2" and decision is not Decision.PROMOTE


@pytest.mark.parametrize(
    ("observation", "kind"),
    [
        (Observation(target="v2"), Kind.WATCH),
        (Observation(target="v2", lease_alive=False), Kind.ROLL_BACK),
        (Observation(target="v2", run_ended=True), Kind.ROLL_BACK),
        (Observation(target="v1"), Kind.CONFIRM_ROLLBACK),
    ],
)
def test_undecided_hold(observation: Observation, kind: Kind) -> None:
    assert decide(RECORD, observation, NOW).kind is kind


def test_a_hold_that_is_over_undecided_is_a_rollback() -> None:
    record = replace(RECORD, hold_until=NOW)
    seen = Observation(target="v2")
    assert decide(record, seen, NOW - timedelta(microseconds=1)).kind is Kind.WATCH
    assert decide(record, seen, NOW).kind is Kind.ROLL_BACK


def test_green_live_before_our_flip_is_a_foreign_move() -> None:
    record = replace(RECORD, state=State.WARMED)
    action = decide(record, Observation(target="v2"), NOW)
    assert action.kind is Kind.STOP
    assert "v2" in action.why


@pytest.mark.parametrize("state", [state for state in State if not state.ended])
@pytest.mark.parametrize("decision", [None, Decision.ROLL_BACK])
@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("version", [None, 7, 8])
def test_what_this_run_never_intended_is_never_its_own(
    state: State, decision: Decision | None, alive: bool, ended: bool, version: int | None
) -> None:
    """Green is live without an intent of this run: it is neither confirmed, nor moved, nor called Blue."""
    record = replace(RECORD, state=state, decision=decision, intended=False, version=7)
    seen = Observation(target="v2", version=version, lease_alive=alive, run_ended=ended)
    action = decide(record, seen, NOW)
    if state is State.HOLDING:  # there only after a flip of this run was confirmed
        assert action.kind in (Kind.WATCH, Kind.ROLL_BACK)
        return
    assert action.kind is Kind.STOP
    assert "'v1'" in action.why and "'v2'" in action.why, "both values"


@pytest.mark.parametrize(
    ("state", "target", "moved", "still"),
    [
        *[(state, "v1", Kind.ABORT, Kind.PROCEED) for state in sorted(BEFORE_FLIP)],
        (State.FLIPPING, "v1", Kind.ABORT, Kind.FLIP),
        (State.HOLDING, "v2", Kind.ROLL_BACK, Kind.WATCH),
    ],
)
def test_a_move_away_and_back_is_seen_where_the_store_counts(
    state: State, target: str, moved: Kind, still: Kind
) -> None:
    record = replace(RECORD, state=state, intended=not state.before_flip, version=7)
    action = decide(record, Observation(target=target, version=9), NOW)
    assert action.kind is moved
    assert "version was 7 and is 9 now" in action.why
    assert decide(record, Observation(target=target, version=7), NOW).kind is still
    assert decide(record, Observation(target=target), NOW).kind is still, "a store that does not count"
    assert decide(replace(record, version=None), Observation(target=target, version=9), NOW).kind is still


def test_promoted_but_blue_is_live_stops() -> None:
    record = replace(RECORD, decision=Decision.PROMOTE)
    assert decide(record, Observation(target="v1"), NOW).kind is Kind.STOP


def test_transitions_end_where_the_spec_says() -> None:
    assert {state for state, targets in TRANSITIONS.items() if not targets} == ENDED
    for state in BEFORE_FLIP:
        assert State.ABORTED in TRANSITIONS[state]
    assert State.PROMOTED not in TRANSITIONS[State.ROLLING_BACK]
