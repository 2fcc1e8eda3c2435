"""Build an arm's index offline, step by step. Each step can be started again from its beginning.

``begin`` → ``load`` → ``index`` → ``catch_up`` → ``publish``. What is done is read from the database, never
remembered: every step may run in another process than the one before, and a killed one goes on where its last
batch was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from secrets import randbits
from typing import Any

from switchover.encoders.base import Encoder
from switchover.errors import BadInput, StateConflict, TargetRefused
from switchover.indexes.receipt import Proof, Tally
from switchover.indexing.ahead import ahead
from switchover.indexing.documents import Document, Position, SqlDocuments
from switchover.indexing.merge import Difference, differences, marks
from switchover.indexing.pgvector import Checkpoint, PgvectorTarget
from switchover.indexing.progress import Progress, Say
from switchover.indexing.rows import Batch, batches
from switchover.indexing.spec import TAKEN_OVER, Build, manifest_of
from switchover.pins import Manifest

ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build has made. ``remaining``: documents that were written since and are not in it.

    ``changed``: false when these very rows were there already.
    """

    manifest: Manifest
    remaining: int
    changed: bool

    @property
    def line(self) -> str:
        """For people."""
        facts = self.manifest.facts
        state = "built" if self.changed else "there already"
        behind = f"; {self.remaining:,} documents were written since" if self.remaining else ""
        return (
            f"{self.manifest.target}: {state}: {facts.count:,} chunks up to revision {facts.corpus_revision},"
            f" INDEX_HASH {self.manifest.index_hash}{behind}"
        )

    def to_json(self) -> dict[str, Any]:
        """For machines, and for the asset event."""
        facts = self.manifest.facts
        return {
            "target": self.manifest.target,
            "index_hash": self.manifest.index_hash,
            "build_id": self.manifest.pins["BUILD_ID"],
            "chunks": facts.count,
            "corpus_revision": facts.corpus_revision,
            "remaining": self.remaining,
            "changed": self.changed,
        }


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a build must know of the switchover around it.

    ``live``: the arm that is live now. ``pins``: the live arm's. ``alone``: held while the target's table is
    replaced, so that no switchover is under way. ``others``: the service's other arms. ``keep``: what the build has
    read of what it stored.
    """

    live: Callable[[], str | None]
    pins: Callable[[], Mapping[str, str]]
    alone: Callable[[], AbstractContextManager[Any]]
    others: tuple[str, ...] = ()
    keep: Callable[[Proof], None] = lambda proof: None


class Builder:
    """One build of one target. ``encoder``: the one that really runs; the plan's, unless somebody errs."""

    def __init__(
        self,
        *,
        build: Build,
        documents: SqlDocuments,
        target: PgvectorTarget,
        encoder: Encoder,
        place: Place,
        secrets: tuple[str, ...] = (),
        say: Say = lambda line: None,
    ) -> None:
        self._build = build
        self._documents = documents
        self._target = target
        self._encoder = encoder
        self._place = place
        self._secrets = secrets
        self._say = say
        self._recipe = {**build.recipe(), "encoded_with": encoder.revision}
        if encoder.dimension != build.encoder.dimension:
            raise BadInput(
                f"build.encoder: the plan says {build.encoder.dimension} dimensions, encoder {encoder.name!r} that runs"
                f" gives {encoder.dimension}; nothing was started"
            )

    def run(self) -> Built:
        """Every step, one after the other."""
        self.begin()
        self.load()
        self.index()
        self.catch_up()
        return self.publish()

    def begin(self) -> None:
        """Go on with the build that is under way, or start one. Nothing is started when the index is there."""
        self._target.prepare()
        found = self._under_way()
        if found is not None:
            self._say(f"going on behind {found.documents:,} documents, {found.chunks:,} chunks")
            return
        self._target.check_replaceable()
        if self._there() is not None:
            self._say(f"{self._target.target}: holds every document of the source already")
            return
        self._refuse_live()
        self._pins()
        self._documents.check()
        self._target.start(self._recipe, dimension=self._build.encoder.dimension)
        self._say(f"{self._target.target}: started")

    def load(self) -> None:
        """Stream the documents into the index."""
        if self._under_way() is not None:
            self._pass("load", replace=False)

    def index(self) -> None:
        """Build the approximate index; it is made before catching up, since it takes longest."""
        hnsw = self._build.hnsw
        if self._under_way() is None or hnsw is None:
            return
        self._say("index: started; its progress is in pg_stat_progress_create_index")
        made = self._target.index(m=hnsw.m, ef_construction=hnsw.ef_construction)
        self._say(f"index: {'done' if made else 'was there already'}")

    def catch_up(self) -> None:
        """Take in what was written meanwhile until little is behind; then compare every document's revision."""
        if self._under_way() is None:
            return
        for _ in range(ROUNDS):
            if self._pass("catch up", replace=True) <= self._build.catch_up:
                break
        self._reconcile()

    def publish(self) -> Built:
        """Write manifest and INDEX_HASH and put the table in the target's place; a repeat changes nothing."""
        found = self._under_way()
        if found is None:
            return self._published()
        revision = found.position.revision
        key = randbits(32)
        held = self._target.held(upto=revision, key=key)
        if not held.sum.count:
            raise BadInput("build: the source has no document with a chunk; nothing was published")
        manifest = self._manifest(revision=revision, count=held.sum.count, pairs=held.sum.pairs)
        with self._place.alone():
            self._refuse_live()
            self._target.check_replaceable()
            rights = self._target.publish(manifest, at=found.position, like=self._place.live())
        self._say(f"{self._target.target}: who may use it: {rights}")
        manifest = self._write_receipt(manifest, held, key)
        return Built(manifest=manifest, remaining=self._documents.count_after(found.position), changed=True)

    def _write_receipt(self, manifest: Manifest, held: Tally, key: int) -> Manifest:
        """What was read before the table was put in place, with what tells the table and whether it is written to."""
        mark = self._target.mark()
        proof = Proof(
            target=manifest.target,
            creation=mark.creation,
            change=mark.change,
            index_hash=manifest.index_hash,
            key=key,
            tally=held,
            pairs=held.sum.pairs,
            first_vectors=f"{held.sum.vectors:064x}",
        )
        manifest = replace(manifest, receipt=proof.receipt())
        self._target.describe(manifest)
        self._place.keep(proof)
        return manifest

    def _published(self) -> Built:
        there = self._there()
        if there is None:
            raise StateConflict(f"build: no build of {self._target.target!r} is under way; start it again")
        facts = there.facts
        manifest = self._manifest(revision=facts.corpus_revision, count=facts.count, pairs=facts.pairs)
        manifest = replace(manifest, receipt=there.receipt)
        self._target.describe(manifest)
        return Built(manifest=manifest, remaining=0, changed=False)

    def _under_way(self) -> Checkpoint | None:
        found = self._target.checkpoint()
        return found if found is not None and found.recipe == self._recipe else None

    def _there(self) -> Manifest | None:
        """The manifest of this very build over these very documents, if it is stored."""
        found = self._target.stored()
        if found is None:
            return None
        facts = found.facts
        made = self._manifest(revision=facts.corpus_revision, count=facts.count, pairs=facts.pairs)
        if (made.pins["BUILD_ID"], made.index_hash) != (found.pins["BUILD_ID"], found.index_hash):
            return None
        missing = differences(self._documents.revisions(), self._target.published_revisions())
        return found if all(self._is_empty(each) for each in missing) else None

    def _is_empty(self, difference: Difference) -> bool:
        """A document without a chunk is in no index."""
        if difference.stored is not None:
            return False
        return not any(batch.chunks for batch in self._cut(iter(self._documents.named([difference.doc]))))

    def _pass(self, what: str, *, replace: bool) -> int:
        """Read on to the end of the documents; returns how many it took."""
        found = self._target.checkpoint()
        assert found is not None
        total = self._documents.count_after(found.position)
        progress = Progress(say=self._say, what=what, total=total)
        stored = found.position
        for batch in ahead(self._cut(self._documents.after(stored))):
            last = batch.documents[-1].position
            self._target.load(batch, after=stored, to=last, replace=replace)
            stored = last
            progress.add(documents=len(batch.documents), chunks=len(batch.chunks))
        self._say(progress.line())
        return progress.documents

    def _reconcile(self) -> None:
        """What the order of revisions cannot show: documents that are gone, or were committed late.

        Where the source holds just what was loaded there is neither, and the rows need not be read.
        """
        found = self._target.checkpoint()
        assert found is not None
        if marks(self._documents.revisions(in_order=False)) == found.marks:
            return
        late: list[str] = []
        gone: list[str] = []
        for each in differences(self._documents.revisions(), self._target.revisions()):
            if each.source is None:
                gone.append(each.doc)
            elif Position(revision=each.source, doc=each.doc) <= found.position:
                late.append(each.doc)
        for docs in _pieces(gone):
            self._target.remove(docs, at=found.position)
        came_late = 0  # without those that have no chunk, and so are never stored
        for docs in _pieces(late):
            unchanged = (each for each in self._documents.named(docs) if each.position <= found.position)
            for batch in self._cut(unchanged):
                self._target.load(batch, after=found.position, to=found.position, replace=True)
                came_late += len({chunk.doc for chunk in batch.chunks})
        if gone or came_late:
            self._say(f"compared: {len(gone):,} documents are gone, {came_late:,} came late")

    def _cut(self, documents: Iterator[Document]) -> Generator[Batch, None, None]:
        return batches(documents, chunking=self._build.chunking, encoder=self._encoder, size=self._build.batch)

    def _manifest(self, *, revision: int, count: int, pairs: str) -> Manifest:
        return manifest_of(
            self._build,
            target=self._target.target,
            revision=revision,
            count=count,
            pairs=pairs,
            pins=self._pins(),
            secrets=self._secrets,
            encoder=self._encoder,
        )

    def _pins(self) -> dict[str, str]:
        """A value for every pin that a build does not make: the plan's, else the live arm's."""
        given = self._build.pins
        found = given if set(given) == set(TAKEN_OVER) else {**self._place.pins(), **given}
        missing = [name for name in TAKEN_OVER if not found.get(name)]
        if missing:
            raise BadInput(
                f"build.pins: {', '.join(missing)}: not given, and no arm is live to take them from; give each a value"
            )
        return {name: found[name] for name in TAKEN_OVER}

    def _refuse_live(self) -> None:
        """By where the names lead, not by their letters: ``docs`` and ``public.docs`` are one table."""
        target, live = self._target.target, self._place.live()
        shared = self._target.shared([*self._place.others, *([live] if live else [])])
        if live == target or live in shared:
            raise TargetRefused(f"build: {target!r} is live and holds another build; build under a free name")
        if shared:
            raise TargetRefused(f"build: {target!r} is also the index of arm {shared[0]!r}; build under a free name")


def _pieces(docs: list[str], size: int = 100) -> Iterator[list[str]]:
    for start in range(0, len(docs), size):
        yield docs[start : start + size]
