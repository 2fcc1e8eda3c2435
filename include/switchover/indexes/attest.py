"""The whole content proof of an index, and the audit of some of its rows; for every kind of index alike.

A whole reading is made shard by shard. Each shard that was read is saved, so a reading that was interrupted goes on
with the others; while the store's change mark is what it was, a reading that is done is not made again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from switchover.errors import TargetRefused
from switchover.indexes.base import Index, Mark, Row
from switchover.indexes.receipt import AUDITED, FORM, Choice, Proof, Tally, found_by_audit, row_digest, vector_digest
from switchover.lazy import lazy
from switchover.pins import Manifest

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

Say = Callable[[str], None]
Save = Callable[[Proof], None]
AT_ONCE = 2  # shards
EVERY_S = 10.0
TRIES = 3  # a store may publish its change mark some seconds after a write


@dataclass(frozen=True, kw_only=True)
class Attested:
    """What an index holds. ``skipped``: nothing was read, since nothing was written since the reading was made."""

    manifest: Manifest
    proof: Proof
    skipped: bool

    @property
    def index_hash(self) -> str:
        """INDEX_HASH over what was found."""
        assert self.proof.pairs is not None
        facts = self.manifest.facts
        return replace(facts, count=self.proof.tally.sum.count, pairs=self.proof.pairs).index_hash()

    @property
    def vectors_kept(self) -> bool:
        """Whether the vectors are those that were there when this build was first read."""
        return self.proof.first_vectors in (None, vectors_of(self.proof.tally))


def vectors_of(tally: Tally) -> str:
    """What the vectors add up to, in hex."""
    return f"{tally.sum.vectors:064x}"


def attest(
    index: Index,
    target: str,
    *,
    kept: Proof | None,
    save: Save,
    say: Say = lambda line: None,
    written: bool = False,
) -> Attested:
    """Read the index whole, or as much as is missing in ``kept``. ``save`` keeps what was read so far.

    ``written``: writers go on writing to it, so the reading is of what was there meanwhile. Without it
    ``TargetRefused`` when it is written to while it is read: then no reading says what it holds.
    """
    manifest = index.manifest(target)
    for _ in range(TRIES):
        proof, going_on = _begun(index, target, manifest, kept)
        if proof.whole:
            return Attested(manifest=manifest, proof=proof, skipped=True)
        if going_on:
            say(f"going on behind {len(proof.done)} parts of {target}, {proof.tally.sum.count:,} rows")
        proof = _read(index, target, manifest, proof, save, say)
        if written or index.mark(target).change == proof.change:
            if proof.first_vectors is None:
                proof = replace(proof, first_vectors=vectors_of(proof.tally))
            save(proof)
            return Attested(manifest=manifest, proof=proof, skipped=False)
    raise TargetRefused(
        f"index {target!r}: was written to while it was read, {TRIES} times; stop what writes to it, or wait until it"
        " has ended"
    )


def _begun(index: Index, target: str, manifest: Manifest, kept: Proof | None) -> tuple[Proof, bool]:
    """The reading that counts still, or the one to go on with (then true), or a new one."""
    mark = index.mark(target)
    same = kept is not None and (kept.creation, kept.index_hash) == (mark.creation, manifest.index_hash)
    if kept is not None and same and kept.change == mark.change and (mark.change or not kept.whole):
        return kept, not kept.whole
    fresh = Proof(
        target=target,
        creation=mark.creation,
        change=mark.change,
        index_hash=manifest.index_hash,
        key=secrets.randbits(32),
        first_vectors=kept.first_vectors if kept is not None and same else _built_vectors(manifest, mark),
    )
    return fresh, False


def _built_vectors(manifest: Manifest, mark: Mark) -> str | None:
    """What the vectors added up to when the build was done, if it has said so of this very index."""
    receipt = manifest.receipt
    if receipt is None or receipt.get("creation") != mark.creation:
        return None
    return vectors_of(Tally.from_json(receipt["tally"]))


def _read(index: Index, target: str, manifest: Manifest, proof: Proof, save: Save, say: Say) -> Proof:
    """The reading, whole."""
    facts = manifest.facts
    choice = Choice.among(facts.count, proof.key)
    shards = index.shards(target)
    todo = [shard for shard in shards if shard not in proof.done]
    began = said = time.monotonic()
    before = proof.tally.sum.count

    def read(shard: str) -> Tally:
        return index.tally(target, shard, upto=facts.corpus_revision, choice=choice)

    for shard, tally in _side_by_side(read, todo):
        proof = replace(proof, tally=proof.tally + tally, done=(*proof.done, shard))
        if len(shards) > 1:
            save(proof)
        if time.monotonic() - said >= EVERY_S:
            said = time.monotonic()
            rate = (proof.tally.sum.count - before) / (said - began)
            say(
                f"reading {target}: {len(proof.done)} of {len(shards)} parts, {proof.tally.sum.count:,} rows,"
                f" {rate:,.0f} rows/s"
            )
    if facts.pairs.startswith(FORM):
        return replace(proof, pairs=proof.tally.sum.pairs)
    say(f"reading {target} in order: its build is of before there was a sum")
    return replace(proof, pairs=index.ordered_pairs(target, upto=facts.corpus_revision))


def _side_by_side(read: Callable[[str], Tally], shards: Sequence[str]) -> Iterator[tuple[str, Tally]]:
    """Each shard with what it holds, as they come in; few at once, so that an error stops the rest."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        coming = list(shards)
        running = {pool.submit(read, shard): shard for shard in coming[:AT_ONCE]}
        coming = coming[AT_ONCE:]
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                shard = running.pop(future)
                if coming:
                    following = coming.pop(0)
                    running[pool.submit(read, following)] = following
                yield shard, future.result()


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a look at some rows has found. ``wrong``: one line each, none when every row is as it was read."""

    rows: int
    of: int
    wrong: tuple[str, ...]

    @property
    def line(self) -> str:
        """For people: what was found, and what such a look cannot see."""
        if self.wrong:
            return "; ".join(self.wrong)
        share = found_by_audit(altered=1, kept=self.rows, rows=self.of)
        found = f"one altered row is found with probability {share:.2%}"
        return f"{self.rows:,} of {self.of:,} rows as they were read; {found}"


def audit(index: Index, attested: Attested, *, written: bool = False) -> Audit:
    """Look again at the rows that the reading kept: texts and vectors as they were, and vectors that can be searched.

    ``written``: writers may have changed or removed rows since.
    """
    proof, manifest = attested.proof, attested.manifest
    kept = proof.tally.kept
    found = {row.id: row for row in index.rows(proof.target, list(kept))}
    dimension = manifest.encoder.get("dimension")
    problems: dict[str, list[str]] = {}
    for id, digests in kept.items():
        problem = _problem(
            found.get(id), None if written else digests, dimension if isinstance(dimension, int) else None
        )
        if problem:
            problems.setdefault(problem, []).append(id)
    wrong = [f"{len(ids):,} rows {problem}, id {ids[0]!r} among them" for problem, ids in sorted(problems.items())]
    count = proof.tally.sum.count
    if len(kept) < min(AUDITED, count):
        wrong.append(f"only {len(kept):,} rows were kept for an audit; at least {min(AUDITED, count):,} are needed")
    return Audit(rows=len(kept), of=count, wrong=tuple(wrong))


def _problem(row: Row | None, digests: tuple[str, str] | None, dimension: int | None) -> str | None:
    """What is wrong with a row that was kept, if anything is. Without ``digests`` it may be another one by now."""
    if row is None:
        return "are gone" if digests else None
    text = row_digest(row.id, row.text)
    if digests and text.hex() != digests[0]:
        return "have another text than when they were read"
    if row.vector is None or row.values is None:
        return "have no vector" if digests is None or digests[1] else None
    if digests and vector_digest(text, row.vector).hex() != digests[1]:
        return "have another vector than when they were read"
    if dimension is not None and row.dimension != dimension:
        return f"have a vector of {row.dimension} dimensions, the manifest says {dimension}"
    if not np.isfinite(row.values).all():
        return "have a vector that is not finite"
    return None if np.any(row.values) else "have a vector of zeros"
