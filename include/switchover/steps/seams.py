"""The seams of a plan, each asked once; nothing is changed. The dry run and ``switchover try`` make the same reads.

A seam is a part of the plan behind which another system answers. Each read is a check; what came is kept beside it, so
that people see it also where it is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import httpx

from switchover.arms.client import Trial
from switchover.arms.probe import TRIALS
from switchover.edge.answers import Reply
from switchover.edge.edge import Edge
from switchover.errors import BadInput, NotConverged, Unreachable
from switchover.gold.goldset import check_gold
from switchover.judge.rules.gold_present import GoldPresentRule
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.steps.arm_checks import Facts, look_at_arms
from switchover.steps.caches import questions_to_prime
from switchover.steps.checks import Check
from switchover.steps.controls import CANNOT, QUESTION, Tried, controls, pointer_name, require_answers
from switchover.steps.holdings import holdings_of
from switchover.steps.resume import pins_differ
from switchover.steps.smoke import arms_of
from switchover.steps.switch import Switch
from switchover.steps.verify import gold_valid, index_there, judge_encoder, signals_answer
from switchover.steps.world import BothArms
from switchover.text import counted
from switchover.writers import WriterSpec

ANSWER = "an answer"
#: Statuses of HTTP by which a service refuses the question itself: the plan asks wrongly. A login stands elsewhere.
ASKED_WRONGLY = frozenset({400, 404, 405, 406, 411, 413, 414, 415, 422})


@dataclass(frozen=True, kw_only=True)
class Read:
    """One read of a seam. ``error``: what was raised; ``tried``: an arm's trial answers; ``key``: which one of many."""

    check: Check
    error: Exception | None = None
    tried: Tried | None = None
    key: str = ""

    @property
    def in_plan(self) -> bool:
        """Whether the plan, or a file or connection that it names, must be mended; else no fit answer came."""
        if isinstance(self.error, BadInput):
            return True
        if isinstance(self.error, NotConverged):  # a reader that answers, but not where the plan says
            return "answer cannot be read" in str(self.error)
        if self.tried is None:
            return self.check.name.endswith(("pins", "only declared pins differ", "the arms differ", "cache answers"))
        if self.finds_nothing or isinstance(self.error, Unreachable):
            return False
        failed = next((reply.status for reply in self.tried.replies if not reply.ok), None)
        return failed is None or 200 <= failed < 400 or failed in ASKED_WRONGLY

    @property
    def finds_nothing(self) -> bool:
        """Whether an arm's answers are as the plan says, and hold no hit at all: its index may be empty."""
        return self.tried is not None and all(each.ok and not each.hits for each in self.tried.trial.replies)


