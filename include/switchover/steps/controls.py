"""What a run will need later is asked before anything is frozen, and every proof is tried on Blue, where it must hold.

A reader that cannot be read would otherwise be found when the pointer has moved and the writers stand still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from switchover.arms.client import ArmClient, Trial
from switchover.arms.coverage import is_recognised
from switchover.arms.probe import trial_questions
from switchover.edge.answers import Reply, Report
from switchover.errors import InvariantBroken, SwitchoverError
from switchover.gold.goldset import GoldSet
from switchover.judge.rules import Rules
from switchover.steps.encoders import arm_encoder, known_again
from switchover.steps.readers import ARM_ALONE, NO_READERS, prove_pointer, prove_readers
from switchover.steps.survey import survey
from switchover.steps.switch import Switch
from switchover.steps.world import BothArms
from switchover.text import first_line

QUESTION = "switchover preflight"
#: What tells that an answer is this arm's, by whether answers say it.
PROOFS = {True: "each answer says its arm", False: "told from the other arm by its address alone, the weaker proof"}
CANNOT = (SwitchoverError, ValueError, KeyError)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What trial questions brought from one arm. ``replies``: with what they do not say, as far as it can be had."""

    role: str
    trial: Trial
    replies: Sequence[Reply]


OnTried = Callable[[Tried], None]


def require_controls(switch: Switch, *, blue: str, green: str) -> dict[str, str]:
    """What came, by name. ``InvariantBroken`` with everything that would be needed later and does not answer now."""
    wrong: list[str] = []
    told: dict[str, str] = {}
    for what, check in controls(switch, blue=blue, green=green, seconds=switch.plan.converge_s, canaries=True).items():
        try:
            told[what] = check()
        except CANNOT as error:
            wrong.append(f"{what}: {first_line(error)}")
    if wrong:
        raise InvariantBroken(
            f"{len(wrong)} of what this run needs later fails on Blue {blue!r} now; nothing was frozen or changed:"
            f" {'; '.join(wrong)}"
        )
    return told


def controls(
    switch: Switch,
    *,
    blue: str,
    green: str,
    seconds: float,
    canaries: bool,
    on_tried: OnTried = lambda tried: None,
) -> dict[str, Callable[[], str]]:
    """What is asked, by name; each says what came, or raises one of ``CANNOT``.

    ``seconds``: how long pointer and readers are waited for. ``canaries``: also through the arms' caches, which leaves
    one entry in each; a dry run leaves none. ``on_tried`` sees an arm's trial answers, whether they can be read or not.
    """
    both = BothArms(blue=blue, green=green)
    arms = {
        f"arm {arm!r}": partial(_arm_answers, switch, role, both, canaries, on_tried)
        for role, arm in (("blue", blue), ("green", green))
    }
    return {
        pointer_name(switch): partial(_pointer, switch, blue, seconds),
        "readers": partial(_readers, switch, blue, seconds),
        "judge encoder": partial(_judge, switch),
        **arms,
        "signals": partial(survey, switch, blue=blue, green=green),
    }


def pointer_name(switch: Switch) -> str:
    """What the pointer is called here, also where its connection is missing and it has no key yet."""
    try:
        return f"pointer {switch.pointer.key}"
    except CANNOT:
        return f"pointer {switch.plan.pointer.kind}"


def _pointer(switch: Switch, blue: str, seconds: float) -> str:
    prove_pointer(switch, blue, seconds=seconds)
    return f"{blue!r} is live"


def _readers(switch: Switch, blue: str, seconds: float) -> str:
    health = switch.index.health(blue)
    if health.stored_hash is None:
        return "not asked: Blue has no manifest"  # verify says what is missing
    followed = prove_readers(switch, blue, index_hash=health.stored_hash, seconds=seconds)
    told = f"{', '.join(followed)}: on {blue!r} with INDEX_HASH {health.stored_hash[:12]}"
    weaker = sorted({said for said in followed.values() if said in (ARM_ALONE, NO_READERS)})
    return f"{told}; the weaker proof: {'; '.join(weaker)}" if weaker else told


