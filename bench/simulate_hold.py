"""How often does the hold's test stop a good Green, and how soon does it catch a bad one?

    python bench/simulate_hold.py [--holds 2000] [--rates 20 40] [--profile bench/hold_profile.json]

Simulates holds of 20 min at 15 s and judges them with the product's own ``judge_stop`` and
``judge_acceptance``. Good holds ask the same arm twice (A/A): with the noise of real runs (``hold_profile.json``,
written by ``record_profile.py``), and with far more of it. Bad ones are at half of, and at twice, each stop
bound. Of twice, only the first 10 ticks of the regression are looked at. Prints the table that stands in
docs/rules/hold.md; ``--json`` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from switchover.judge.analysis import Analysis, BothWays
from switchover.judge.evidence import BLUE, GREEN, Evidence, SignalSample
from switchover.judge.evidence_row import ANSWERS
from switchover.judge.gates import Outcome, Verdict, judge_acceptance, judge_stop
from switchover.judge.rules import Rules
from switchover.judge.stop import HoldSoFar
from switchover.judge.traffic import Traffic

ANSWER_RULES = ("ds_anchor", "cited_right", "cited_retrieved", "no_citation", "answer_match")
WELL = (Outcome.PASS, Outcome.OFF)
ROUNDS = 12  # of the warm gate: 6 with 2 seeds
TICKS, TICK_S, WITHIN, LATE = 80, 15, 3, 10
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = Rules()
#: Columns of which these holds know nothing: no ids, no judged citations, no reference answers.
UNKNOWN = ("ndcg", "reciprocal_rank", "cited_right", "cited_retrieved", "uncited")
UNKNOWN += ("answer_f1", "answer_ds", "answer_moved")
Spoil = Callable[["Hold", np.random.Generator, int], "Hold"]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One simulated hold: figures (ticks, arms, questions, 3) and live 5xx per tick."""

    ds: Any
    coverage: Any
    cited: Any
    own: Any  # what the profile's arm cites, (questions, 3)
    status: Any
    live_errors: Any
    requests: int
    tool_loops: Any

    def evidence(self, ticks: int) -> Evidence:
        """The evidence after the first ``ticks`` ticks."""
        shape = self.ds[:ticks].shape
        tick, arm, question, paraphrase = (index.ravel() for index in np.indices(shape))
        status, n = self.status[:ticks].ravel(), math.prod(shape)
        bad = status != 200
        ms = np.where(bad, np.inf, 10.0)
        return Evidence(
            questions=tuple(f"q{i}" for i in range(shape[2])),
            sections=tuple(f"s{i}" for i in range(int(self.cited.max()) + 1)),
            tick=tick,
            arm=arm,
            question=question,
            paraphrase=paraphrase,
            seed=tick % 2,
            ds_question=np.where(bad, 1.0, self.ds[:ticks].ravel()),
            ds_anchor=np.where(bad, 1.0, self.ds[:ticks].ravel()),
            **self._answers(ticks, bad),
            **dict.fromkeys(("ndcg", "reciprocal_rank"), np.full(n, np.nan)),
            coverage=np.where(bad, 0.0, self.coverage[:ticks].ravel()),
            cited=np.where(bad, -1, self.cited[:ticks].ravel()),
            ms_retrieve=ms,
            ms_rerank=ms,
            ms_reason=ms,
            ms_total=ms,
            status=status,
            tool_loop=self.tool_loops[:ticks].ravel(),
            observed=np.ones(n, np.bool_),
            **{name: np.full(n, math.nan) for name in UNKNOWN},
        )

    def _answers(self, ticks: int, bad: Any) -> dict[str, Any]:
        """What answers say: right where a probe cites what the profile's arm cites, made up where nothing does."""
        right = (self.cited[:ticks] == self.own).astype(np.float64).ravel()
        retrieved = (self.cited[:ticks] <= int(self.own.max())).astype(np.float64).ravel()
        nearness = 1 - self.ds[:ticks].ravel()
        figures = {"cited_right": right, "cited_retrieved": retrieved, "uncited": np.zeros(len(right))}
        figures |= {"answer_f1": nearness, "answer_ds": 1 - nearness, "answer_moved": np.zeros(len(right))}
        return {name: np.where(bad, ANSWERS[name][0], values) for name, values in figures.items()}

    def answered(self, ticks: int, *, traffic: bool) -> list[str]:
        """The answer rules that do not pass at a gate over the first ticks."""
        signals = self.signals(ticks) if traffic else None
        verdicts = judge_acceptance(
            self.evidence(ticks), rules=RULES, signals=signals, rehearsal_ttr_s=1.0, traffic=traffic
        )
        open_ends = [each for each in verdicts if each.rule in ANSWER_RULES and each.outcome not in WELL]
        return [f"{each.rule} {each.outcome}" for each in open_ends]

    def signals(self, ticks: int) -> list[SignalSample | None]:
        """One sample a tick."""
        return [
            SignalSample(
                requests=self.requests,
                errors_5xx=int(errors),
                failures=int(errors),
                tool_loops=0,
                p95_ms={},
                since=FLIP + timedelta(seconds=TICK_S * tick),
                until=FLIP + timedelta(seconds=TICK_S * (tick + 1)),
            )
            for tick, errors in enumerate(self.live_errors[:ticks])
        ]

    def stops(self, tick: int) -> bool:
        """Whether a rule says stop after this tick (counted from 0)."""
        verdicts = judge_stop(self.evidence(tick + 1), rules=RULES, signals=self.signals(tick + 1))
        return any(verdict.outcome is Outcome.FAIL for verdict in verdicts)

    def may_stop(self) -> list[int]:
        """The ticks that need a look. Without evidence none stops, and no evidence ever is more than at the end;
        of 5xx, which have evidence from the newest ticks alone, none stops below the bound."""
        evidence, window = self.evidence(TICKS), RULES.statistics.window
        recent = BothWays(Analysis(evidence.newest(1)))
        hold = HoldSoFar(
            analysis=Analysis(evidence),
            probes=recent.probes,
            recent=recent,
            statistics=RULES.statistics,
            traffic=Traffic.of(self.signals(TICKS)),
        )
        betting = [rule for rule in RULES.having("stop") if rule.false_stop_share and rule.name != "http_5xx"]
        sure = (rule.harm(hold).evidence >= -math.log(rule.false_stops(RULES.statistics)) for rule in betting)
        if self.tool_loops.any() or any(sure):
            return list(range(TICKS))
        bad = self.live_errors + np.count_nonzero(self.status[:, GREEN] >= 500, axis=(1, 2))
        n = self.requests + self.status[0, GREEN].size
        newest = np.convolve(bad, np.ones(window))[:TICKS] / (n * np.minimum(np.arange(TICKS) + 1, window))
        return list(np.flatnonzero(newest > (RULES.http_5xx.stop or math.inf)))

    def end(self) -> list[Verdict]:
        """The verdicts at the end of the hold."""
        signals = self.signals(TICKS)
        return judge_acceptance(self.evidence(TICKS), rules=RULES, signals=signals, rehearsal_ttr_s=1.0, traffic=True)


