"""What a plan may say of its signals: sources, presets, figures of its own, and how often a store can be asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from judge_cases import evidence, hold_rows, sample
from pydantic import TypeAdapter, ValidationError

from switchover.judge.gates import Outcome, judge_acceptance, judge_stop
from switchover.judge.rules import Rules
from switchover.judge.traffic import Dead, SignalSample
from switchover.plan import Plan
from switchover.planfile.checks import problems
from switchover.planfile.load import load_plan
from switchover.report.review import _steps
from switchover.signals import SignalsSpec, check_sources, extras_of, sources_of
from switchover.signals.cloudwatch import CloudWatchSpec
from switchover.signals.prometheus import PrometheusSpec
from switchover.signals.source import Ask, Found
from switchover.signals.store import StoreSignals

ROOT = Path(__file__).parents[2]
PLAN = load_plan(ROOT / "include" / "plans" / "docs.yaml")
PAGE = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
EXAMPLES = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if text.startswith("signals:")]
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
NAMED = {"requests": 'r_total{arm="{arm}"}', "errors_5xx": 'e_total{arm="{arm}"}', "failures": 'f_total{arm="{arm}"}'}


def spec(**part: Any) -> Any:
    return TypeAdapter(Plan.model_fields["signals"].annotation).validate_python({"connection": "store", **part})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: " ".join(text.split()[1:5]))
def test_each_example_of_the_page_is_read(example: str) -> None:
    given = yaml.safe_load(example)["signals"]
    if not isinstance(given, list) and "extra" in given and "connection" not in given:
        given |= {"connection": "metrics", "preset": "otel"}  # the page leaves out what it is not about
    found = TypeAdapter(Plan.model_fields["signals"].annotation).validate_python(given)
    check_sources(found)
    assert all(source.gives for source in sources_of(found))


def test_the_page_has_an_example_of_every_kind() -> None:
    kinds = {line.split(": ")[1].split()[0] for text in EXAMPLES for line in text.splitlines() if "kind: " in line}
    assert kinds == {"sql", "prometheus", "cloudwatch", "http_json"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([{"kind": "sql"}, {"kind": "sql"}], "signals: requests comes from 2 sources; say `only` in all but one"),
        ({"kind": "sql", "only": ["requests"]}, "signals: no figure errors_5xx; required, all from one source"),
        ({"kind": "prometheus", "figures": {"tool_loops": "x_total"}}, "signals: no figure requests"),
    ],
)
def test_each_figure_comes_from_one_source(given: Any, told: str) -> None:
    named = [{"connection": "store", **each} for each in (given if isinstance(given, list) else [given])]
    found = TypeAdapter(list[Any]).validate_python([spec(**each) for each in named])
    with pytest.raises(ValueError, match=re.escape(told)):
        check_sources(found)


@pytest.mark.parametrize("query", ["rate(x_total[1m])", "sum(x_total)", 'x_total{a="b"}[5m]', "", 'x{a="b"} > 0'])
def test_a_count_is_a_selector_and_nothing_around_it(query: str) -> None:
    with pytest.raises(ValidationError, match="is no selector"):
        spec(kind="prometheus", figures={**NAMED, "requests": query})


def test_arms_must_be_told_apart() -> None:
    with pytest.raises(ValidationError, match="then both arms would be one"):
        spec(kind="prometheus", figures={**NAMED, "requests": "r_total"})
    with pytest.raises(ValidationError, match="another word for each arm"):
        spec(kind="prometheus", figures=NAMED, arms={"docs_v1": "a", "docs_v2": "a"})


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("otel", 'http_server_request_duration_seconds_count{version="{arm}", job="docs", http_response_status_code='),
        ("istio", 'istio_requests_total{version="{arm}", reporter="destination", job="docs", response_code='),
        ("envoy", 'envoy_cluster_upstream_rq_xx{version="{arm}", job="docs", envoy_response_code_class='),
        ("nginx", 'nginx_ingress_controller_requests{version="{arm}", job="docs", status='),
    ],
)
def test_presets_of_prometheus(preset: str, told: str) -> None:
    found = spec(kind="prometheus", preset=preset, arm_label="version", labels='job="docs"')
    assert isinstance(found, PrometheusSpec)
    (errors,) = found.counters["errors_5xx"]
    assert errors.startswith(told) and errors.endswith(('=~"5.."}', '="5"}'))
    assert set(found.gives) == {"requests", "errors_5xx", "failures", "p95_ms"}
    own = spec(kind="prometheus", preset=preset, figures={"requests": 'mine_total{arm="{arm}"}'})
    assert own.counters["requests"] == ['mine_total{arm="{arm}"}']


def test_the_preset_of_a_load_balancer() -> None:
    group = {"docs_v1": "targetgroup/a/1", "docs_v2": "targetgroup/b/2"}
    given = {"kind": "cloudwatch", "preset": "alb", "load_balancer": "app/docs/50dc6c495c0c9188"}
    found = spec(**given, arms=group)
    assert isinstance(found, CloudWatchSpec)
    mine, nobodys = found.metrics["requests"]
    assert mine.dimensions == {"LoadBalancer": "app/docs/50dc6c495c0c9188", "TargetGroup": "{arm}"}
    assert (mine.per_arm, nobodys.per_arm, nobodys.metric) == (True, False, "HTTPCode_ELB_5XX_Count")
    with pytest.raises(ValidationError, match="needs the target group of each arm"):
        spec(**given)
    with pytest.raises(ValidationError, match="the end of an ARN"):
        spec(**given, arms={"docs_v1": "arn:x", "docs_v2": "arn:y"})


@pytest.mark.parametrize(
    ("signals", "hold", "told"),
    [
        (
            {"kind": "cloudwatch", "figures": {n: {"namespace": "N", "metric": n, "dimensions": {"A": "{arm}"}}
                                               for n in NAMED}},
            {"tick_s": 15},
            "found 15, but signals of kind cloudwatch have a new figure every 60 s; allowed: at least 60",
        ),
        ({"kind": "prometheus", "figures": NAMED, "scrape_s": 60}, {"tick_s": 30}, "every 60 s; allowed: at least 60"),
        (
            {"kind": "prometheus", "figures": NAMED, "scrape_s": 60},
            {"tick_s": 60, "minutes": 2},
            "found 2, but signals of kind prometheus have a new figure every 60 s, 2 s late; allowed: at least 4.03",
        ),
    ],
)  # fmt: skip
def test_a_store_must_be_able_to_feed_each_look(signals: Any, hold: Any, told: str) -> None:
    body = {**PLAN.model_dump(mode="json"), "signals": {"connection": "store", **signals}}
    body["hold"] = {**body["hold"], **hold}
    found = [problem for _, problem in problems(Plan.model_validate(body), {})]
    assert any(told in problem for problem in found), found
    body["hold"] = {**body["hold"], "tick_s": 60, "minutes": 20}
    assert not [each for _, each in problems(Plan.model_validate(body), {}) if "signals of kind" in each]


class Fixed:
    """A source whose figures are given; ``None`` is one that cannot be read."""

    step_s = lag_s = 0.0
    stale_s = 60.0
    stages: Collection[str] = ()

    def __init__(self, name: str, counts: dict[str, float | None], extras: dict[str, float | None] | None = None):
        self.where = name
        self.given = {**counts, **(extras or {})}
        self.counts: Collection[str] = counts
        self.extras: Collection[str] = extras or {}

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        at = until.timestamp()
        values = [self.given[ask.figure] if ask.live or ask.arm == "green" else 0.0 for ask in asks]
        return [Found(query=f"{self.where}?", value=v, newest=at, why="" if v is not None else "gone") for v in values]

    def never(self, ask: Ask) -> str:
        return ""


BALANCER = {"requests": 900.0, "errors_5xx": 0.0, "failures": 0.0}


def looked(*sources: Fixed) -> SignalSample | Dead:
    found = StoreSignals(sources=sources, arms=["blue", "green"])
    return found.query(arm="green", since=FLIP, until=FLIP + timedelta(minutes=5))


def test_several_sources_make_one_sample() -> None:
    found = looked(Fixed("balancer", BALANCER), Fixed("log", {"tool_loops": 2.0, "cost": 1.25}))
    assert isinstance(found, SignalSample)
    assert (found.requests, found.tool_loops, found.more) == (900, 2, {"cost": 1.25})


def test_a_second_source_that_is_dead_costs_its_own_figures_alone() -> None:
    found = looked(Fixed("balancer", {**BALANCER, "errors_5xx": 90.0}), Fixed("log", {"tool_loops": None}))
    assert isinstance(found, SignalSample)
    assert found.lacks == {"tool_loops": "log: tool_loops of green: gone; query: log?"}
    verdicts = {v.rule: v for v in judge_stop(evidence(hold_rows()), rules=Rules(), signals=[found])}
    assert verdicts["tool_loops"].outcome is Outcome.ERROR
    assert "query: log?" in verdicts["tool_loops"].needs
    assert verdicts["http_5xx"].outcome is Outcome.FAIL, "the balancer is still believed"
    dead = looked(Fixed("balancer", {**BALANCER, "errors_5xx": None}), Fixed("log", {"tool_loops": 0.0}))
    assert isinstance(dead, Dead)
    assert dead.why.startswith("balancer: errors_5xx of green: gone")


def test_without_a_figure_of_tool_loops_the_verdict_says_what_was_watched() -> None:
    found = looked(Fixed("balancer", BALANCER))
    assert isinstance(found, SignalSample)
    assert found.tool_loops is None
    verdict = next(
        v for v in judge_stop(evidence(hold_rows()), rules=Rules(), signals=[found]) if v.rule == "tool_loops"
    )
    assert "the plan's signals have no tool loops of live traffic" in verdict.detail
    assert verdict.n == 1440, "the probes alone"


def with_depth(*values: float | None) -> list[SignalSample | Dead | None]:
    plain = sample(900).__dict__
    return [
        SignalSample(
            **{
                **plain,
                "until": plain["since"] + timedelta(seconds=15 * (n + 1)),
                "requests": 300 * (n + 1),
                "extra": {} if value is None else {"depth": value},
                "lacks": {"extra_depth": "no figure; query: depth?"} if value is None else {},
            }
        )
        for n, value in enumerate(values)
    ]


class TestExtra:
    found = spec(
        kind="prometheus", figures=NAMED, extra=[{"name": "depth", "query": "depth", "accept": 10, "stop": 20}]
    )
    rules = Rules().beside([extra.rule for extra in extras_of(found)])

    def stop(self, *values: float | None) -> tuple[Outcome, str]:
        verdicts = judge_stop(evidence(hold_rows()), rules=self.rules, signals=with_depth(*values))
        return next((v.outcome, v.detail) for v in verdicts if v.rule == "extra_depth")

    def end(self, *values: float | None) -> Outcome:
        given: dict[str, Any] = {"rehearsal_ttr_s": 1.0, "traffic": True}
        verdicts = judge_acceptance(evidence(hold_rows()), rules=self.rules, signals=with_depth(*values), **given)
        return next(v.outcome for v in verdicts if v.rule == "extra_depth")

    def test_a_whole_window_beyond_the_bound_stops(self) -> None:
        assert self.stop(5, 5, 5)[0] is Outcome.PASS
        assert self.stop(5, 30, 30)[0] is Outcome.INCONCLUSIVE
        assert self.stop(30, 30, 30)[0] is Outcome.FAIL
        assert self.stop(30, 30)[0] is Outcome.INCONCLUSIVE, "a window is three looks"

    def test_the_end_takes_the_newest_figure_literally(self) -> None:
        assert (self.end(30, 30, 10), self.end(5, 5, 11)) == (Outcome.PASS, Outcome.FAIL)

    def test_a_figure_that_is_not_there_is_an_error_that_names_the_query(self) -> None:
        outcome, detail = self.stop(5, 5, None)
        assert outcome is Outcome.ERROR
        assert "query: depth?" in detail
        assert self.end(5, 5, None) is Outcome.ERROR

    def test_a_plan_has_it_among_its_rules(self) -> None:
        body = {**PLAN.model_dump(mode="json"), "signals": self.found.model_dump(mode="json")}
        plan = Plan.model_validate(body)
        assert plan.rules.each[-1].spec("accept").name == "extra_depth"
        assert Plan.model_validate_json(plan.to_json()).rules.each[-1].spec("stop").bound == 20
        assert plan.digest == Plan.model_validate_json(plan.to_json()).digest
        assert "The same query for Blue" in " ".join(_steps("extra_depth"))

    def test_a_stop_inside_the_accepted_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="stop 5 is on the good side of accept 10"):
            spec(kind="prometheus", figures=NAMED, extra=[{"name": "x", "query": "x", "accept": 10, "stop": 5}])


def test_an_old_plan_with_one_source_is_what_it_was() -> None:
    assert isinstance(PLAN.signals, SignalsSpec)
    assert [source.kind for source in sources_of(PLAN.signals)] == ["sql"]
    assert set(PLAN.signals.gives) == {"requests", "errors_5xx", "failures", "tool_loops", "p95_ms"}
