"""One million evidence rows against all rules: seconds, memory, and how far from what numpy needs at least.

    python bench/bench_judge.py [--rows 1000000] [--dimensions 64] [--repeats 9]

Prints one JSON line. ``seconds`` is vectors in, verdicts out: ΔS of every row, the columns put right, every
acceptance rule (with live traffic) and every stop rule over 80 ticks. ``ratio_numpy_floor``: to one cosine
of the same vectors (sums in float64) and one sort of the result. ``ratio_pandas``: how many times longer
pandas groupby takes for the same figures from the same columns. ΔS from vectors is left out of both sides;
putting columns right, most intervals, the tests and the verdicts are in the judge's time only. Figures that
both name must be equal, or nothing is printed but the difference. All are timed in turn, round by round, and
the shortest of each counts, so that a busy machine does not decide a ratio. ``peak_mb`` is the peak of the
process, with the rows themselves and before pandas; ``peak_mb_before`` was its peak before the first verdict.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd

from switchover.judge.analysis import Analysis
from switchover.judge.evidence import BLUE, GREEN, Evidence, SignalSample
from switchover.judge.evidence_row import ANSWERS
from switchover.judge.gates import Verdict, judge_acceptance, judge_stop
from switchover.judge.measure import delta_s
from switchover.judge.rules import Rules
from switchover.judge.sequential import bets

TICKS, SEEDS = 80, 2
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = Rules()
BETS = bets(1 - RULES.coverage.accept)
Columns = dict[str, Any]
CITED = ("cited_right", "cited_retrieved")


def make(rows: int, dimensions: int) -> tuple[Any, Any, Columns, int]:
    """Vectors of questions and contexts, the other columns, and the number of questions.

    In the order in which a hold records them: tick by tick, in it shuffled, both arms mixed.
    """
    rng = np.random.default_rng(20261124)
    questions = -(-rows // (TICKS * 2 * 3 * SEEDS))
    grid = [index.ravel() for index in np.indices((TICKS, 2, questions, 3, SEEDS))]
    order = np.lexsort((rng.random(len(grid[0])), grid[0]))
    tick, arm, question, paraphrase, seed = (index[order] for index in grid)
    n = len(tick)
    asked = rng.standard_normal((n, dimensions), dtype=np.float32)
    found = asked + rng.standard_normal((n, dimensions), dtype=np.float32)
    bad = rng.random(n) < 0.0005
    found[bad] = 0.0  # a failed probe, as it is recorded: nothing retrieved, nothing covered, no time
    # As in the sandbox: answers repeat from tick to tick; a tenth of the questions flips with its paraphrase.
    turned = ((question % 10 == 0) & (paraphrase == 1)) | (rng.random(n) < 0.0001)
    cited = np.where(turned, question + questions, question)
    columns: Columns = {
        "tick": tick,
        "arm": arm,
        "question": question,
        "paraphrase": paraphrase,
        "seed": seed,
        "ds_anchor": np.where(bad, 1.0, rng.random(n)),
        "coverage": np.where(bad, 0.0, np.round(rng.beta(5, 1, n), 2)),
        "cited": np.where(bad, -1, cited),
        "status": np.where(bad, 500, 200),
        "tool_loop": np.zeros(n, np.bool_),
        "observed": np.ones(n, np.bool_),
        **{
            name: np.where(bad, worst, np.abs(best - np.round(0.3 * rng.random(n), 2)))
            for name, (worst, best) in ANSWERS.items()
        },
        **{
            f"ms_{s}": np.where(bad, np.inf, rng.lognormal(2, 0.4, n))
            for s in ("retrieve", "rerank", "reason", "total")
        },
    }
    return asked, found, columns, questions


def evidence_of(ds: Any, columns: Columns, questions: int) -> Evidence:
    """The columns as evidence, put right."""
    raw = Evidence(
        questions=tuple(f"q{i}" for i in range(questions)),
        sections=tuple(f"s{i}" for i in range(2 * questions)),
        ds_question=ds,
        ndcg=np.full(len(ds), np.nan),  # of sets that are judged by ids
        reciprocal_rank=np.full(len(ds), np.nan),
        **columns,
    )
    return raw.cleaned(unanswerable=np.zeros(len(ds), np.bool_))


def judge(ds: Any, columns: Columns, questions: int) -> list[Verdict]:
    """All verdicts of both gates."""
    evidence = Analysis(evidence_of(ds, columns, questions))  # both gates read one, as at the end of a hold
    signals: list[SignalSample | None] = [
        SignalSample(
            requests=300,
            errors_5xx=0,
            failures=0,
            tool_loops=0,
            p95_ms={},
            since=FLIP + timedelta(seconds=15 * tick),
            until=FLIP + timedelta(seconds=15 * tick + 15),
        )
        for tick in range(TICKS)
    ]
    accepted = judge_acceptance(evidence, rules=RULES, signals=signals, rehearsal_ttr_s=1.0, traffic=True)
    return accepted + judge_stop(evidence, rules=RULES, signals=signals)


def with_pandas(frame: pd.DataFrame) -> dict[str, float]:
    """The same figures by groupby, each in the quickest of its plain spellings, and none that the judge leaves out.

    A frame an arm, as one groupby over both takes about twice as long; one call for all that shares its keys.
    """
    bad = (frame.status < 200) | (frame.status > 299)
    green = frame[frame.arm == GREEN]
    blue = frame[(frame.arm == BLUE) & ~bad]  # the evidence as it stands: Blue's failed probes are left out
    unsure = frame[frame.arm == BLUE]  # read strictly: they were the best that they could have been
    failed = bad[frame.arm == BLUE]
    unsure = unsure.assign(
        ds_question=unsure.ds_question.mask(failed, 0.0),
        coverage=unsure.coverage.mask(failed, 1.0),
        ms_total=unsure.ms_total.mask(failed, 0.0),
        ds_anchor=unsure.ds_anchor.mask(failed, 0.0),
        **{name: unsure[name].mask(failed, best) for name, (_, best) in ANSWERS.items()},
    )
    found: dict[str, Any] = {}
    medians = green.groupby("paraphrase").ds_question.quantile([0.48, 0.5, 0.52]).unstack()  # with its interval
    found["ds_question"] = medians[0.5].max()
    judged, others = ["ds_question", "ms_total"], ["ms_retrieve", "ms_rerank", "ms_reason"]
    tail, theirs = (arm[judged].quantile([0.94, 0.95, 0.96]) for arm in (green, blue))
    rises = green[others].quantile(0.95) / blue[others].quantile(0.95) - 1
    found |= rises
    best = unsure[judged].quantile(0.95)
    for name, other in (("", theirs.loc[0.95]), ("strict ", best)):
        found[f"{name}ds_p95_drift"] = tail.ds_question[0.95] - other.ds_question
        found[f"{name}latency_p95"] = tail.ms_total[0.95] / other.ms_total - 1
    covered = green.groupby("question").coverage.mean()
    found["coverage"] = covered.mean()
    for name, other in (("", blue), ("strict ", unsure)):
        found[f"{name}coverage_vs_blue"] = (covered - other.groupby("question").coverage.mean()).mean()
    said = ["ds_anchor", *(name for name in ANSWERS if name != "answer_moved")]  # no rule asks for that one
    mine = green.groupby("question")[said].mean()
    for name, other in (("", blue), ("strict ", unsure)):
        apart = (mine - other.groupby("question")[said].mean()).mean()
        for rule, column in (("ds_anchor", "ds_anchor"), ("no_citation", "uncited"), *zip(CITED, CITED, strict=True)):
            found[f"{name}{rule}"] = apart[column]
        found[f"{name}answer_match"] = (apart.answer_f1 - apart.answer_ds) / 2
    middles, theirs_too = (arm.ds_anchor.quantile([0.5, 0.95]) for arm in (green, blue))
    found["anchor tail"] = middles[0.95] - theirs_too[0.95]
    flips, other = _flips(green, ["question"]), _flips(blue, ["question"])
    found["flip_rate"] = flips.mean()
    found["flips_vs_blue"] = (flips - other).mean()
    cites = green.groupby(["seed", "question", "paraphrase"]).cited.agg(["min", "max"]).unstack("seed")
    found["a seed changes something"] = (cites["min"][0] != cites["max"][1]).any()
    found["failures"] = bad[frame.arm == GREEN].sum()
    found["errors"] = (green.status >= 500).sum()
    found["tool_loops"] = green.tool_loop.sum()
    found["fewest runs"] = frame.groupby(["arm", "question", "paraphrase"]).size().min()
    # The hold: every tick.
    edge = blue.groupby("tick").ds_question.quantile(0.95) + RULES.ds_p95_drift.accept
    ticks = green.assign(
        beyond=green.ds_question > green.tick.map(edge),
        bad=green.status >= 500,
        **{f"bet {bet}": np.log(1 + bet * (RULES.coverage.accept - green.coverage)) for bet in BETS},
    ).groupby("tick")[["beyond", "bad", *(f"bet {bet}" for bet in BETS)]]
    found |= ticks.sum().max()
    flips, other = _flips(green, ["tick", "question"]), _flips(blue, ["tick", "question"])
    found["tick flips"] = flips.groupby("tick").sum().max()
    found["tick losses"] = (flips > other).groupby("tick").sum().max()
    # Its last ticks.
    green, blue, unsure = (arm[arm.tick >= TICKS - 3] for arm in (green, blue, unsure))
    tail = green.ds_question.quantile(0.95)
    found["stop ds_p95_drift"] = tail - blue.ds_question.quantile(0.95)
    found["strict stop ds_p95_drift"] = tail - unsure.ds_question.quantile(0.95)
    found["stop coverage"] = green.groupby("question").coverage.mean().mean()
    found["stop flip_rate"] = _flips(green, ["question"]).mean()
    found["fewest recent runs"] = frame[frame.tick >= TICKS - 3].groupby(["arm", "question", "paraphrase"]).size().min()
    return {name: float(value) for name, value in found.items()}


def _flips(rows: pd.DataFrame, keys: list[str]) -> Any:
    """Whether each question is not convergent: its most cited section has less than 0.8 of the runs, or is
    cited for one paraphrase only."""
    runs = rows.groupby(keys).size()
    sections = rows[rows.cited >= 0].groupby([*keys, "cited"]).paraphrase.agg(["size", "nunique"])
    best = sections.groupby(keys).max().reindex(runs.index, fill_value=0)
    return ((best["size"] < 0.8 * runs) | (best["nunique"] < 2)).astype(float)


def shortest(repeats: int, **work: Callable[[], Any]) -> dict[str, float]:
    """The shortest time of each, in seconds; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, function in work.items():
            began = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - began)
    return {name: min(taken) for name, taken in times.items()}


