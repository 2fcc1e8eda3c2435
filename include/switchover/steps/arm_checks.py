"""What verify asks of both arms: pins, secrets, encoders, manifests and stores, of each as far as it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from switchover.cache import CacheNamespace
from switchover.edge.answers import Reply, Report
from switchover.errors import BadInput, SwitchoverError
from switchover.indexes.base import Vectors
from switchover.pins import REQUIRED, ArmPins, Manifest, changed_pins
from switchover.steps.blue import blue_checks
from switchover.steps.checks import Check
from switchover.steps.described import described_checks
from switchover.steps.encoders import held_against_index
from switchover.steps.switch import Switch
from switchover.steps.world import Arms

NOBODY = "switchover-no-such-arm"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What stands beside both arms' indexes and what both arms report, by role."""

    manifests: dict[str, Manifest]
    reports: dict[str, Report]
    pins: dict[str, ArmPins]


def guarded(name: str, check: Callable[[Switch], Check], switch: Switch) -> Check:
    """A check that cannot be made has failed; it never stops the others."""
    try:
        return check(switch)
    except SwitchoverError as error:
        return Check(name=name, ok=False, found=str(error), expected="an answer")


def all_guarded(name: str, checks: Callable[[], list[Check]]) -> list[Check]:
    try:
        return checks()
    except SwitchoverError as error:
        return [Check(name=name, ok=False, found=str(error), expected="an answer")]


def look_at_arms(switch: Switch, arms: Arms) -> tuple[Facts | None, list[Check]]:
    """What both arms are, and every check of it that can be made; no facts where one of them does not answer."""
    facts, silent = read_facts(switch, arms)
    checks = [*silent, *about_arms(switch, facts, arms)]
    for role, target in (("blue", arms.blue), ("green", arms.green)):
        label = role.capitalize()
        if (manifest := facts.manifests.get(role)) is not None:
            held = partial(switch.index.vectors, target)
            checks += all_guarded(f"{label} store", partial(_described, label, manifest, held))
        if role in facts.reports and facts.reports[role].count is not None:
            checks.append(
                guarded(f"{label} documents", partial(_documents, facts=facts, role=role, target=target), switch)
            )
    if "blue" in facts.manifests:
        checks += all_guarded("Blue index", lambda: blue_checks(switch, arms.blue, facts.manifests["blue"]))
    return (None if silent else facts), checks


def _documents(switch: Switch, facts: Facts, role: str, target: str) -> Check:
    """What the arm says beside what the store counts: a document may be many rows, so only none is held to none."""
    told, count = facts.reports[role].count or 0, switch.index.count(target)
    found = f"the arm reports {told:,}, its index holds {count:,} rows"
    return Check(
        name=f"{role.capitalize()} documents", ok=(told > 0) == (count > 0), found=found, expected="shown beside"
    )


def _described(label: str, manifest: Manifest, held: Callable[[], Vectors]) -> list[Check]:
    return described_checks(label, manifest, held())


def read_facts(switch: Switch, arms: Arms) -> tuple[Facts, list[Check]]:
    """What stands beside both indexes, and what both arms say they are; and who does not answer, as failed checks."""
    facts, silent, plan = Facts(manifests={}, reports={}, pins={}), [], switch.plan
    # A shared index cannot say what the arms over it do not share: of those pins the arm's own word counts.
    apart = plan.changes if arms.blue in plan.sharing(arms.green) else ()
    for role, target in (("blue", arms.blue), ("green", arms.green)):
        try:
            facts.manifests[role] = switch.index.manifest(target)
        except SwitchoverError as error:
            silent.append(Check(name=f"{role.capitalize()} manifest", ok=False, found=str(error), expected="one"))
        try:
            facts.reports[role] = asyncio.run(_report(switch, target))
        except SwitchoverError as error:
            silent.append(Check(name=f"{role.capitalize()} arm", ok=False, found=str(error), expected="what it is"))
        if role in facts.manifests and role in facts.reports:
            found = facts.manifests[role].pins
            facts.pins[role] = ArmPins(
                manifest={name: value for name, value in found.items() if name not in apart},
                reported=facts.reports[role].pins,
                promised=plan.arms[target].promised,
            )
    return facts, silent


async def _report(switch: Switch, target: str) -> Report:
    async with switch.open_arm(target) as client:
        return await client.report_async()


