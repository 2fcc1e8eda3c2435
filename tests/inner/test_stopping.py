"""The stop side of the hold: harm is caught, noise is reported, gaps neither stop nor pass."""

from __future__ import annotations

import pytest
from judge_cases import Row, by_rule, evidence, failed, number, on_green, probes, sample

from switchover.judge.evidence import Expected, SignalSample
from switchover.judge.gates import Outcome, Verdict, judge_stop
from switchover.judge.rules import Rules

RULES = Rules()
STOPS = {"ds_p95_drift", "coverage", "flip_rate", "error_rate", "http_5xx", "tool_loops", "live_traffic"}


def steady(ticks: int, errors: int = 0, requests: int = 300) -> list[SignalSample | None]:
    return [sample(requests, errors, start=15 * t, end=15 * t + 15) for t in range(ticks)]


def look(rows: list[Row], signals: object = None, **options: object) -> dict[str, Verdict]:
    ticks = max((r["tick"] for r in rows), default=-1) + 1
    given = steady(ticks) if signals is None else signals
    return by_rule(judge_stop(evidence(rows), **{"rules": RULES, "signals": given, **options}))


def hold(ticks: int, spoil: object = lambda r: r) -> list[Row]:
    return probes(ticks=ticks, seeds=lambda tick: (tick % 2,), spoil=spoil)


def outcomes(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {name: v.outcome.value for name, v in verdicts.items() if v.outcome is not Outcome.PASS}


def test_a_good_green_passes_every_look() -> None:
    for ticks in (1, 2, 12):
        verdicts = look(hold(ticks))
        assert outcomes(verdicts) == {}
        assert set(verdicts) == STOPS


def elsewhere(r: Row) -> Row:
    return {**r, "cited": "elsewhere"} if r["paraphrase"] == 2 else r


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("coverage", on_green(lambda r: {**r, "coverage": 0.0}, lambda r: number(r) >= 8)),  # 0.20
        ("ds_p95_drift", on_green(lambda r: {**r, "ds_question": r["ds_question"] + 0.3})),
        ("flip_rate", on_green(elsewhere, lambda r: number(r) < 16)),  # 0.40
        ("http_5xx", on_green(lambda r: {**failed(r), "status": 503}, lambda r: number(r) == 0)),  # 2.5 % of the probes
    ],
)
def test_twice_a_stop_threshold_is_caught_within_three_ticks(rule: str, spoil: object) -> None:
    verdict = look(hold(3, spoil), steady(3, errors=6))[rule]  # 6 of 300 live requests: 2 %
    assert verdict.outcome is Outcome.FAIL
    assert "evidence of harm" in verdict.detail


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("coverage", on_green(lambda r: {**r, "coverage": 0.0}, lambda r: number(r) >= 32)),  # 0.80
        ("ds_p95_drift", on_green(lambda r: {**r, "ds_question": r["ds_question"] + 0.075})),
        ("flip_rate", on_green(elsewhere, lambda r: number(r) < 4)),  # 0.10
    ],
)
def test_half_a_stop_threshold_is_reported_and_does_not_stop(rule: str, spoil: object) -> None:
    verdicts = look(hold(80, spoil), steady(80, errors=1))  # 0.33 % of the live requests
    assert outcomes(verdicts) == {}
    assert verdicts[rule].value == pytest.approx({"coverage": 0.8, "ds_p95_drift": 0.075, "flip_rate": 0.1}[rule])


@pytest.mark.parametrize(
    ("rule", "at", "beyond"),
    [
        ("coverage", on_green(lambda r: {**r, "coverage": 0.60}), on_green(lambda r: {**r, "coverage": 0.59})),
        (
            "ds_p95_drift",
            on_green(lambda r: {**r, "ds_question": r["ds_question"] + 0.15}),
            on_green(lambda r: {**r, "ds_question": r["ds_question"] + 0.16}),
        ),
        ("flip_rate", on_green(elsewhere, lambda r: number(r) < 8), on_green(elsewhere, lambda r: number(r) < 9)),
    ],
)
def test_on_the_stop_bound_is_not_beyond_it(rule: str, at: object, beyond: object) -> None:
    assert look(hold(40, at))[rule].outcome is Outcome.PASS  # however sure, equality passes
    assert look(hold(40, beyond))[rule].outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)


def test_beyond_the_bound_without_evidence_is_open_and_says_what_is_lacking() -> None:
    verdict = look(hold(1), steady(1, errors=5))["http_5xx"]  # 5 of 420 = 1.2 %, from a handful of requests
    assert verdict.value == pytest.approx(5 / 420)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "a stop needs evidence of 126.6 : 1" in verdict.needs  # 1 / (0.01 · 0.79)