class Seams:
    """Every seam of a run's plan, by the name of its part. What several parts show is asked once."""

    def __init__(self, switch: Switch, arms: BothArms) -> None:
        self._switch, self._arms, self._tried = switch, arms, dict[str, Tried]()
        self._controls = controls(
            switch, blue=arms.blue, green=arms.green, seconds=0, canaries=False, on_tried=self._came
        )

    @property
    def parts(self) -> dict[str, Callable[[], Iterator[Read]]]:
        """The parts that the plan has, in the order in which their faults are mended."""
        plan = self._switch.plan
        has = {
            "pointer": self.pointer,
            "arms": self.arms,
            "gold": self.gold,
            "index": self.index,
            "encoder": self.encoder,
            "readers": self.readers,
            "signals": self.signals,
        }
        has |= {"writers": self.writers} if plan.writers else {}
        has |= {"cache": self.cache} if plan.cache is not None else {}
        return has | ({"notify": self.notify} if plan.notify else {})

    @cached_property
    def looked(self) -> tuple[Facts | None, list[Check]]:
        """What both arms and their indexes are."""
        return look_at_arms(self._switch, self._arms)

    def pointer(self) -> Iterator[Read]:
        """Which arm is live, and whether the store serves it everywhere."""
        name = pointer_name(self._switch)

        def live() -> str:
            arms_of(self._switch.plan, self._switch.edge, "blue")
            return self._controls[name]()

        yield answers(name, live)

    def arms(self) -> Iterator[Read]:
        """The trial questions, what each arm says it is, its secrets and its pins."""
        for role, arm in (("blue", self._arms.blue), ("green", self._arms.green)):
            told = answers(f"arm {arm!r}", self._controls[f"arm {arm!r}"] if self._gold_ok else self._by_one(role, arm))
            tried = self._tried.get(role)
            yield Read(check=told.check, error=told.error, tried=tried, key=arm)
            if tried is not None:
                yield Read(check=_question(role, tried.replies[0]), tried=tried, key=arm)
        yield from self._of("arms")

    @property
    def _gold_ok(self) -> bool:
        return self._gold.check.ok

    @cached_property
    def _gold(self) -> Read:
        return checked("gold set", partial(gold_valid, self._switch))

    def _by_one(self, role: str, arm: str) -> Callable[[], str]:
        """While the gold set cannot be held against its corpus: its questions alone, or one of ours."""
        questions, spec = [QUESTION], self._switch.plan.gold
        with contextlib.suppress(*CANNOT):
            items = check_gold(Path(spec.path), format=spec.format).items
            questions = [item.question for _, item in items if item.answerable][:TRIALS] or questions

        async def ask() -> str:
            async with self._switch.open_arm(arm) as client:
                trial: Trial = await client.trial(questions, k=self._switch.plan.probes.k)
            self._came(Tried(role=role, trial=trial, replies=trial.replies))
            require_answers(self._tried[role])
            return f"asked {questions[0]!r}; what needs the gold set's answers is not known: it cannot be used yet"

        return lambda: asyncio.run(ask())

    def gold(self) -> Iterator[Read]:
        """The gold set against its corpus."""
        yield self._gold

    def index(self) -> Iterator[Read]:
        """Whether both indexes are there, what stands beside them, and what they hold."""
        silent = []
        for role, arm in (("Blue", self._arms.blue), ("Green", self._arms.green)):
            there = partial(index_there, self._switch, role=role, target=arm)
            read = checked(f"{role} index {arm}", there, key=arm)
            silent += [arm] if read.error else []
            yield read
        yield from (read for read in self._of("index") if read.key not in silent)  # that would fail as this did
        if self._gold_ok and not silent:
            yield checked("what both indexes hold", self._holdings)

    def _holdings(self) -> Check:
        held, rules = holdings_of(self._switch, self._arms), self._switch.plan.rules
        found, off = held.line, GoldPresentRule.name in rules.off
        found += f"; {GoldPresentRule.name} is off: {held.untold}" if held.untold and not off else ""
        none = not (held.one or held.untold or held.in_blue or off)
        return Check(
            name="what both indexes hold",
            ok=not held.error and not none,
            found=found,
            expected=f"documents of the gold set in Blue's, or {GoldPresentRule.name} stays INCONCLUSIVE",
        )

    def encoder(self) -> Iterator[Read]:
        """The judge encoder, and those of both arms against stored vectors."""
        yield answers("judge encoder", self._controls["judge encoder"])
        if self._gold_ok:
            yield checked("judge encoder reads the gold set", partial(judge_encoder, self._switch))
        yield from self._of("encoder")

    def readers(self) -> Iterator[Read]:
        """Which arm each reader serves."""
        yield answers("readers", self._controls["readers"])

    def signals(self) -> Iterator[Read]:
        """Every figure of live traffic, and whether it is fresh."""
        yield answers("signals", self._controls["signals"])
        yield checked("signals answer", partial(signals_answer, self._switch, self._arms.blue))

    def writers(self) -> Iterator[Read]:
        """How each writer stands, and whether it has work in flight."""
        for spec in self._switch.plan.writers:
            told = partial(_writer, self._switch, spec, self._arms.blue)
            yield answers(f"writer {spec.name!r}", told, key=spec.name)

    def cache(self) -> Iterator[Read]:
        """What would be primed, and whether answers can be told from cached ones. Nothing is put into a cache."""
        if self._gold_ok:
            yield answers("questions to prime", lambda: f"{len(questions_to_prime(self._switch))} for the cache")
        for arm in (self._arms.blue, self._arms.green):
            ok, name = self._switch.plan.shape(arm).says_cache, f"arm {arm!r}: cache answers"
            found = "answers say `cache`" if ok else "the plan has a cache, but does not map `answer.cache`"
            yield Read(check=Check(name=name, ok=ok, found=found, expected="hit, miss or off"), key=arm)
        yield from self._of("cache")

    def notify(self) -> Iterator[Read]:
        """Whether each channel has its connection; nothing is sent. A run does not fail for want of one."""
        for channel in self._switch.plan.notify:

            def there(kind: str = channel.kind, conn_id: str = channel.connection) -> str:
                self._switch.edge.connection(conn_id, kind=kind)
                return "its connection is there; nothing was sent"

            yield answers(f"channel {channel.kind} over {channel.connection!r}", there, key=channel.connection)

    def _of(self, part: str) -> Iterator[Read]:
        for check in self.looked[1]:
            if _part_of(check.name) == part:
                role = {"Blue": self._arms.blue, "Green": self._arms.green}
                yield Read(check=check, key=role.get(check.name.partition(" ")[0], ""))

    def _came(self, tried: Tried) -> None:
        self._tried[tried.role] = tried