def same_arm_twice(profile: dict[str, Any], rng: np.random.Generator, rate: float, noise: dict[str, float]) -> Hold:
    """An A/A hold: both arms are the profile's, each with its own noise."""
    base = {name: np.array(profile["arm"][name]) for name in ("ds", "coverage", "cited")}
    shape = (TICKS, 2, *base["ds"].shape)
    ds, coverage, cited = (np.broadcast_to(base[name], shape).copy() for name in ("ds", "coverage", "cited"))
    ds = np.clip(ds + rng.normal(0, noise["ds_sd"], shape), 0, 1)
    # A probe that comes out differently gets the result of another paraphrase, or cites a section of its own.
    other = rng.random(shape) < noise["changed"]
    turned = np.roll(np.arange(3), 1)
    coverage = np.where(other, coverage[..., turned], coverage)
    cited = np.where(
        other & (rng.random(shape) < 0.5), int(base["cited"].max()) + 1, np.where(other, cited[..., turned], cited)
    )
    status = np.where(rng.random(shape) < noise["errors"], 500, 200)
    requests = int(rate * TICK_S)
    return Hold(
        ds=ds,
        coverage=coverage,
        cited=cited,
        own=base["cited"],
        status=status,
        live_errors=rng.binomial(requests, noise["errors"], TICKS),
        requests=requests,
        tool_loops=np.zeros(shape, np.bool_),
    )