@pytest.mark.parametrize(("errors", "outcome"), [(7, Outcome.FAIL), (6, Outcome.INCONCLUSIVE)])
def test_a_late_burst_of_5xx_stops_by_itself(errors: int, outcome: Outcome) -> None:
    # 3 ticks of 300 live requests and 120 probes: 1,260. At 0.45 % chance gives 19 or more once in 131,000 looks,
    # 18 or more once in 38,000; 120 looks, three windows and 0.65 of 0.79 % allow once in 70,000.
    verdict = look(hold(40), [*steady(37), *late(6, 6, errors)])["http_5xx"]
    assert verdict.value == pytest.approx((12 + errors) / 1260)
    assert verdict.outcome is outcome


def late(*errors: int) -> list[SignalSample]:
    """The newest looks of forty, with so many 5xx of 300 live requests each."""
    first = 40 - len(errors)
    return [sample(300, bad, start=15 * t, end=15 * t + 15) for t, bad in enumerate(errors, first)]


@pytest.mark.parametrize(("errors", "n"), [((9, 9), 840), ((12,), 420)])
def test_clean_looks_before_a_regression_do_not_thin_it_out(errors: tuple[int, ...], n: int) -> None:
    verdict = look(hold(40), [*steady(40 - len(errors)), *late(*errors)])["http_5xx"]
    assert (verdict.outcome, verdict.n) == (Outcome.FAIL, n)
    assert verdict.value == pytest.approx(sum(errors) / n)


def test_old_harm_and_one_failure_in_the_newest_look_do_not_stop() -> None:
    """A look alone must show it by itself: what the hold has seen before counts for the whole window only."""
    live = [sample(300, 60, start=0, end=15), *steady(40)[1:36], *late(0, 0, 0, 5)]
    verdict = look(hold(40), live)["http_5xx"]
    assert (verdict.outcome, verdict.n) == (Outcome.PASS, 1260)


@pytest.mark.parametrize(("failures", "outcome"), [(300, "FAIL"), (30, "FAIL"), (15, "PASS"), (0, "PASS")])
def test_failures_of_any_status_stop(failures: int, outcome: str) -> None:
    """A storm of 4xx or 429, or of requests that time out, has no 5xx at all."""
    parts = [sample(300, failures=failures if t > 8 else 0, start=15 * t, end=15 * t + 15) for t in range(12)]
    verdicts = look(hold(12), parts)
    assert verdicts["error_rate"].outcome.value == outcome
    assert verdicts["http_5xx"].outcome is Outcome.PASS
    assert verdicts["error_rate"].value == pytest.approx(failures / 300)


def test_a_plan_that_accepts_more_failures_than_the_stop_bound_stops_above_what_it_accepts() -> None:
    rules = Rules.model_validate({"error_rate": {"accept": 0.2}})
    assert rules.error_rate.bound("stop") == 0.2
    assert Rules.model_validate({"error_rate": {"stop": None}}).error_rate.bound("stop") is None


def test_without_live_requests_failures_are_not_told() -> None:
    verdict = look(hold(3), [sample(0, start=15 * t, end=15 * t + 15) for t in range(3)])["error_rate"]
    assert (verdict.outcome, verdict.needs) == (Outcome.INCONCLUSIVE, "needs live requests on Green")


def test_after_the_horizon_a_burst_alone_is_not_enough() -> None:
    live = [*steady(37), *late(6, 6, 7)]
    short = Rules.model_validate({"statistics": {"horizon": 39}})
    assert look(hold(40), live, rules=short)["http_5xx"].outcome is Outcome.INCONCLUSIVE
    assert look(hold(40), live)["http_5xx"].outcome is Outcome.FAIL


def test_probes_without_an_answer_do_not_thin_out_the_5xx() -> None:
    def spoil(r: Row) -> Row:
        return {**failed(r), "status": 500} if number(r) == 0 else failed(r) if number(r) < 20 else r

    verdict = look(hold(3, on_green(spoil)), steady(3))["http_5xx"]
    assert verdict.value == pytest.approx(9 / (900 + 360 - 171))  # 9 probes of q0; the 171 of q1 to q19 never answered


def test_a_regression_that_begins_late_is_seen_in_the_last_ticks_not_thinned_out_by_the_good_ones() -> None:
    late = on_green(lambda r: {**r, "coverage": 0.2}, lambda r: r["tick"] >= 37)
    verdict = look(hold(40, late))["coverage"]
    assert verdict.value == pytest.approx(0.2)
    assert verdict.outcome is Outcome.FAIL


def test_what_is_over_does_not_stop() -> None:
    past = on_green(lambda r: {**r, "coverage": 0.2}, lambda r: r["tick"] < 5)
    assert look(hold(40, past))["coverage"].outcome is Outcome.PASS


def test_one_tool_loop_is_enough() -> None:
    rows = hold(3)
    rows[-1] = {**rows[-1], "tool_loop": True}
    assert look(rows)["tool_loops"].outcome is Outcome.FAIL
    assert look(hold(3), [sample(900, loops=1)])["tool_loops"].outcome is Outcome.FAIL