def _judge(switch: Switch) -> str:
    """A text is encoded: an encoder that only says its name could not fail here."""
    encoder = switch.plan.judge_encoder.build(switch.edge)  # not the one that remembers its answers
    vector = encoder.encode([QUESTION], query=True)[0]
    if len(vector) != encoder.dimension or not vector.any():
        raise InvariantBroken(f"{encoder.name} gives no vector of {encoder.dimension} dimensions")
    return f"{encoder.name}, {encoder.dimension} dimensions; {known_again(switch, encoder)}"


def _arm_answers(switch: Switch, role: str, arms: BothArms, canaries: bool, on_tried: OnTried) -> str:
    return asyncio.run(_arm(switch, role, arms, canaries, on_tried))


async def _arm(switch: Switch, role: str, arms: BothArms, canaries: bool, on_tried: OnTried) -> str:
    """An arm reports itself; its answers can be read, and its path for canaries is there where the plan has a cache."""
    plan = switch.plan
    async with switch.open_arm(arms.green if role == "green" else arms.blue) as client:
        tried = await _tried(switch, client, role, arms)
        on_tried(tried)
        report = await client.report_async()
        encoder = _encoder(switch, client.name, report)
        _require_readable(tried, gold=switch.gold, rules=plan.rules)
        if plan.cache is not None and canaries:
            reply = await client.ask(QUESTION, seed=0, k=plan.probes.k, through_cache=True)
            _require_path(reply)
            if reply.ok and reply.cache is None:
                raise InvariantBroken("the plan has a cache, but answers do not say `cache`: hit, miss or off")
        told = "says what it is" if report.arm else "is not asked what it is"
        return f"{told}, encoder {encoder}; {PROOFS[client.shape.says_arm]}"


async def _tried(switch: Switch, client: ArmClient, role: str, arms: BothArms) -> Tried:
    trial = await client.trial(trial_questions(switch.gold), k=switch.plan.probes.k)
    replies = switch.completer(arms).complete([(role, reply) for reply in trial.replies])
    return Tried(role=role, trial=trial, replies=replies)


def _require_readable(tried: Tried, *, gold: GoldSet, rules: Rules) -> None:
    """Answers must be what the plan says of them, and must feed each rule that is not off; Blue's must hit something.

    What is wrong is found now, not when the writers stand still and Green is judged.
    """
    require_answers(tried)
    hits = [hit for reply in tried.replies for hit in reply.hits]
    if tried.role == "blue" and hits and not any(is_recognised(hit, gold) for hit in hits):
        raise InvariantBroken(
            f"none of the {len(hits)} hits of the trial questions is of a document that the gold set names: do"
            f" `answer.hit.doc` ({hits[0].doc!r}) and the gold set name documents alike? Without `doc`, texts must"
            " stand in the corpus as they are"
        )
    starved = starved_rules(tried, rules)
    if starved:
        raise InvariantBroken(
            f"answers do not say what these rules need: {', '.join(starved)}. Map it under `asking.answer`,"
            " or turn each rule off with its reason under `rules.off`"
        )


def require_answers(tried: Tried) -> None:
    """``InvariantBroken`` where the trial answers cannot be read as the plan says."""
    if tried.trial.error:
        raise InvariantBroken(tried.trial.error)
    for reply in tried.replies:
        _require_path(reply)


def starved_rules(tried: Tried, rules: Rules) -> list[str]:
    """The rules that are on and get nothing from these answers: they will be INCONCLUSIVE."""
    lacking = {word for reply in tried.replies for word in reply.lacks}
    return [rule.name for rule in rules.having("accept") if rule.fed_by in lacking]


def _encoder(switch: Switch, arm: str, report: Report) -> str:
    """The encoder of an arm, asked for one vector: verify will ask it for many, while the writers stand still."""
    if not report.encoder and switch.plan.arms[arm].encoder is None:
        return "not said: verify asks the manifest's"
    encoder = arm_encoder(switch, arm, reported=report.encoder, stored={})
    if encoder is None:
        return "not checked, by the plan's word"
    encoder.encode([QUESTION])
    return encoder.name


def _require_path(reply: Reply) -> None:
    """An arm that fails now may be well when it is judged: a 5xx is for warm to count, a wrong path is not."""
    if not reply.ok and reply.status < httpx.codes.INTERNAL_SERVER_ERROR:
        raise InvariantBroken(f"a question: {reply.error}")
