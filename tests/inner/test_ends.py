"""An end that no rule brought about has first steps too."""

from __future__ import annotations

import pytest

from switchover.report.ends import ENDINGS, playbook_of_end

FREEZE = [{"name": "freeze", "ok": False, "note": "writer 'w1': not drained after 60 s: 3 in flight"}]


@pytest.mark.parametrize(
    ("reason", "steps", "name"),
    [
        ("verify: Green pins: TOK_VER differs", [], "verify"),
        ("the run ended undecided", FREEZE, "drain"),
        ("Green 'docs_v2' is live, but somebody else moved the pointer away and back", [], "moved by somebody else"),
        ("Blue is live again, though not by this run's rollback", [], "moved by somebody else"),
        ("break-glass by person:anna", [], "break-glass"),
        ("watchdog:vm:1: nobody renewed the lease since 10:00:00 UTC", [], "watchdog"),
        ("nobody renewed the lease; no answer is a rollback", [], "watchdog"),
        ("the run ended undecided", [{"ok": False, "note": ""}], "ended undecided"),
    ],
)
def test_each_end_without_a_rule_has_first_steps(reason: str, steps: list[dict[str, object]], name: str) -> None:
    (found,) = playbook_of_end(reason, steps)
    assert found["rule"] == name
    assert len(found["steps"]) == 3
    assert found["detail"] == (steps[0]["note"] if steps and steps[0]["note"] else reason)


def test_what_is_not_known_is_not_made_up() -> None:
    assert playbook_of_end("every rule passes", [{"ok": True, "note": "lease"}]) == []
    assert len({ending.name for ending in ENDINGS}) == len(ENDINGS)