def _from(hold: Hold, onset: int) -> Any:
    """Green's rows from a tick on."""
    mask = np.zeros(hold.ds.shape, np.bool_)
    mask[onset:, GREEN] = True
    return mask


def errors_5xx(share: float) -> Spoil:
    """This share of Green's live requests and probes ends in a 5xx."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        bad = _from(hold, onset) & (rng.random(hold.ds.shape) < share)
        live = np.where(np.arange(TICKS) >= onset, rng.binomial(hold.requests, share, TICKS), hold.live_errors)
        return replace(hold, status=np.where(bad, 500, hold.status), live_errors=live)

    return spoil


def shifted(drift: float) -> Spoil:
    """All of Green's ΔS move by this much, and so does the p95."""
    return lambda hold, rng, onset: replace(hold, ds=np.clip(hold.ds + drift * _from(hold, onset), 0, 1))


def tail(drift: float, questions: float = 0.15) -> Spoil:
    """Only this share of the questions moves, to the p95 of Blue plus the drift."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        count = hold.ds.shape[2]
        hit = np.zeros(count, np.bool_)
        hit[rng.choice(count, math.ceil(questions * count), replace=False)] = True
        level = np.quantile(hold.ds[:, BLUE], 0.95) + drift
        return replace(hold, ds=np.where(_from(hold, onset) & hit[:, None], min(level, 1.0), hold.ds))

    return spoil


def covering(share: float) -> Spoil:
    """Green's coverage falls to this on average: whole questions are lost."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        keep = share / hold.coverage[:, BLUE].mean()
        lost = rng.permutation(hold.ds.shape[2]) >= round(keep * hold.ds.shape[2])
        return replace(hold, coverage=np.where(_from(hold, onset) & lost[:, None], 0.0, hold.coverage))

    return spoil


def flipping(share: float) -> Spoil:
    """This share of the questions cites another section for one of the paraphrases."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        count = hold.ds.shape[2]
        stable = [q for q in range(count) if len(set(hold.cited[0, BLUE, q])) == 1]
        missing = max(0, round(share * count) - (count - len(stable)))
        hit = np.zeros((count, 3), np.bool_)
        hit[rng.choice(stable, missing, replace=False), 1] = True
        return replace(hold, cited=np.where(_from(hold, onset) & hit, int(hold.cited.max()) + 1, hold.cited))

    return spoil


def looping(share: float) -> Spoil:
    """This share of Green's probes has a tool loop."""
    return lambda hold, rng, onset: replace(hold, tool_loops=_from(hold, onset) & (rng.random(hold.ds.shape) < share))


