"""The smoke outside a switchover: ask one arm or both, judge, write nothing anywhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal

from switchover.arms.client import ArmClient, open_arm
from switchover.arms.complete import Completer
from switchover.arms.probe import Asked, Round, ask_round, evidence_rows, trial_questions
from switchover.edge.edge import Edge
from switchover.encoders.base import Encoder
from switchover.errors import BadInput, PointerConflict, Unreachable
from switchover.gold.goldset import GoldSet
from switchover.judge.calibration import Calibration
from switchover.judge.evidence import Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.gates import judge_acceptance
from switchover.judge.outcome import Outcome, Verdict
from switchover.judge.rules import RULE_KINDS, Rules
from switchover.plan import Plan

Which = Literal["blue", "green", "both"]

GIVE_UP = 10  # probes without a single readable answer
COMMONEST = 5  # errors that are listed
EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.ERROR: 4}


class Failures:
    """What was not answered, and why: by arm, status, error and the first line of the answer.

    ``Unreachable``, with the reasons, when the first probes of a smoke have brought no readable answer at all.
    """

    def __init__(self, targets: Mapping[str, str], *, completer: Completer) -> None:
        self._targets = targets
        self._completer = completer
        self._counts: Counter[tuple[str, int, str, str]] = Counter()
        self._answered = 0

    def count(self, probe: Asked) -> None:
        """Take one probe down."""
        reply = self._completer.complete([(probe.arm, probe.reply)])[0]
        error = reply.error
        if error is None:
            self._answered += 1
            return
        self._counts[self._targets[probe.arm], probe.reply.status, error, probe.reply.said] += 1
        if not self._answered and sum(self._counts.values()) == GIVE_UP:
            raise Unreachable(
                f"none of the first {GIVE_UP} probes has a readable answer: {'; '.join(self.lines())};"
                " docs/your-own-service.md says how a plan maps what an arm answers"
            )

    def to_json(self) -> list[dict[str, Any]]:
        """The commonest errors, most first."""
        names = ("arm", "status", "error", "said", "count")
        return [dict(zip(names, (*key, count), strict=True)) for key, count in self._counts.most_common(COMMONEST)]

    def lines(self) -> list[str]:
        """One line for each of the commonest errors."""
        return [
            f"{each['count']} × {each['arm']}: {each['error']}" + (f": {each['said']}" if each["said"] else "")
            for each in self.to_json()
        ]


def arms_of(plan: Plan, edge: Edge, which: Which) -> dict[str, str]:
    """Role -> target of the arms to ask: Blue is what the pointer says, Green the plan's candidate."""
    if which == "green":
        return {"green": plan.green}
    live = plan.pointer.build(edge).read().target
    if live not in plan.arms:
        raise PointerConflict(f"the pointer is on {live!r}, none of the plan's arms ({', '.join(plan.arms)})")
    if which == "blue":
        return {"green": live}  # the judge's rules for one arm speak of the arm that is asked
    other = next(target for target in (plan.green, *plan.arms) if target != live)
    return {"blue": live, "green": other}


async def evaluate(
    *,
    plan: Plan,
    edge: Edge,
    gold: GoldSet,
    encoder: Encoder,
    targets: dict[str, str],
    rounds: int,
    on_progress: Callable[[int, int], None],
) -> tuple[list[EvidenceRow], Failures]:
    """Evidence rows of ``rounds`` rounds over the gold set, and what was not answered; ``targets`` is role -> target.

    ``Unreachable`` when no arm gives a readable answer.
    """
    store = plan.indexes(edge)
    completer = Completer(gold=gold, encoder=encoder, texts_of=lambda role, ids: store.texts(targets[role], ids))
    failures = Failures(targets, completer=completer)
    rows: list[EvidenceRow] = []
    each = len(gold.items) * gold.asked * plan.probes.seeds * len(targets)
    async with AsyncExitStack() as stack:
        arms: dict[str, ArmClient] = {}
        for role, target in targets.items():
            opened = open_arm(edge, target, plan.arms[target], asking=plan.asking, timeout_s=plan.probes.timeout_s)
            arms[role] = await stack.enter_async_context(opened)
        await _try(arms, gold, plan)
        for tick in range(rounds):
            round = Round(phase="eval", tick=tick, seeds=range(plan.probes.seeds))
            before = tick * each

            def progress(done: int, total: int, before: int = before) -> None:
                on_progress(before + done, each * rounds)

            asked = await ask_round(
                round, arms=arms, gold=gold, spec=plan.probes, on_progress=progress, on_asked=failures.count
            )
            rows += evidence_rows(
                asked,
                round,
                gold=gold,
                encoder=encoder,
                probes=plan.probes,
                completer=completer,
            )
    return rows, failures


def ask_blue_twice(
    plan: Plan,
    edge: Edge,
    *,
    gold: GoldSet,
    encoder: Encoder,
    rounds: int | None,
    on_progress: Callable[[int, int], None],
) -> tuple[str, list[EvidenceRow]]:
    """Blue's target, and evidence rows of which both arms are Blue. ``rounds``: ``None`` means as the warm gate has."""
    asked = plan.warm.min_rounds if rounds is None else rounds
    if asked < 1:
        raise BadInput(f"--rounds: found {asked}; allowed: at least 1")
    live = arms_of(plan, edge, "blue")["green"]
    targets = {"blue": live, "green": live}
    asking = evaluate(
        plan=plan, edge=edge, gold=gold, encoder=encoder, targets=targets, rounds=asked, on_progress=on_progress
    )
    return live, asyncio.run(asking)[0]


async def _try(arms: Mapping[str, ArmClient], gold: GoldSet, plan: Plan) -> None:
    """Ask a few questions first; ``Unreachable`` names each path of the plan that finds nothing."""
    questions = trial_questions(gold)
    wrong = []
    for client in arms.values():
        trial = await client.trial(questions, k=plan.probes.k)
        wrong += [f"{client.name}: {trial.error}"] if trial.silent else []
    if wrong:
        raise Unreachable(f"trial questions: {'; '.join(wrong)}")


def judge_smoke(
    rows: Sequence[EvidenceRow], gold: GoldSet, *, rules: Rules, both: bool, judge: Calibration | None = None
) -> list[Verdict]:
    """Acceptance verdicts of a smoke. Rules that asking these arms does not answer are left out."""
    evidence = Evidence.from_rows(rows, gold.ids, grade=gold.grade.value, wordings=gold.asked)
    verdicts = judge_acceptance(evidence, rules=rules, rehearsal_ttr_s=None, traffic=False, judge=judge)
    answered = [name for name, rule in RULE_KINDS.items() if rule.from_probes and (both or not rule.compares_with_blue)]
    return [verdict for verdict in verdicts if verdict.rule in answered]
