"""One switchover as a reviewer sees it, from the ledger alone: what page, file, terminal and JSON all show.

Nothing here may fail because a record is missing or half-written: the part is left out and ``missing`` names it.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from switchover.approval import open_question
from switchover.cache import CacheNamespace
from switchover.compare.arms import ArmsCompared
from switchover.compare.over_time import Overall, OverTime, over_time, overall
from switchover.errors import SwitchoverError
from switchover.judge.analysis import Analysis
from switchover.judge.extra import ExtraRule
from switchover.judge.gates import decisive
from switchover.judge.rules import RULE_KINDS, Rules
from switchover.ledger import Ledger, RunRow
from switchover.ledger.ttr import ttr
from switchover.pins import PIN_NAMES, ArmPins, changed_pins
from switchover.plan import Plan
from switchover.protocol import State
from switchover.report.ends import playbook_of_end
from switchover.report.facts import Facts
from switchover.report.headline import headline
from switchover.report.missing import missing_records
from switchover.report.summary import compare_recorded, deciding, load_evidence, summarise

T = TypeVar("T")
HALF_WRITTEN = (SwitchoverError, ValidationError, ValueError, TypeError, KeyError, IndexError, AttributeError)
KEPT = 8  # comparisons of other runs that are remembered


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look of the hold: seconds since the flip, value and outcome of one rule."""

    seconds: float
    value: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Live traffic on Green between two looks; ``seconds`` since the flip, ``span_s`` since the look before."""

    seconds: float
    requests: int
    errors_5xx: int
    failures: int
    span_s: float


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is worked out from evidence rows: both arms, over time and overall, and the retrieved texts."""

    phase: str
    arms: ArmsCompared
    over_time: OverTime
    seconds: Sequence[float]  # of the ticks in over_time: since the flip, or since the first probe
    overall: Overall
    names: Sequence[str]  # of the questions, as the measures have them
    texts: Mapping[tuple[str, str], str]  # (arm, snippet id) -> text
    questions: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Review:
    """Everything about one run. ``facts`` is the JSON-able part; ``missing`` says what is not in the ledger."""

    facts: Facts
    row: RunRow
    rules: Rules
    now: datetime
    trends: Mapping[str, Sequence[Look]]
    traffic: Sequence[Traffic]
    signals: Sequence[Mapping[str, Any]]  # what their store was asked at each look, and what it answered
    compared: Compared | None
    missing: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form: the facts, the comparison, what is missing."""
        compared = self.compared.arms.to_json() if self.compared is not None else None
        return {**self.facts.to_json(), "comparison": compared, "missing": list(self.missing)}


class Reviews:
    """Makes reviews; remembers the comparisons, which cost most, until there is new evidence."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str, int], tuple[Compared | None, tuple[str, ...]]] = OrderedDict()

    def get(self, ledger: Ledger, id: str) -> Review:
        """The review of a run as it stands now; ``BadInput`` when there is none of this id."""
        row, now = ledger.runs.get(id), ledger.now()
        missing: list[str] = []

        def part(what: str, read: Callable[[], T], otherwise: T) -> T:
            try:
                return read()
            except HALF_WRITTEN as error:
                missing.append(f"{what}: half-written, not shown ({type(error).__name__})")
                return otherwise

        plan = part("plan", row.read_plan, None)
        rules = plan.rules if plan is not None else Rules()
        compared, unreadable = self._compared(ledger, row, rules)
        facts = _facts(ledger, row, plan, part)
        decided = row.decision is not None or row.state.ended
        gate = deciding(facts.verdicts, decided=decided, asked=facts.approvals)
        facts = replace(facts, gate=gate, playbook=_playbook(row, gate, facts.steps))
        missing += [*unreadable, *missing_records(facts, compared is not None)]
        review = Review(
            facts=facts,
            row=row,
            rules=rules,
            now=now,
            trends=part("trend of the rules", lambda: _trends(ledger, row, gate), {}),
            traffic=part("live traffic", lambda: _traffic(ledger, row), ()),
            signals=part("what the signals' store was asked", lambda: ledger.journal.asked(row.id), ()),
            compared=compared,
            missing=missing,
        )
        answered = compared.overall.answered if compared is not None and compared.phase == "hold" else None
        line = headline(
            row,
            now,
            gate=gate,
            answered=answered,
            rehearsal=facts.rehearsal,
            asked=open_question(facts.approvals),
        )
        return replace(review, facts=replace(facts, status=line))

    def _compared(self, ledger: Ledger, row: RunRow, rules: Rules) -> tuple[Compared | None, tuple[str, ...]]:
        phase = ledger.evidence.newest_phase(row.id)
        key = (str(ledger.database.engine.url), row.id, phase, ledger.evidence.last_tick(row.id, phase=phase))
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            try:
                found = (_compare(ledger, row, phase, rules), ())
            except HALF_WRITTEN as error:
                found = (None, (f"comparison of the arms: cannot be made from these records ({error})",))
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return found


