"""Step 2: the invariants (SPEC section 2). Every check runs, so that one look shows all that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from switchover.errors import InvariantBroken, SwitchoverError
from switchover.gold.goldset import gold_json
from switchover.judge.by_vectors import worthless
from switchover.judge.calibration import LEAST_AUC
from switchover.ledger import RunRow
from switchover.protocol import State
from switchover.steps.act import proceed
from switchover.steps.arm_checks import Facts, all_guarded, guarded, look_at_arms
from switchover.steps.asked import SHORTEST, took_back
from switchover.steps.attest import content_checks
from switchover.steps.checks import Check
from switchover.steps.encoders import known_again
from switchover.steps.rehearse import rehearse
from switchover.steps.switch import Switch
from switchover.steps.world import Arms
from switchover.writers import WriterSpec
from switchover.writers.proving import EXPECTED, prove


def verify(switch: Switch) -> list[Check]:
    """Run every check, record it, and approve Green's build. ``InvariantBroken`` names what failed."""
    with switch.step("verify") as note:
        proceed(switch)
        row = switch.read()
        facts, more = look_at_arms(switch, row)
        checks = [*look_there(switch, row), *more]
        checks += all_guarded("Green content", lambda: content_checks(switch, row))
        if facts is not None:
            _remember_arms(switch, facts, row)
            checks.append(not_taken_back(switch, facts, row, row.retry_build))
        checks += [guarded(name, check, switch) for name, check in STANDALONE.items()]
        checks += [_dedupe_fence(switch, spec) for spec in switch.plan.writers if spec.proves is not None]
        if facts is not None and all(check.ok for check in checks):
            hashes = {role: manifest.index_hash for role, manifest in facts.manifests.items()}
            switch.ledger.runs.stamp(switch.id, approved_hash=hashes["green"], blue_hash=hashes["blue"])
            checks.append(guarded("rollback path", _rollback_path, switch))
        switch.ledger.journal.checked(switch.id, [asdict(check) for check in checks])
        failed = [check for check in checks if not check.ok]
        note.text = f"{len(checks) - len(failed)} of {len(checks)} checks hold"
        switch.say(note.text)
        if failed:
            told = "; ".join(f"{check.name}: found {check.found}, expected {check.expected}" for check in failed)
            raise InvariantBroken(f"{len(failed)} of {len(checks)} checks failed: {told}")
        proceed(switch)
        switch.move(State.VERIFIED)
        return checks


def look_there(switch: Switch, arms: Arms) -> list[Check]:
    """Whether both indexes are there; a store that does not answer is a check that has failed."""
    both = (("Blue", arms.blue), ("Green", arms.green))
    return [
        guarded(f"{role} index {target}", partial(index_there, role=role, target=target), switch)
        for role, target in both
    ]


def index_there(switch: Switch, role: str, target: str) -> Check:
    """The index exists, holds something and has its manifest."""
    health = switch.index.health(target)
    found = "absent" if not health.exists else "empty" if health.empty else "filled"
    if health.stored_hash is None:
        found += ", without a manifest"
    return Check(name=f"{role} index {target}", ok=found == "filled", found=found, expected="filled")


def _remember_arms(switch: Switch, facts: Facts, arms: Arms) -> None:
    for role, target in (("blue", arms.blue), ("green", arms.green)):
        shared = arms.blue in switch.plan.sharing(arms.green)
        pins = facts.pins[role].values if shared else facts.manifests[role].pins
        reported = facts.reports[role].pins
        switch.ledger.subjects.found_arm(switch.id, role, target=target, pins=pins, reported=reported)


def _other_pins(switch: Switch, facts: Facts, before: RunRow) -> bool:
    """Whether Green differs from that run's Green in a pin that may differ."""
    then = switch.ledger.subjects.arms(before.id).get("green", {}).get("pins", {})
    return any(then.get(name) != facts.pins["green"].values.get(name) for name in switch.plan.changes)


