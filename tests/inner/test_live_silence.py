"""Silence is no pass: what the judge says of live traffic that stops, never comes or goes elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from judge_cases import RULES, by_rule, evidence, hold_end, hold_rows, not_passing

from switchover.judge.gates import Outcome, Verdict, judge_stop
from switchover.judge.traffic import Signals, SignalSample, Traffic


def growing(*looks: int, elsewhere: tuple[int, ...] = ()) -> list[SignalSample]:
    """Samples from the flip on, of which each look adds so many requests."""
    flip = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [
        SignalSample(
            requests=sum(looks[: n + 1]),
            errors_5xx=0,
            failures=0,
            tool_loops=0,
            p95_ms={},
            since=flip,
            until=flip + timedelta(seconds=15 * (n + 1)),
            elsewhere=sum(elsewhere[: n + 1]),
        )
        for n in range(len(looks))
    ]


LIVE_RULES = {"error_rate", "http_5xx", "tool_loops", "live_traffic"}


def live(samples: Signals) -> Verdict:
    return RULES.live_traffic.verdict("stop", Traffic.of(samples), RULES.statistics.window)


def test_traffic_in_every_window_passes() -> None:
    samples = growing(*[300] * 40)
    assert live(samples).outcome is Outcome.PASS
    assert not_passing(hold_end(hold_rows(), samples)) == {}


def test_a_window_without_live_requests_is_open_and_does_not_pass_at_the_end() -> None:
    samples = growing(*[300] * 40, 0, 0, 0)
    said = live(samples)
    assert said.outcome is Outcome.INCONCLUSIVE
    assert "none in the last 45 s, 12,000 before" in said.detail
    found = not_passing(hold_end(hold_rows(), samples))
    assert found == dict.fromkeys(LIVE_RULES, "INCONCLUSIVE")
    stop = by_rule(judge_stop(evidence(hold_rows()), rules=RULES, signals=samples))
    assert stop["http_5xx"].outcome is Outcome.INCONCLUSIVE
    assert "none in the last 45 s" in stop["http_5xx"].detail


def test_two_looks_without_a_request_are_no_window() -> None:
    assert live(growing(*[300] * 40, 0, 0)).outcome is Outcome.PASS


def test_three_windows_of_silence_stop_the_hold() -> None:
    assert live(growing(*[300] * 40, *[0] * 8)).outcome is Outcome.INCONCLUSIVE
    assert live(growing(*[300] * 40, *[0] * 9)).outcome is Outcome.FAIL


def test_a_silence_that_is_chance_stops_nothing() -> None:
    """One request a minute: nine looks of 15 s without one happen to every tenth stretch."""
    rare = [1, 0, 0, 0] * 10
    assert live(growing(*rare, *[0] * 9)).outcome is Outcome.INCONCLUSIVE


def test_traffic_that_never_came_is_open() -> None:
    assert live(growing(*[0] * 40)).outcome is Outcome.INCONCLUSIVE
    assert live([*growing(300), None]).outcome is Outcome.ERROR


def test_live_requests_on_the_other_arm_are_shown_and_bounded() -> None:
    few = growing(*[300] * 40, elsewhere=(10,) * 40)
    assert live(few).outcome is Outcome.PASS
    many = growing(*[300] * 40, elsewhere=(0,) * 37 + (5700,) * 3)
    said = live(many)
    assert said.outcome is Outcome.INCONCLUSIVE
    assert "another arm answered 17,100 of the last 18,000 (allowed: 5%)" in said.detail
    assert set(not_passing(hold_end(hold_rows(), many))) == LIVE_RULES
    assert SignalSample.from_json(many[-1].to_json()) == many[-1]
    old = {name: value for name, value in many[-1].to_json().items() if name != "elsewhere"}
    assert SignalSample.from_json(old).elsewhere == 0, "a sample of an older ledger"