def test_questions_that_flip_on_both_arms_do_not_stop() -> None:
    both = hold(20, lambda r: elsewhere(r) if number(r) < 16 else r)
    verdict = look(both)["flip_rate"]
    assert verdict.value == pytest.approx(0.4)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "Blue flips as much" in verdict.detail
    alone = [r for r in both if r["arm"] == "green"]
    assert look(alone)["flip_rate"].outcome is Outcome.FAIL  # without Blue the absolute figure decides


def test_a_dead_blue_neither_stops_nor_excuses_green() -> None:
    dead = hold(6, lambda r: failed(r) if r["arm"] == "blue" else r)
    assert outcomes(look(dead)) == {"ds_p95_drift": "ERROR"}
    half = hold(6, lambda r: failed(r) if r["arm"] == "blue" and number(r) % 2 else r)
    assert "FAIL" not in outcomes(look(half)).values()


def test_a_dead_green_stops() -> None:
    found = outcomes(look(hold(1, on_green(failed)), steady(1)))
    assert found["coverage"] == "FAIL"


@pytest.mark.parametrize("signals", [[], [None], [*steady(2), None]])
def test_dead_signals_are_an_error_not_a_pass(signals: list[SignalSample | None]) -> None:
    found = outcomes(look(hold(3), signals))
    assert found == dict.fromkeys(("error_rate", "http_5xx", "tool_loops", "live_traffic"), "ERROR")


def test_dead_signals_do_not_hide_errors_of_the_probes() -> None:
    bad = on_green(lambda r: {**failed(r), "status": 500}, lambda r: number(r) % 4 == 0)
    assert look(hold(3, bad), [None])["http_5xx"].outcome is Outcome.FAIL


def test_figures_that_grow_from_the_flip_on_say_the_same_as_steps() -> None:
    steps = steady(4, errors=4)
    growing = [sample(300 * (t + 1), 4 * (t + 1), end=15 * t + 15) for t in range(4)]
    assert look(hold(4), growing)["http_5xx"] == look(hold(4), steps)["http_5xx"]


def test_probes_that_were_not_made_cannot_stop_and_cannot_pass() -> None:
    cut = [r for r in hold(3) if r["tick"] < 2 or r["arm"] == "blue" or number(r) < 5]
    verdicts = look(cut)
    assert "FAIL" not in outcomes(verdicts).values()
    # Only 5 of 40 questions in the last tick: as the other two ticks are whole, coverage counts 2/3 at the worst
    # for those 35; (5 + 35 · 2/3) / 40 = 0.71, still above 0.60.
    assert verdicts["coverage"].outcome is Outcome.PASS
    bare = [r for r in hold(3) if r["arm"] == "blue" or number(r) < 5]
    assert look(bare)["coverage"].outcome is Outcome.INCONCLUSIVE
    assert "probes of Green are missing" in look(bare)["coverage"].needs


def test_fewer_probes_than_expected_are_seen() -> None:
    assert look(hold(1), expected=Expected(runs=1))["coverage"].outcome is Outcome.PASS
    assert look(hold(1), expected=Expected(runs=3))["coverage"].outcome is Outcome.INCONCLUSIVE


def test_nothing_at_all_is_an_error() -> None:
    assert outcomes(look([], [])) == dict.fromkeys(STOPS, "ERROR")


def test_a_dead_green_without_traffic_has_no_share_of_5xx() -> None:
    found = look(hold(1, on_green(failed)), [sample(0)])["http_5xx"]
    assert (found.outcome, found.n) == (Outcome.ERROR, 0)


def test_one_question_can_stop_and_can_pass() -> None:
    rows = [r for r in hold(12, on_green(lambda r: {**r, "coverage": 0.0})) if number(r) == 0]
    signals = steady(12)
    bad = by_rule(judge_stop(evidence(rows, 1), rules=RULES, signals=signals))
    assert (bad["coverage"].outcome, bad["coverage"].n) == (Outcome.FAIL, 1)
    good = [{**r, "coverage": 1.0} for r in rows]
    assert outcomes(by_rule(judge_stop(evidence(good, 1), rules=RULES, signals=signals))) == {}


def test_ties_everywhere_do_not_stop() -> None:
    flat = hold(12, lambda r: {**r, "ds_question": 0.3, "ms_total": 10.0, "coverage": 0.8, "cited": "s"})
    assert outcomes(look(flat)) == {}


def test_latency_stops_only_if_the_plan_asks() -> None:
    slow = hold(3, on_green(lambda r: {**r, "ms_total": 3 * r["ms_total"]}))
    assert "latency_p95" not in look(slow)
    asked = Rules.model_validate({"latency_p95": {"stop": 0.5}})
    assert look(slow, rules=asked)["latency_p95"].outcome is Outcome.FAIL
    assert look(hold(3), rules=asked)["latency_p95"].outcome is Outcome.PASS
