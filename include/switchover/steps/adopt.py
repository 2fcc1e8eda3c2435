"""Take over an index that was not built by us: read it whole, write its manifest and receipt, change nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import randbits
from typing import Any

from switchover.errors import BadInput, StateConflict
from switchover.indexes import Index
from switchover.indexes.attest import Say
from switchover.indexes.receipt import Choice, Proof, Tally
from switchover.ledger import Ledger
from switchover.ledger.receipts import ADOPTS
from switchover.pins import PIN_NAMES, IndexFacts, Manifest, embed_schema

EVERYTHING = 2**63 - 1  # up to any revision
ENCODER = ("name", "revision", "dimension", "normalised", "metric")
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """The manifest that was written, and what nobody could say of the index."""

    manifest: Manifest
    unknown: tuple[str, ...]

    @property
    def line(self) -> str:
        """For people."""
        facts = self.manifest.facts
        lacking = f"; not known, and so not compared: {', '.join(self.unknown)}" if self.unknown else ""
        told = f"adopted, {facts.count:,} rows up to revision {facts.corpus_revision}"
        return f"{self.manifest.target}: {told}, INDEX_HASH {self.manifest.index_hash}{lacking}"


def adopt(
    index: Index,
    ledger: Ledger,
    target: str,
    *,
    pins: Mapping[str, str],
    encoder: Mapping[str, Any],
    person: str,
    again: bool = False,
    say: Say = lambda line: None,
) -> Adopted:
    """``pins``: those that are known; ``encoder``: what made the vectors, empty where there are none.

    ``again``: also where there is a manifest. ``BadInput`` for an index that is absent or empty, or half an encoder;
    ``StateConflict`` when it has a manifest, or was written to while it was read.
    """
    _require_whole(encoder)
    health = index.health(target)
    if not health.exists or health.empty:
        raise BadInput(f"index {target!r}: is {'empty' if health.exists else 'not there'}; nothing to adopt")
    if health.stored_hash is not None and not again:
        raise StateConflict(
            f"index {target!r}: has a manifest already (INDEX_HASH {health.stored_hash[:12]}); nothing was changed."
            " --again takes it over as it is now"
        )
    key, mark, revision = randbits(32), index.mark(target), index.newest(target)
    choice, found = Choice.among(index.count(target), key), Tally()
    for shard in index.shards(target):
        found += index.tally(target, shard, upto=EVERYTHING, choice=choice)
        say(f"reading {target}: {found.sum.count:,} rows")
    if index.mark(target).change != mark.change:
        raise StateConflict(f"index {target!r}: was written to while it was read; nothing was changed. Try again")
    manifest, unknown = _described(target, pins, encoder, found, revision)
    proof = Proof(
        target=target,
        creation=mark.creation,
        change=mark.change,
        index_hash=manifest.index_hash,
        key=key,
        tally=found,
        pairs=found.sum.pairs,
        first_vectors=f"{found.sum.vectors:064x}",
    )
    manifest = replace(manifest, receipt=proof.receipt())
    index.describe(target, manifest)
    ledger.receipts.keep(replace(proof, change=index.mark(target).change), actor=f"{ADOPTS}{person}")
    return Adopted(manifest=manifest, unknown=unknown)


def _require_whole(encoder: Mapping[str, Any]) -> None:
    missing = [name for name in ENCODER if name not in encoder]
    if encoder and missing:
        raise BadInput(f"encoder: {', '.join(missing)} missing; allowed: all of {', '.join(ENCODER)}, or no encoder")


def _described(
    target: str, pins: Mapping[str, str], encoder: Mapping[str, Any], found: Tally, revision: int
) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest, and the pins that nobody could say."""
    schema = embed_schema(**{name: encoder[name] for name in ENCODER}) if encoder else pins.get("EMBED_SCHEMA", "")
    if pins.get("EMBED_SCHEMA", schema) != schema:
        raise BadInput(f"EMBED_SCHEMA: {pins['EMBED_SCHEMA'][:16]} was given, the encoder's is {schema[:16]}; drop one")
    known = {**pins, **({"EMBED_SCHEMA": schema} if schema else {})}
    facts = IndexFacts(
        embed_schema=schema or UNKNOWN,
        tok_ver=known.get("TOK_VER", UNKNOWN),
        chunk_schema_ver=known.get("CHUNK_SCHEMA_VER", UNKNOWN),
        analyzer_conf=known.get("ANALYZER_CONF", UNKNOWN),
        metric=str(encoder.get("metric", UNKNOWN)),
        store={"adopted": True},
        corpus_revision=revision,
        count=found.sum.count,
        pairs=found.sum.pairs,
    )
    known["INDEX_HASH"] = facts.index_hash()
    unknown = tuple(name for name in PIN_NAMES if name not in known)
    ordered = {name: known[name] for name in PIN_NAMES if name in known}
    return Manifest(target=target, pins=ordered, facts=facts, encoder=dict(encoder)), unknown
