"""Before the freeze: the whole content proof of Green, so that under the freeze only what is quick is asked."""

from __future__ import annotations

import logging
from dataclasses import replace

from switchover.errors import SwitchoverError
from switchover.indexes import Index
from switchover.indexes.attest import Attested, Say, attest, audit
from switchover.indexes.receipt import Proof
from switchover.ledger import Ledger, RunRow
from switchover.steps.act import proceed
from switchover.steps.checks import Check
from switchover.steps.holdings import counted
from switchover.steps.switch import Switch
from switchover.steps.world import Arms

log = logging.getLogger("switchover")


def attest_green(switch: Switch) -> str:
    """Read Green's index whole unless that was done and nothing was written since; returns one line.

    What the reading shows is judged by ``verify``. A repeat goes on where the one before was interrupted.
    """
    with switch.step("attest") as note:
        proceed(switch)
        row = switch.read()
        note.text = _told_green(switch, row)
        switch.say(note.text)
        switch.say(_told_holdings(switch, row))
        proceed(switch)
        return note.text


def _told_holdings(switch: Switch, row: RunRow) -> str:
    """What both indexes hold; what cannot be counted now is counted again when it is judged."""
    try:
        return counted(switch, row).line
    except SwitchoverError as error:
        return f"not counted yet: {error}"


def _told_green(switch: Switch, row: RunRow) -> str:
    if row.blue in switch.plan.sharing(row.green):
        return f"{row.green}: shares its index with {row.blue}, which serves: there is no build of its own to read"
    return told(attested(switch, row.green))


def attested(switch: Switch, target: str, *, keep: bool = True) -> Attested:
    """What the index holds, from the ledger where nothing was written to it since it was read.

    ``keep``: whether a reading is kept in the ledger, and told there.
    """
    say, actor = (switch.say, switch.actor) if keep else (log.info, None)
    written = switch.plan.index_of(target).written
    return read_whole(switch.index, switch.ledger, target, actor=actor, say=say, written=written)


def read_whole(
    index: Index, ledger: Ledger, target: str, *, actor: str | None, say: Say, written: bool, anew: bool = False
) -> Attested:
    """The same without a switchover. ``actor``: who keeps the reading; without one it is not kept.

    ``anew``: read it also when nothing was written since.
    """

    def save(proof: Proof) -> None:
        if actor is not None:
            ledger.receipts.keep(proof, actor=actor)

    kept = ledger.receipts.of(index.mark(target).creation)
    if anew and kept is not None and kept.whole:
        kept = replace(kept, change="read anew")
    return attest(index, target, kept=kept, save=save, say=say, written=written)


def told(found: Attested) -> str:
    """One line for people."""
    holds = "holds its build" if found.index_hash == found.manifest.index_hash else "does NOT hold its build"
    how = "read before, nothing was written since" if found.skipped else "read whole"
    return f"{found.proof.target}: {how}: {found.proof.tally.sum.count:,} rows, {holds}"


def content_checks(switch: Switch, arms: Arms, *, keep: bool = True) -> list[Check]:
    """What a reading of Green shows, against its manifest; an index that is Blue's is what Blue's checks say of it."""
    if arms.blue in switch.plan.sharing(arms.green):
        return [
            Check(name="Green content", ok=True, found=f"the index of {arms.blue!r}", expected="Blue's, as checked")
        ]
    found = attested(switch, arms.green, keep=keep)
    return checks_of(switch.index, found, label="Green", written=switch.plan.index_of(arms.green).written)


def checks_of(index: Index, found: Attested, *, label: str, written: bool) -> list[Check]:
    """The same of any index. ``written``: writers write to it, so its content is shown and not judged."""
    total, facts = found.proof.tally.sum, found.manifest.facts
    looked = audit(index, found, written=written)
    vectors = "as they were first read" if found.vectors_kept else "others than when they were first read"
    without = total.bare == total.count and not found.manifest.encoder
    expected = found.manifest.index_hash[:16]
    return [
        Check(
            name=f"{label} count",
            ok=total.count == facts.count or (written and total.count > 0),
            found=str(total.count),
            expected=f"about {facts.count}, writers go on" if written else str(facts.count),
        ),
        Check(
            name=f"{label} INDEX_HASH",
            ok=found.index_hash == found.manifest.index_hash or written,
            found=found.index_hash[:16],
            expected=f"{expected} until it is written to" if written else expected,
        ),
        Check(
            name=f"{label} vectors",
            ok=without or (total.bare == 0 and (found.vectors_kept or written)),
            found=f"{total.bare:,} rows have none" if total.bare else vectors,
            expected="none, for the manifest names no encoder" if without else "one in each row, as first read",
        ),
        Check(name=f"{label} audit", ok=not looked.wrong, found=looked.line, expected="as they were read"),
    ]