def answers(name: str, read: Callable[[], str], *, key: str = "") -> Read:
    """A read whose answer, whatever it is, will do; one that raises has failed."""
    return checked(name, lambda: Check(name=name, ok=True, found=read(), expected=ANSWER), key=key)


def checked(name: str, check: Callable[[], Check], *, key: str = "") -> Read:
    """A check that cannot be made has failed; it never stops the others."""
    try:
        return Read(check=check(), key=key)
    except CANNOT as error:
        return Read(check=Check(name=name, ok=False, found=str(error), expected=ANSWER), error=error, key=key)


def _question(role: str, reply: Reply) -> Check:
    found = f"{counted(len(reply.hits), 'hit')} in {reply.stages_ms.get('total', 0.0):.0f} ms"
    said = f": {reply.said}" if reply.said and reply.status >= httpx.codes.BAD_REQUEST else ""
    return Check(
        name=f"question to {role.capitalize()}",
        ok=reply.ok and bool(reply.hits),
        found=f"{reply.error}{said}" if reply.error else found,
        expected="hits",
    )


def _writer(switch: Switch, spec: WriterSpec, live: str) -> str:
    writer = spec.build(switch.edge)
    told = [f"found {dict(writer.find())}", writer.drained().proof, f"{writer.waiting()} wait"]
    differ = pins_differ(switch, spec, live)
    return "; ".join([*told, *([f"its pins: {differ}"] if differ else [])])


def _part_of(name: str) -> str:
    """The part of the plan that a check of an arm belongs to, by the check's name."""
    if name == "cache namespaces":
        return "cache"
    if name.endswith(" encoder"):
        return "encoder"
    return "arms" if name.endswith((" arm", " secrets", " pins", "pins differ")) else "index"


def look_without_ledger(plan: Plan, edge: Edge) -> tuple[Seams, BothArms]:
    """The seams of a plan that has no run and needs no ledger; while no arm is known to be live, Blue is a guess."""
    try:
        found = arms_of(plan, edge, "both")
    except CANNOT:
        found = {"blue": next(arm for arm in plan.arms if arm != plan.green), "green": plan.green}
    arms = BothArms(**found)
    return Seams(Switch(edge=edge, ledger=_NoLedger(), id="try", actor="try", plan=plan), arms), arms


class _NoLedger(Ledger):
    """Remembers nothing: there is no run, no lease, no earlier build. What else a ledger does is not there."""

    def __init__(self) -> None:
        nothing: Any = _Nothing()
        self.runs = self.leases = self.receipts = self.fingerprints = self.subjects = nothing

    def under(self, held: Any) -> Ledger:
        """This one: nothing is ever written."""
        return self


class _Nothing:
    """What a ledger answers that was never written to."""

    def find(self, *_: object, **__: object) -> None:
        """No run, no fingerprint."""

    newest = get = find

    def arms(self, *_: object) -> dict[str, Any]:
        """Those of no run."""
        return {}