def review(ledger: Ledger, id: str) -> Review:
    """One review, for the command line and the evidence bundle."""
    return Reviews().get(ledger, id)


def _compare(ledger: Ledger, row: RunRow, phase: str, rules: Rules) -> Compared | None:
    recording = load_evidence(ledger, row.id, phase=phase)
    if recording is None:
        return None
    evidence = recording.evidence
    analysis = Analysis(evidence)
    arms = compare_recorded(ledger, row.id, analysis, phase=phase, rules=rules)
    wanted = [(arm, str(hit.get("snippet_id"))) for m in arms.movers for arm, hits in m.hits.items() for hit in hits]
    by_tick = over_time(evidence, rules=rules)
    return Compared(
        phase=phase,
        arms=arms,
        over_time=by_tick,
        seconds=_seconds(row, phase, by_tick, recording.began),
        overall=overall(analysis, newest_ticks=rules.statistics.window if phase == "hold" else None),
        names=evidence.questions,
        texts=ledger.subjects.snippets(row.id, sorted(set(wanted))),
        questions={str(each["id"]): each for each in ledger.subjects.questions(row.id)},
    )


def _seconds(row: RunRow, phase: str, by_tick: OverTime, began: Mapping[int, datetime]) -> list[float]:
    start = (row.flipped_at if phase == "hold" else None) or min(began.values())
    return [(began[int(tick)] - start).total_seconds() if int(tick) in began else math.nan for tick in by_tick.ticks]


def _facts(ledger: Ledger, row: RunRow, plan: Plan | None, part: Callable[[str, Callable[[], Any], Any], Any]) -> Facts:
    lease = ledger.leases.get(row.pointer)
    return Facts(
        **summarise(ledger, row.id).to_json(),
        description=plan.description if plan is not None else "",
        declared=list(plan.changes) if plan is not None else [],
        readers=[reader.name for reader in plan.readers] if plan is not None else [],
        caches=part("cache namespaces", lambda: _caches(ledger, row, plan), {}),
        pins=part("pins", lambda: _pins(ledger, row, plan), []),
        lease=None if lease is None else {**vars(lease), "here": lease.holder == row.id},
        watchdog=part("watchdog", ledger.watchdogs.line, "not recorded"),
        approvals=part("approvals", lambda: [_asked(each) for each in ledger.approvals.of(row.id)], []),
        rehearsal=part("rehearsal", lambda: _rehearsal(ledger, row, plan), None),
    )


def _pins(ledger: Ledger, row: RunRow, plan: Plan | None) -> list[dict[str, Any]]:
    arms = ledger.subjects.arms(row.id)
    if not arms:
        return []
    known = {role: _known(arms[role], plan) if role in arms else ArmPins() for role in ("blue", "green")}
    blue, green = (known[role].values for role in ("blue", "green"))
    changed = changed_pins(blue, green)
    declared = {*(plan.changes if plan is not None else ()), "INDEX_HASH", "BUILD_ID"}
    return [
        {
            "name": name,
            "blue": blue.get(name),
            "green": green.get(name),
            "differs": name in changed,
            "declared": name in declared,
            "sources": {role: pins.source(name) for role, pins in known.items()},
        }
        for name in PIN_NAMES
    ]