def not_taken_back(switch: Switch, facts: Facts, arms: Arms, word: str) -> Check:
    """Preflight has asked this of the build that was there then; another may have come since.

    Over a shared index the build stays the same: there it is the pins that are tried again or not.
    """
    build = facts.manifests["green"].index_hash
    back = took_back(switch.ledger, pointer=switch.pointer.key, build=build)
    if back is not None and arms.blue in switch.plan.sharing(arms.green) and _other_pins(switch, facts, back):
        back = None
    asked = bool(word) and build.startswith(word)
    return Check(
        name="Green was not taken back",
        ok=back is None or asked,
        found=f"build {build[:SHORTEST]} was taken back by {back.id!r}: {back.reason}" if back else "never",
        expected="never, or a person who asks for it again (retry_build)",
    )


def _dedupe_fence(switch: Switch, spec: WriterSpec) -> Check:
    name, proves = f"dedupe fence of {spec.name}", spec.proves
    assert proves is not None
    try:
        client = switch.edge.client("http", proves.connection)
        found, ok = prove(client, proves.path, what=f"writer {spec.name!r}"), True
    except SwitchoverError as error:
        found, ok = str(error), False
    return Check(name=name, ok=ok, found=found, expected=EXPECTED)


def _blue_is_live(switch: Switch) -> Check:
    found, blue = switch.pointer.read().target, switch.read().blue
    return Check(name="pointer on Blue", ok=found == blue, found=str(found), expected=blue)


def _gold_recorded(switch: Switch) -> Check:
    """From here on the run asks this gold set and no other."""
    check, gold = gold_valid(switch), switch.gold
    switch.ledger.runs.stamp(switch.id, gold_digest=gold.digest)
    switch.ledger.subjects.asks(switch.id, gold)
    if gold.invalid:
        switch.say(f"gold set: invalid and left out: {gold_json(gold)['invalid']}")
    return check


def gold_valid(switch: Switch) -> Check:
    """The gold set has enough questions that resolve."""
    gold = switch.gold
    found = f"{len(gold.items)} valid, {len(gold.invalid)} invalid"
    return Check(name="gold set", ok=True, found=found, expected=f">= {switch.plan.gold.minimum} valid")


def _judge_encoder(switch: Switch) -> Check:
    """The judge encoder is the one that it was, and can read the gold set. From here on the run has its bound."""
    check = judge_encoder(switch)
    switch.ledger.runs.stamp(switch.id, judge=switch.calibration.to_json())
    return check


def judge_encoder(switch: Switch) -> Check:
    """The judge encoder is the one that its name says, and can tell right answers from wrong ones."""
    known = known_again(switch, switch.plan.judge_encoder.build(switch.edge))
    why = worthless(switch.plan.rules, switch.calibration)
    found = f"{switch.calibration.line(switch.plan.rules.ds_question.accept)}; {known}"
    return Check(
        name="judge encoder reads the gold set", ok=not why, found=why or found, expected=f"AUC >= {LEAST_AUC}"
    )


def signals_answer(switch: Switch, blue: str) -> Check:
    """The store of live figures has fresh ones of the arm that is live."""
    wrong = switch.signals.is_online(arm=blue)
    return Check(name="signals answer", ok=wrong is None, found=wrong or "fresh data", expected="fresh data")


def _rollback_path(switch: Switch) -> Check:
    found = rehearse(switch)
    return Check(
        name="rollback path",
        ok=found.ok,
        found=f"rehearsed in {found.seconds:.2f} s",
        expected=f"<= {found.budget_s:g} s",
    )


STANDALONE: dict[str, Callable[[Switch], Check]] = {
    "pointer on Blue": _blue_is_live,
    "gold set": _gold_recorded,
    "judge encoder reads the gold set": _judge_encoder,
    "signals answer": lambda switch: signals_answer(switch, switch.read().blue),
}
