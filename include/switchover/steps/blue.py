"""What verify asks of Blue's index: that it is the build that was promoted. It has lived since, and that is shown."""

from __future__ import annotations

from switchover.pins import Manifest
from switchover.protocol import State
from switchover.steps.checks import Check
from switchover.steps.switch import Switch

MEND = "put it back, or `switchover index adopt`"


def blue_checks(switch: Switch, blue: str, manifest: Manifest) -> list[Check]:
    """Blue is the promoted build, in the very index that was promoted; how far it has moved since is no fault."""
    count, built = switch.index.count(blue), manifest.facts.count
    moved = f"{count:,} rows, {count - built:+,} beside its build" if count != built else f"{count:,} rows, as built"
    return [
        _promoted(switch, blue, manifest),
        same_index(switch, blue, manifest),
        Check(name="Blue since its build", ok=count > 0, found=moved, expected="not empty; the rest is shown only"),
    ]


def _promoted(switch: Switch, blue: str, manifest: Manifest) -> Check:
    """The newest promotion of this pointer, if it went to this arm, has approved this very build."""
    name, row = "Blue is the promoted build", switch.ledger.runs.newest(switch.plan.service, State.PROMOTED)
    if row is None or row.pointer != switch.pointer.key or row.green != blue or row.approved_hash is None:
        return Check(name=name, ok=True, found=f"{manifest.index_hash[:16]}, promoted by no run", expected="a build")
    same = row.approved_hash == manifest.index_hash or switch.ledger.receipts.adopted(
        manifest.index_hash, after=row.ended_at
    )
    return Check(
        name=name, ok=same, found=manifest.index_hash[:16], expected=f"{row.approved_hash[:16]}; if not, {MEND}"
    )


def same_index(switch: Switch, blue: str, manifest: Manifest) -> Check:
    """An index that was dropped and made again under its name, with the old manifest, is another one."""
    creation = switch.index.mark(blue).creation
    known = switch.ledger.receipts.newest(target=blue, index_hash=manifest.index_hash)
    return Check(
        name="Blue is the same index",
        ok=known in (None, creation),
        found=creation,
        expected=f"{known or 'any, none was read yet'}{f'; if not, {MEND}' if known else ''}",
    )