TWICE: dict[str, Spoil] = {
    "5xx 2 %": errors_5xx(0.02),
    "coverage 0.20 (twice the shortfall of 0.60)": covering(0.20),
    "p95 drift 0.30, all questions": shifted(0.30),
    "p95 drift 0.30, 15 % of the questions": tail(0.30),
    "flip rate 0.40": flipping(0.40),
    "tool loops, 2 % of the probes": looping(0.02),
}
HALF: dict[str, Spoil] = {
    "5xx 0.5 %": errors_5xx(0.005),
    "coverage 0.80 (half the shortfall)": covering(0.80),
    "p95 drift 0.075, all questions": shifted(0.075),
    "flip rate 0.10": flipping(0.10),
}
ROUGH = {"ds_sd": 0.02, "changed": 0.05, "errors": 0.001}
GOOD = {"as measured": {}, "rough": ROUGH, "rough, 0.45 % errors": {**ROUGH, "errors": 0.0045}}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One line of the table: ``kind`` is good, half or twice; ``onset`` is the tick, None a random one."""

    kind: str
    name: str
    rate: float
    onset: int | None
    holds: int
    profile: dict[str, Any]

    def run(self) -> dict[str, Any]:
        """Simulate the holds."""
        rng = np.random.default_rng([20261124, *self.name.encode(), int(self.rate), self.onset is None])
        stopped = caught = accepted = 0
        open_rules: Counter[str] = Counter()
        by_answers: Counter[str] = Counter()
        for _ in range(self.holds):
            noise = self.profile["noise"] | (GOOD[self.name] if self.kind == "good" else {})
            onset = int(rng.integers(1, TICKS - LATE)) if self.onset is None else self.onset
            hold = same_arm_twice(self.profile, rng, self.rate, noise)
            if self.kind == "twice":
                hold = TWICE[self.name](hold, rng, onset)
                first = next((tick for tick in range(onset, onset + LATE) if hold.stops(tick)), math.inf)
                stopped, caught = stopped + (first < math.inf), caught + (first < onset + WITHIN)
                continue
            hold = HALF[self.name](hold, rng, onset) if self.kind == "half" else hold
            stopped += any(hold.stops(tick) for tick in hold.may_stop())
            not_passing = [verdict for verdict in hold.end() if verdict.outcome not in WELL]
            accepted += not not_passing
            if self.kind == "good":
                warm, end = hold.answered(ROUNDS, traffic=False), hold.answered(TICKS, traffic=True)
                by_answers.update(f"warm: {name}" for name in warm)
                by_answers.update(f"end: {name}" for name in end)
                by_answers["any"] += bool(warm or end)
            open_rules.update(f"{verdict.rule} {verdict.outcome}" for verdict in not_passing)
        end = f"{_percent(accepted, self.holds)} accepted"
        if open_rules:
            end += "; " + ", ".join(f"{name} {_percent(n, self.holds)}" for name, n in open_rules.most_common(3))
        return {
            "hold": {"good": f"A/A, noise {self.name}"}.get(self.kind, f"{self.kind}: {self.name}"),
            "rate": f"{self.rate:g}/s",
            "begins": "–" if self.kind == "good" else "later" if self.onset is None else "at the flip",
            "stopped": _percent(stopped, self.holds),
            "caught": _percent(caught, self.holds) if self.kind == "twice" else "–",
            "end": "–" if self.kind == "twice" else end,
            "holds": self.holds,
            "not passed by answers": {name: _percent(n, self.holds) for name, n in sorted(by_answers.items())},
        }


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.4g} %"


def main() -> None:
    """Run the simulations and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--holds", type=int, default=2000, help="simulated holds of each line, half as many of twice (default: 2000)"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[20, 40], help="live requests a second")
    parser.add_argument("--profile", type=Path, default=Path(__file__).with_name("hold_profile.json"))
    parser.add_argument("--only", choices=("good", "half", "twice"), help="these holds alone")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    options = parser.parse_args()
    profile = json.loads(options.profile.read_text())
    most, fewer = options.holds, max(1, options.holds // 2)
    kinds = [("good", GOOD, (0,), most), ("half", HALF, (0,), most), ("twice", TWICE, (0, None), fewer)]
    jobs = [
        Job(kind=kind, name=name, rate=rate, onset=onset, holds=holds, profile=profile)
        for rate in options.rates
        for kind, names, onsets, holds in kinds
        if options.only in (None, kind)
        for onset in onsets
        for name in names
    ]
    began, columns = time.perf_counter(), ("hold", "rate", "begins", "stopped", "caught", "end", "holds")
    lines = []
    with ProcessPoolExecutor() as pool:
        if not options.json:
            print("| hold | live requests | begins | stopped | within 3 ticks | at its end | holds |")
            print("| --- " * len(columns) + "|", flush=True)
        for line in pool.map(Job.run, jobs):
            lines.append(line)
            if not options.json:
                print("| " + " | ".join(str(line[column]) for column in columns) + " |", flush=True)
                if line["not passed by answers"]:
                    print(f"  answer rules that did not pass: {line['not passed by answers']}", flush=True)
    if options.json:
        print(json.dumps({"holds": options.holds, "seconds": round(time.perf_counter() - began), "lines": lines}))


if __name__ == "__main__":
    main()