def _known(arm: Mapping[str, Any], plan: Plan | None) -> ArmPins:
    """The pins of an arm as they were recorded, with the plan's promises."""
    spec = plan.arms.get(arm["target"]) if plan is not None else None
    promised = spec.promised if spec is not None else {}
    return ArmPins(manifest=dict(arm["pins"]), reported=dict(arm["reported"]), promised=promised)


def _caches(ledger: Ledger, row: RunRow, plan: Plan | None) -> dict[str, str]:
    """Role -> namespace of the arm's cache, by its pins; empty when the plan has no cache."""
    if plan is None or plan.cache is None:
        return {}
    return {role: CacheNamespace.of(arm["pins"]).id for role, arm in ledger.subjects.arms(row.id).items()}


def _asked(row: Mapping[str, Any]) -> dict[str, Any]:
    """A question to a person, and its answer; times as text."""
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items() if k != "run"}


def _rehearsal(ledger: Ledger, row: RunRow, plan: Plan | None) -> dict[str, Any] | None:
    found = ledger.rehearsals.counting(row, plan) if plan is not None else None
    if found is None:
        return None
    whole = [parts["total"] for back in ledger.runs.brought_back(row.service) if (parts := ttr(back)) is not None]
    return {"seconds": found.seconds, "at": found.at, "whole": [each for each in whole if each is not None]}


def _trends(ledger: Ledger, row: RunRow, gate: Sequence[Mapping[str, Any]]) -> dict[str, list[Look]]:
    start = row.flipped_at or row.opened_at
    looks: dict[str, list[Look]] = {}
    name = "acceptance" if gate and gate[0]["gate"] == "acceptance" else "stop"
    for each in ledger.trends.verdicts(row.id, gate=name):
        value = each["value"] if isinstance(each["value"], (int, float)) else None
        seconds = (each["at"] - start).total_seconds()
        looks.setdefault(each["rule"], []).append(Look(seconds=seconds, value=value, outcome=each["outcome"]))
    return looks


def _traffic(ledger: Ledger, row: RunRow) -> list[Traffic]:
    """Each look's share of the traffic. Samples all begin at the flip and grow: the one before is taken off."""
    start = row.flipped_at or row.opened_at
    found: list[Traffic] = []
    before = {"requests": 0, "errors_5xx": 0, "failures": 0}
    last = 0.0
    for each in ledger.trends.samples(row.id):
        sample = each["sample"]
        if not isinstance(sample, Mapping) or not {*before, "until"} <= set(sample):
            continue
        seconds = (datetime.fromisoformat(sample["until"]) - start).total_seconds()
        counts = {name: int(sample[name]) for name in before}
        more = {name: max(0, counts[name] - before[name]) for name in before}
        if seconds > last:
            found.append(Traffic(seconds=seconds, span_s=seconds - last, **more))
            before, last = counts, seconds
    return found


def _playbook(
    row: RunRow, gate: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """After a rollback or an abort: what to look at first, for each rule that decided, or for what did."""
    if row.state not in (State.ROLLED_BACK, State.ABORTED, State.ROLLING_BACK):
        return []
    fired = [v for v in decisive(gate, lambda v: str(v.get("outcome"))) if _steps(str(v.get("rule")))]
    if not fired:
        return playbook_of_end(row.reason, steps)
    return [{"rule": v["rule"], "detail": v.get("detail", ""), "steps": _steps(v["rule"])} for v in fired]


def _steps(rule: str) -> list[str]:
    """What people look at first when a rule has fired; of a rule that is not known nothing."""
    kind = ExtraRule if rule.startswith("extra_") else RULE_KINDS.get(rule)
    return list(kind.first_steps) if kind is not None else []
