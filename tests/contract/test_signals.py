"""One suite for every metrics store: what goes wrong never passes a rule, and what can be read is exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from switchover.edge import reads
from switchover.judge.evidence import Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.gates import Outcome, Verdict, judge_acceptance, judge_stop
from switchover.judge.rules import Rules
from switchover.judge.traffic import Dead, SignalSample
from switchover.signals import cloudwatch, extras_of, web
from tests.contract.recorder import Recorder
from tests.contract.signals import WORLDS
from tests.contract.signals.base import FAULTS, READ, SignalsWorld, Told

LIVE_RULES = ("http_5xx", "error_rate", "live_traffic", "extra_depth")
#: One question that both arms answered well: then live traffic alone decides.
PROBES = Evidence.from_rows(
    [
        EvidenceRow(
            phase="hold",
            tick=0,
            arm=arm,
            question="q1",
            paraphrase=paraphrase,
            seed=0,
            ds_question=0.1,
            ds_anchor=0.1,
            coverage=1.0,
            cited="s",
            status=200,
            ms_retrieve=1.0,
            ms_rerank=1.0,
            ms_reason=1.0,
            ms_total=3.0,
            tool_loop=False,
        )
        for arm in ("blue", "green")
        for paraphrase in range(3)
    ],
    ["q1"],
)


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignalsWorld]:
    monkeypatch.setattr(web, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(cloudwatch, "LOOK_S", 1.0)
    monkeypatch.setitem(reads.rows.__kwdefaults__, "seconds", 1.0)
    with WORLDS[request.param]() as world:
        yield world


def judged(world: SignalsWorld, look: SignalSample | Dead) -> dict[str, Verdict]:
    """What the rules of live traffic say: while the hold goes on (``stop ...``) and at its end."""
    rules = Rules().beside([extra.rule for extra in extras_of(world.spec)])
    stop = judge_stop(PROBES, rules=rules, signals=[look])
    end = judge_acceptance(PROBES, rules=rules, signals=[look], rehearsal_ttr_s=1.0, traffic=True)
    named = [*((f"stop {v.rule}", v) for v in stop), *((f"end {v.rule}", v) for v in end)]
    return {name: verdict for name, verdict in named if verdict.rule in LIVE_RULES}


def here(world: SignalsWorld, name: str) -> None:
    if name in world.not_here:
        pytest.skip(f"{world.kind}: {world.not_here[name]}")


class TestFaults:
    @pytest.mark.parametrize("name", FAULTS)
    def test_never_passes_and_names_the_query(self, world: SignalsWorld, name: str, record: Recorder) -> None:
        here(world, name)
        world.show(Told())
        good = judged(world, world.look())
        assert {n: v.outcome for n, v in good.items()} == dict.fromkeys(good, Outcome.PASS), "it could pass"
        world.fault(name)
        look = world.look()
        found = judged(world, look)
        about = {n for n in found if n.endswith(world.about.get(name, ""))}
        assert about
        for rule in about:
            assert found[rule].outcome in (Outcome.ERROR, Outcome.INCONCLUSIVE), (name, rule, found[rule])
            if isinstance(look, Dead) or rule.endswith(tuple(look.lacks)):
                assert "query: " in found[rule].needs, found[rule].needs
            assert "\n" not in found[rule].detail
        assert look.asked, "what was asked is kept"
        record(world, against=world.against, not_here=dict(world.not_here), **{name: True})

    def test_two_windows_of_faults_do_not_stop_a_hold_by_themselves(self, world: SignalsWorld) -> None:
        world.show(Told())
        good = world.look()
        world.fault("no_data")
        verdicts = judge_stop(PROBES, rules=Rules(), signals=[good, *[world.look()] * 9])
        assert Outcome.FAIL not in [verdict.outcome for verdict in verdicts]


class TestFigures:
    def test_counts_are_exact(self, world: SignalsWorld) -> None:
        world.show(Told(requests=1200, errors_5xx=36, elsewhere=40))
        found = world.look()
        assert isinstance(found, SignalSample), found
        assert (found.requests, found.errors_5xx, found.failures, found.elsewhere) == (1200, 36, 36, 40)
        assert found.extra == {"depth": 3.0}
        assert found.since == world.flip
        assert timedelta(0) <= world.now - found.until <= timedelta(seconds=max(1.0, world.step_s))
        assert judged(world, found)["stop http_5xx"].outcome is Outcome.FAIL

    @pytest.mark.parametrize("name", READ)
    def test_what_can_be_read_is_exact(self, world: SignalsWorld, name: str, record: Recorder) -> None:
        here(world, name)
        errors = 0 if name == "no_5xx_series" else 36
        world.show(Told(requests=1200, errors_5xx=errors))
        before = world.look()
        assert isinstance(before, SignalSample), before
        world.fault(name)
        found = world.look()
        assert isinstance(found, SignalSample), found
        if name == "unfinished":
            assert found.until < before.until
            assert 0 < found.requests < before.requests
        else:
            assert (found.requests, found.errors_5xx, found.failures) == (1200, errors, errors)
        assert judged(world, found)["stop http_5xx"].outcome is (Outcome.FAIL if errors else Outcome.PASS)
        record(world, **{name: True})

    def test_errors_of_a_new_process_are_seen_from_its_first_sample(self, world: SignalsWorld) -> None:
        here(world, "new_process")
        world.show(Told(requests=1200, errors_5xx=36))
        world.fault("new_process")
        with world.signals() as signals:
            first = signals.first_error(arm="green", since=world.flip)
        assert first is not None
        assert world.flip <= first <= world.now

    def test_live_traffic_is_there_or_the_line_says_why_not(self, world: SignalsWorld) -> None:
        world.show(Told())
        with world.signals() as signals:
            assert signals.is_online(arm="green") is None
            assert signals.is_online() is None
        world.show(Told(requests=0))
        with world.signals() as signals:
            assert "query: " in str(signals.is_online(arm="green"))


class TestSurvey:
    def test_every_figure_is_asked_for_both_arms(self, world: SignalsWorld) -> None:
        world.show(Told(errors_5xx=12))
        with world.signals() as signals:
            found = signals.survey(arms=["blue", "green"])
        figures = {(each.figure, each.arm): each for each in found}
        for figure in ("requests", "errors_5xx", "failures", "extra_depth"):
            assert figures[figure, "green"].value is not None, figures[figure, "green"]
            assert figures[figure, "green"].query
        assert {arm for _, arm in figures} == {"blue", "green"}

    def test_a_figure_that_neither_arm_has_is_told(self, world: SignalsWorld) -> None:
        world.show(Told())
        world.fault("no_data")
        with world.signals() as signals:
            found = signals.survey(arms=["blue", "green"])
        none = [each for each in found if each.figure == "requests"]
        assert [each.value for each in none] == [None, None]
        assert all(each.query in each.line for each in none)


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_a_kind_shows_at_least_eighteen_cases(kind: str) -> None:
    world = WORLDS[kind]
    cases = {*FAULTS, *READ}
    assert set(world.not_here) <= cases
    assert len(cases - set(world.not_here)) >= 18
    assert all(hasattr(world, name) for name in cases - set(world.not_here))
