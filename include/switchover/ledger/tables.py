"""The ledger's tables. PostgreSQL; every time is ``timestamptz``; one prefix so that a database can be shared."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from switchover.judge.evidence_row import ANSWERS
from switchover.ledger.any_type import AnyJson, AnyText

metadata = sa.MetaData()
NOW = sa.func.clock_timestamp()


def _at(name: str, *, required: bool = False) -> sa.Column[datetime]:
    default = NOW if required else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not required, server_default=default)


def _run() -> sa.Column[str]:
    return sa.Column("run", AnyText, sa.ForeignKey("switchover_run.id", ondelete="CASCADE"), nullable=False)


run = sa.Table(
    "switchover_run",
    metadata,
    sa.Column("id", AnyText, primary_key=True),
    sa.Column("service", AnyText, nullable=False, index=True),
    sa.Column("state", AnyText, nullable=False),
    sa.Column("blue", AnyText, nullable=False),
    sa.Column("green", AnyText, nullable=False),
    sa.Column("pointer", AnyText, nullable=False),
    sa.Column("version", sa.BigInteger),  # of the pointer, when the run last proved where it is
    sa.Column("plan", JSONB, nullable=False),
    sa.Column("plan_digest", AnyText, nullable=False),
    sa.Column("gold_digest", AnyText),
    sa.Column("judge", AnyJson),  # what the judge encoder is worth on the gold set
    sa.Column("holdings", AnyJson),  # what both indexes held before the freeze, and the gold set that was looked up
    sa.Column("approved_hash", AnyText),
    sa.Column("blue_hash", AnyText),
    sa.Column("left_out", AnyJson),  # readers that a person left out of the proof: name -> who, and why
    sa.Column("hold_minutes", sa.Float, nullable=False),
    sa.Column("retry_build", AnyText, nullable=False, server_default=""),
    sa.Column("back_of", AnyText),  # of a way back: the promoted run that it takes back
    sa.Column("decision", AnyText),
    sa.Column("reason", AnyText, nullable=False, server_default=""),
    _at("opened_at", required=True),
    _at("updated_at", required=True),
    _at("flipping_at"),
    _at("flipped_at"),
    _at("hold_until"),
    _at("first_bad_at"),
    _at("judged_at"),
    _at("decided_at"),
    _at("rollback_started_at"),
    _at("rollback_applied_at"),
    _at("converged_at"),
    _at("ended_at"),
)

lease = sa.Table(
    "switchover_lease",
    metadata,
    sa.Column("pointer", AnyText, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", AnyText, nullable=False),
    _at("taken_at", required=True),
    _at("expires_at", required=True),
    sa.Column("seized_from", AnyText),
    _at("released_at"),  # let go: no clock that steps back brings it to life
)

flip = sa.Table(
    "switchover_flip",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _run(),
    sa.Column("pointer", AnyText, nullable=False),
    sa.Column("before", AnyText, nullable=False),
    sa.Column("after", AnyText, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("changed", sa.Boolean),
    sa.Column("version", sa.BigInteger),
    sa.Column("readers", AnyJson),
    sa.Column("seconds", sa.Float),
    _at("planned_at", required=True),
    _at("applied_at"),
    _at("read_back_at"),
)

# No foreign key: most rehearsals belong to no run, and they outlive the one that they do belong to.
rehearsal = sa.Table(
    "switchover_rehearsal",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("service", AnyText, nullable=False),
    sa.Column("pointer", AnyText, nullable=False),
    sa.Column("blue", AnyText, nullable=False),
    sa.Column("green", AnyText, nullable=False),
    sa.Column("seconds", sa.Float),
    sa.Column("budget_s", sa.Float, nullable=False),
    sa.Column("ok", sa.Boolean, nullable=False),
    sa.Column("note", AnyText, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    _at("at", required=True),
)

writer = sa.Table(
    "switchover_writer",
    metadata,
    _run(),
    sa.Column("name", AnyText, nullable=False),
    sa.Column("found", AnyJson, nullable=False),
    sa.Column("proof", AnyText),
    _at("frozen_at", required=True),
    _at("drained_at"),
    _at("resumed_at"),
    sa.Column("resumed_on", AnyText),  # written before it is resumed: without ``resumed_at`` it was only begun
    sa.Column("held", AnyText),
    sa.PrimaryKeyConstraint("run", "name"),
)

check = sa.Table(
    "switchover_check",
    metadata,
    _run(),
    sa.Column("name", AnyText, nullable=False),
    sa.Column("ok", sa.Boolean, nullable=False),
    sa.Column("found", AnyText, nullable=False),
    sa.Column("expected", AnyText, nullable=False),
    _at("at", required=True),
    sa.PrimaryKeyConstraint("run", "name"),
)

evidence = sa.Table(
    "switchover_evidence",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _run(),
    sa.Column("phase", AnyText, nullable=False),
    sa.Column("tick", sa.Integer, nullable=False),
    sa.Column("arm", AnyText, nullable=False),
    sa.Column("question", AnyText, nullable=False),
    sa.Column("paraphrase", sa.SmallInteger, nullable=False),
    sa.Column("seed", sa.SmallInteger, nullable=False),
    sa.Column("ds_question", sa.Float, nullable=False),
    sa.Column("ds_anchor", sa.Float, nullable=False),
    sa.Column("coverage", sa.Float),
    sa.Column("ndcg", sa.Float),  # this and the next: of gold sets that are judged by ids
    sa.Column("reciprocal_rank", sa.Float),
    sa.Column("cited", AnyText),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("error", AnyText),
    sa.Column("ms_retrieve", sa.Float),
    sa.Column("ms_rerank", sa.Float),
    sa.Column("ms_reason", sa.Float),
    sa.Column("ms_total", sa.Float),
    sa.Column("tool_loop", sa.Boolean, nullable=False),
    sa.Column("lacks", AnyText),
    *(sa.Column(name, sa.Float) for name in ANSWERS),
    sa.Column("hits", JSONB, nullable=False),
    _at("at", required=True),
    # A tick that is asked again after a crash replaces nothing and doubles nothing.
    sa.UniqueConstraint("run", "phase", "tick", "arm", "question", "paraphrase", "seed"),
)

signal = sa.Table(
    "switchover_signal",
    metadata,
    _run(),
    sa.Column("tick", sa.Integer, nullable=False),
    sa.Column("sample", AnyJson),
    _at("at", required=True),
    sa.PrimaryKeyConstraint("run", "tick"),
)


staleness = sa.Table(
    "switchover_staleness",
    metadata,
    _run(),
    sa.Column("tick", sa.Integer, nullable=False),
    sa.Column("body", AnyJson, nullable=False),
    _at("at", required=True),
    sa.PrimaryKeyConstraint("run", "tick"),
)

verdict = sa.Table(
    "switchover_verdict",
    metadata,
    _run(),
    sa.Column("gate", AnyText, nullable=False),
    sa.Column("tick", sa.Integer, nullable=False),
    sa.Column("rule", AnyText, nullable=False),
    sa.Column("outcome", AnyText, nullable=False),
    sa.Column("body", AnyJson, nullable=False),
    _at("at", required=True),
    sa.PrimaryKeyConstraint("run", "gate", "tick", "rule"),
)

step = sa.Table(
    "switchover_step",
    metadata,
    _run(),
    sa.Column("name", AnyText, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("ok", sa.Boolean),
    sa.Column("note", AnyText, nullable=False, server_default=""),
    _at("started_at", required=True),
    _at("ended_at"),
    sa.PrimaryKeyConstraint("run", "name"),
)

event = sa.Table(
    "switchover_event",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _run(),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("text", AnyText, nullable=False),
    _at("at", required=True),
)

arm = sa.Table(
    "switchover_arm",
    metadata,
    _run(),
    sa.Column("role", AnyText, nullable=False),
    sa.Column("target", AnyText, nullable=False),
    sa.Column("pins", AnyJson, nullable=False),
    sa.Column("reported", AnyJson, nullable=False),
    _at("at", required=True),
    sa.PrimaryKeyConstraint("run", "role"),
)

question = sa.Table(
    "switchover_question",
    metadata,
    _run(),
    sa.Column("id", AnyText, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("paraphrases", JSONB, nullable=False),
    sa.Column("spans", JSONB, nullable=False),
    sa.Column("quote", AnyText, nullable=False),
    sa.Column("tags", JSONB, nullable=False),
    sa.Column("grade", AnyText),  # by what coverage is measured, of all questions the same
    sa.PrimaryKeyConstraint("run", "id"),
)

snippet = sa.Table(
    "switchover_snippet",
    metadata,
    _run(),
    sa.Column("arm", AnyText, nullable=False),
    sa.Column("id", AnyText, nullable=False),
    sa.Column("text", AnyText, nullable=False),
    sa.PrimaryKeyConstraint("run", "arm", "id"),
)

approval = sa.Table(
    "switchover_approval",
    metadata,
    _run(),
    sa.Column("gate", AnyText, nullable=False),
    sa.Column("seat", sa.SmallInteger, nullable=False),  # the first or the second person
    sa.Column("subject", AnyText, nullable=False),  # digest of what is approved
    _at("asked_at", required=True),
    sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    _at("answered_at"),
    sa.Column("answered_by", AnyText),  # as it is shown
    sa.Column("answered_by_id", AnyText),  # of the login; NULL in rows of earlier versions
    sa.Column("answer", AnyText),
    sa.PrimaryKeyConstraint("run", "gate", "seat"),
)
sa.Index("switchover_event_run", event.c.run, event.c.id)
sa.Index("switchover_flip_run", flip.c.run, flip.c.id)
sa.Index("switchover_run_opened", run.c.opened_at.desc(), run.c.id)
sa.Index("switchover_run_service_opened", run.c.service, run.c.opened_at.desc())
sa.Index("switchover_rehearsal_pointer", rehearsal.c.pointer, rehearsal.c.at)

# No foreign key: an index outlives the runs that read it.
receipt = sa.Table(
    "switchover_receipt",
    metadata,
    sa.Column("creation", AnyText, primary_key=True),
    sa.Column("target", AnyText, nullable=False),
    sa.Column("index_hash", AnyText, nullable=False),
    sa.Column("whole", sa.Boolean, nullable=False),
    sa.Column("body", AnyJson, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    _at("at", required=True),
)

watchdog = sa.Table(
    "switchover_watchdog",
    metadata,
    sa.Column("name", AnyText, primary_key=True),
    sa.Column("host", AnyText, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("interval_s", sa.Float, nullable=False),
    sa.Column("sees", AnyText, nullable=False, server_default=""),
    _at("started_at", required=True),
    _at("looked_at", required=True),
)

# No foreign key: a record outlives its run. The body is text: its very bytes are hashed.
audit = sa.Table(
    "switchover_audit",
    metadata,
    sa.Column("service", AnyText, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    *(
        sa.Column(name, AnyText, nullable=name == "run")
        for name in ("kind", "run", "actor", "body", "previous", "hash")
    ),
    _at("at", required=True),
)