def floor(asked: Any, found: Any) -> Any:
    """What cannot be saved: one cosine, sums in float64, and one sort."""
    with np.errstate(all="ignore"):
        dot = np.einsum("ij,ij->i", asked, found, dtype=np.float64)
        square = np.einsum("ij,ij->i", asked, asked, dtype=np.float64)
        square *= np.einsum("ij,ij->i", found, found, dtype=np.float64)
        return np.sort(1.0 - dot / np.sqrt(square))


def check(verdicts: list[Verdict], figures: dict[str, float]) -> None:
    """End the run if a figure that both name is not the same."""
    ours: dict[str, float | None] = {}
    for verdict in verdicts:  # a rule that comes again stops
        ours[f"stop {verdict.rule}" if verdict.rule in ours else verdict.rule] = verdict.value
    for name in sorted(ours.keys() & figures.keys()):
        if not math.isclose(figures[name], ours[name] or 0.0, rel_tol=1e-9, abs_tol=1e-9):
            sys.exit(f"bench_judge: {name}: ours {ours[name]}, pandas {figures[name]}; nothing was measured")


def peak_mb() -> int:
    """The most memory that this process ever had, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="evidence rows of both arms (default: 1000000)")
    parser.add_argument("--dimensions", type=int, default=64, help="of the vectors (default: 64)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds, of which the shortest counts (default: 9)")
    options = parser.parse_args()
    asked, found, columns, questions = make(options.rows, options.dimensions)
    before = peak_mb()
    ds = delta_s(asked, found)
    verdicts = judge(ds, columns, questions)
    peak = peak_mb()
    frame = pd.DataFrame({**columns, "ds_question": ds})
    check(verdicts, with_pandas(frame))
    times = shortest(
        options.repeats,
        all=lambda: judge(delta_s(asked, found), columns, questions),
        judging=lambda: judge(ds, columns, questions),
        floor=lambda: floor(asked, found),
        kernel=lambda: np.sort(delta_s(asked, found)),
        pandas=lambda: with_pandas(frame),
    )
    least = min(times["floor"], times["kernel"])
    line = {
        "rows": len(ds),
        "seconds": round(times["all"], 4),
        "rows_per_s": round(len(ds) / times["all"]),
        "peak_mb": peak,
        "ratio_numpy_floor": round(times["all"] / least, 2),
        "ratio_pandas": round(times["pandas"] / times["judging"], 2),
        "peak_mb_before": before,
        "seconds_judging": round(times["judging"], 4),
        "seconds_floor": round(least, 4),
        "seconds_pandas": round(times["pandas"], 4),
        "dimensions": options.dimensions,
        "questions": questions,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
