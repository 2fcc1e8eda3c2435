"""Simulated holds, and what can be wrong with Green in them: for ``simulate_hold.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
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
TICKS, TICK_S = 80, 15
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = Rules()
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
        looks = np.zeros(TICKS, np.bool_)
        for width in range(1, window + 1):
            newest = np.convolve(bad, np.ones(width))[:TICKS] / (n * np.minimum(np.arange(TICKS) + 1, width))
            looks |= newest > (RULES.http_5xx.stop or math.inf)
        return list(np.flatnonzero(looks))

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
