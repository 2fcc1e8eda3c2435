"""What both arms' indexes hold is counted before the freeze, in real indexes."""

from __future__ import annotations

from dataclasses import replace

from switchover.plan import Plan
from switchover.steps.attest import attest_green
from switchover.steps.holdings import counted, holdings_of
from tests.steps.conftest import World


def changed(plan: Plan, **index: object) -> Plan:
    body = plan.model_dump(mode="json")
    body["index"] |= index
    return Plan.model_validate(body)


def test_rows_and_gold_documents_of_both_indexes_are_counted(world: World) -> None:
    switch = world.open()
    attest_green(switch)
    assert switch.read().holdings is not None, "it may take long, and nobody stands still yet"
    found = holdings_of(switch, switch.read())
    rows = {arm: world.sql(f"SELECT count(*) FROM {arm}")[0][0] for arm in ("docs_v1", "docs_v2")}
    assert (found.blue, found.green) == (rows["docs_v1"], rows["docs_v2"])
    assert found.asked == len(found.in_blue) == len(found.in_green) > 10 and not found.lost
    assert found.recut, "the builds cut differently, and their manifests say so"
    assert counted(switch, switch.read()) == found, "it comes back from the ledger as it was"
    lost = sorted(found.in_blue)[0]
    world.sql(f"DELETE FROM docs_v2 WHERE doc = '{lost}'")
    assert holdings_of(switch, switch.read()).lost == [lost]
    assert counted(switch, switch.read()) == found, "what was counted before the freeze is not counted again"
    switch.gold = replace(switch.gold, digest="another")
    assert counted(switch, switch.read()).lost == [lost], "for another gold set it is"
    world.sql("DROP TABLE docs_v2")
    assert "docs_v2" in holdings_of(switch, switch.read()).error


def test_without_a_column_of_documents_it_is_said(world: World) -> None:
    switch = world.open(plan=changed(world.plan, doc=None))
    found = holdings_of(switch, switch.read())
    assert "index.doc" in found.untold and found.blue > 0