def about_arms(switch: Switch, facts: Facts, arms: Arms) -> list[Check]:
    """What the arms that answer are: their pins, secrets, encoders; and of both, what differs between them."""
    checks = []
    for role, target in (("blue", arms.blue), ("green", arms.green)):
        if role in facts.reports:
            checks.append(_secrets_present(switch, role.capitalize(), facts.reports[role]))
        if switch.plan.arms[target].ready is not None:
            checks.append(guarded(f"{role.capitalize()} readiness", partial(_ready, role=role, target=target), switch))
        if role in facts.pins:
            checks.append(_pins_known(switch, role.capitalize(), facts.pins[role]))
            encoder = partial(_encoder, role=role, target=target, facts=facts)
            checks.append(guarded(f"{role.capitalize()} encoder", encoder, switch))
    if len(facts.pins) < 2:
        return checks
    changed = changed_pins(*(facts.pins[role].values for role in ("blue", "green")))
    undeclared = [name for name in changed if name not in (*switch.plan.changes, "INDEX_HASH", "BUILD_ID")]
    checks.append(
        Check(
            name="only declared pins differ",
            ok=not undeclared,
            found=f"undeclared: {', '.join(undeclared)}" if undeclared else f"changed: {', '.join(changed) or 'none'}",
            expected=f"changes within {', '.join(switch.plan.changes) or 'INDEX_HASH, BUILD_ID'}",
        )
    )
    if switch.index.shared(arms.green, [arms.blue]):
        differ = [name for name in changed if name in switch.plan.changes]
        found = f"one index; {', '.join(differ) or 'no pin of `changes`'} differs"
        checks.append(
            Check(name="the arms differ", ok=bool(differ), found=found, expected="two indexes, or a pin in `changes`")
        )
    if switch.plan.cache is not None:
        checks.append(_cache_namespaces(facts))
    return checks


def _cache_namespaces(facts: Facts) -> Check:
    """What each arm reports of its cache, if it does, must be what its pins give."""
    name, expected = "cache namespaces", "as the pins give"
    try:
        given = {role: CacheNamespace.of(pins.values).id for role, pins in facts.pins.items()}
    except BadInput as error:
        return Check(name=name, ok=False, found=str(error), expected=expected)
    reported = {role: facts.reports[role].cache_namespace or given[role] for role in given}
    found = ", ".join(
        f"{role.capitalize()} {reported[role]}" + (f" (its pins give {space})" if reported[role] != space else "")
        for role, space in given.items()
    )
    return Check(name=name, ok=reported == given, found=found, expected=expected)


def _pins_known(switch: Switch, label: str, pins: ArmPins) -> Check:
    """Every pin that the plan requires is known, and all who say a pin say the same."""
    wrong = pins.wrong((*REQUIRED, *switch.plan.pins))
    found = "; ".join(wrong) or f"all equal: {pins.told()}"
    return Check(name=f"{label} pins", ok=not wrong, found=found, expected="those required, and all equal")


def _ready(switch: Switch, role: str, target: str) -> Check:
    """The arm says that it is ready, by a probe that could have said no."""
    path = switch.plan.arms[target].ready or "/"

    async def both() -> tuple[Reply, Reply]:
        async with switch.open_arm(target) as client:
            return await client.ready(path, arm=target), await client.ready(path, arm=NOBODY)

    own, nobody = asyncio.run(both())
    found = "ready, and not for an arm that is not there"
    if not own.ok:
        found = f"{path}: {own.error}{f': {own.said}' if own.said else ''}"
    elif nobody.ok or not nobody.status:
        told = f"answers {nobody.status} too" if nobody.ok else f"does not answer: {nobody.error}"
        found = f"{path}: asked for an arm that is not there, it {told}: a probe that cannot fail proves nothing"
    return Check(
        name=f"{role.capitalize()} readiness",
        ok=own.ok and bool(nobody.status) and not nobody.ok,
        found=found,
        expected="ready, and not for an arm that is not there",
    )


def _secrets_present(switch: Switch, label: str, report: Report) -> Check:
    absent = [name for name in switch.plan.secrets if not report.secrets.get(name)]
    found = f"absent: {', '.join(absent)}" if absent else "all present"
    return Check(name=f"{label} secrets", ok=not absent, found=found, expected="all present")


def _encoder(switch: Switch, role: str, target: str, facts: Facts) -> Check:
    ok, found, expected = held_against_index(switch, target, facts.manifests[role], facts.reports[role])
    return Check(name=f"{role.capitalize()} encoder", ok=ok, found=found, expected=expected)
