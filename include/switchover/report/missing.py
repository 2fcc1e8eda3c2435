"""What a run's records should hold in its state and do not, each in words."""

from __future__ import annotations

from switchover.protocol import State
from switchover.report.facts import Facts

FLIPPED = (State.HOLDING, State.PROMOTED, State.ROLLING_BACK, State.ROLLED_BACK)
VERIFIED = (State.VERIFIED, State.WARMED, State.FLIPPING, *FLIPPED)
WARMED = (State.WARMED, State.FLIPPING, *FLIPPED)


def missing_records(facts: Facts, compared: bool) -> list[str]:
    """One line for each kind of record that is not there."""
    state, done = State(facts.state), {step["name"] for step in facts.steps if step["ok"]}
    verified, warmed = state in VERIFIED or "verify" in done, state in WARMED or "warm" in done
    flipped = state in FLIPPED or "flip" in done
    expected = {
        "steps": (state not in (State.PLANNED, State.STUCK), facts.steps, "no step is recorded"),
        "checks": (verified, facts.checks, "no check of verify is recorded"),
        "pins": (verified, facts.pins, "the pins of the arms are not recorded"),
        "gold": (verified, facts.gold_digest, "the digest of the gold set is not recorded"),
        "rehearsal": (verified, facts.rehearsal, "no rehearsal of the way back is recorded"),
        "evidence": (warmed, compared, "no evidence to compare the arms with"),
        "verdicts": (warmed, facts.verdicts, "no verdict is recorded"),
        "flips": (flipped, facts.flips, "no flip is recorded"),
        "flipped at": (flipped, facts.flipped_at, "when Green became live is not recorded"),
        "events": (True, facts.events, "the audit trail is empty"),
    }
    found = [told for due, there, told in expected.values() if due and not there]
    for step in facts.steps:
        if state.ended and step["seconds"] is None:
            found.append(f"step {step['name']}: its end is not recorded")
    return found
