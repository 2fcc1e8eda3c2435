"""The build that a plan describes, with clients from the edge."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.indexes.pgvector import PgvectorIndex
from switchover.indexing.documents import SqlDocuments
from switchover.indexing.pgvector import PgvectorTarget
from switchover.indexing.progress import Say
from switchover.indexing.run import Builder, Place
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.steps.move import leased

PUBLISH_S = 60.0


def builder_of(plan: Plan, edge: Edge, *, actor: str, arm: str, say: Say) -> Builder:
    """The build of an arm. No I/O. ``BadInput`` if it cannot be built."""
    if plan.build is None:
        raise BadInput(f"plan {plan.service!r}: has no `build` part; add one (docs/build.md)")
    plan.require_arm(arm)
    spec, sharing = plan.index_of(arm), plan.sharing(arm)
    if not spec.buildable:
        raise BadInput(f"arm {arm!r}: its index is of kind {spec.kind!r}, which is not built here")
    if sharing or spec.resolved(arm) != arm:
        whose = f"is the index of {', '.join(map(repr, sharing))} too" if sharing else "has a name of its own"
        raise BadInput(f"arm {arm!r}: its index {spec.resolved(arm)!r} {whose}; allowed: one that the arm has alone")
    pointer, ledger = plan.pointer.build(edge), Ledger(engine=edge.sql(plan.ledger))
    engine = edge.sql(spec.connection)

    def live() -> str | None:
        return pointer.read().target

    def pins() -> Mapping[str, str]:
        found = live()
        return PgvectorIndex(engine=engine).manifest(found).pins if found else {}

    def alone() -> AbstractContextManager[int]:
        return leased(ledger, pointer, actor=actor, seconds=PUBLISH_S)

    return Builder(
        build=plan.build,
        documents=SqlDocuments(engine=edge.sql(plan.build.documents.connection), table=plan.build.documents.table),
        target=PgvectorTarget(engine=engine, target=arm),
        encoder=plan.build.encoder.build(edge),
        place=Place(
            live=live,
            pins=pins,
            alone=alone,
            others=tuple(name for name in plan.arms if name != arm),
            keep=lambda proof: ledger.receipts.keep(proof, actor=actor),
        ),
        secrets=tuple(plan.secrets),
        say=say,
    )
