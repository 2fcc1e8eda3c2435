"""The encoders of a run: each arm's is held against its index, and whatever can change behind a name is known again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from switchover.edge.answers import Report
from switchover.encoders import Encoder, Unchecked, encoder_from
from switchover.encoders.check import cosines, fingerprint, floor_of, match
from switchover.errors import BadInput, InvariantBroken, SwitchoverError
from switchover.pins import Manifest
from switchover.steps.world import World

SAMPLE = 64


def arm_encoder(world: World, target: str, *, reported: Mapping[str, Any], stored: Mapping[str, Any]) -> Encoder | None:
    """The encoder that an arm queries with; ``None``: by the plan's word it is not checked.

    The plan's word for the arm comes first, then the plan's build, where it makes the encoder that is ``reported``
    (else ``stored`` in the manifest), then what these two say themselves. ``BadInput`` when nothing does, or when the
    arm reports another one than the plan says.
    """
    plan, said = world.plan, reported or stored
    spec = plan.arms[target].encoder
    if isinstance(spec, Unchecked):
        return None
    if spec is None and plan.build is not None and "name" in said and _same(plan.build.encoder.facts(), said):
        spec = plan.build.encoder
    if spec is None:
        return encoder_from(said)
    if not _same(spec.facts(), reported):
        raise BadInput(f"the arm reports {_told(reported)}; the plan says {_told(spec.facts())}")
    return spec.build(world.edge)


def held_against_index(world: World, target: str, manifest: Manifest, report: Report) -> tuple[bool, str, str]:
    """Stored texts, encoded again with the encoder that the arm queries with, must give the stored vectors.

    Whether they do, what was found, and what was expected. An arm without vectors has no encoder to check.
    """
    stored, reported = manifest.encoder, report.encoder
    spec = world.plan.arms[target].encoder
    expected = f"the stored vectors of {SAMPLE} texts"
    if isinstance(spec, Unchecked):
        return True, f"not checked, by the plan's word: {spec.unchecked}", expected
    try:
        sample = world.index.sample(target, size=SAMPLE)
        if not (stored or reported or spec) and sample.texts and not sample.vectors.size:
            return True, "no vectors, no encoder: nothing to check", expected
        encoder = arm_encoder(world, target, reported=reported, stored=stored)
        assert encoder is not None
        known = known_again(world, encoder)
        found = match(encoder, sample.texts, sample.vectors)
    except (SwitchoverError, KeyError, ValueError) as error:
        return False, f"cannot be checked: {error}", expected
    by_word = "" if reported or spec else "; the arm does not report its encoder, the manifest's was asked"
    return found.ok, f"{found.found}; {known}{by_word}", f"{found.expected} on {SAMPLE} stored texts"


def known_again(world: World, encoder: Encoder) -> str:
    """That an encoder is the one that its name says, for people: by what is read back of it, else by its fingerprint.

    A run keeps the first fingerprint in the ledger; a dry run writes nothing. ``InvariantBroken``: it is another one.
    """
    weights = encoder.read_back()
    if weights:
        return f"read back: {weights}"
    kept, now = world.ledger.fingerprints.find(encoder), fingerprint(encoder)
    if kept is None:
        if world.ledger.runs.find(world.id) is not None:
            world.ledger.fingerprints.keep(encoder, now)
        return "fingerprint: the first one, nothing to compare it with"
    noise = 0.0 if encoder.exact else float((1 - cosines(now, fingerprint(encoder))).max())
    lowest, floor = float(cosines(now, kept.vectors).min()), floor_of(noise, encoder.dimension)
    if lowest >= floor:
        return f"fingerprint of {kept.at:%Y-%m-%d}: cosine {lowest:.4f}"
    raise InvariantBroken(
        f"encoder {encoder.name!r}, revision {encoder.revision!r}: gives other vectors than on {kept.at:%Y-%m-%d}"
        f" (lowest cosine {lowest:.4f}, expected >= {floor:.4g}): another model answers under this name; allowed: the"
        " old one again, or another `revision` in the plan, and indexes that are built with it"
    )


def _same(ours: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether what is said of an encoder does not contradict ours; what is not said does not."""
    return all(str(said[key]) == str(value) for key, value in ours.items() if key in said)


def _told(facts: Mapping[str, Any]) -> str:
    return " / ".join(str(facts.get(key, "?")) for key in ("name", "revision", "dimension"))
