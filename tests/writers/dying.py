"""The processes of a storm, which pass boundaries.

Each is the sandbox's own process with the boundaries put around its functions from outside: ``consumer ARM``,
``ingest``, ``service PORT``, and the switchover's hand ``switchover freeze | flip | resume JSON``.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from switchover.fence import Fence
from tests.writers.boundaries import Boundaries
from tests.writers.scene import ALIAS, FENCE, Scene

BOUND = 100  # of the service's queue; small, so that callers are told to wait


def consumer(scene: Scene, at: Boundaries, arm: str) -> None:
    """The reference consumer."""
    from sandbox.writers import consumer as reference
    from switchover.consumers.kafka import Closed, run_until_told

    spec = scene.group_spec
    options = SimpleNamespace(
        bootstrap=scene.kafka["bootstrap.servers"],
        arm=arm,
        group=spec.targets[arm],
        topic=scene.topic,
        fence=FENCE,
        control=spec.control,
        key=spec.key,
    )

    def apply(conn: Any, messages: Sequence[Any]) -> Sequence[Any]:
        if messages:
            at.passes("before effect")
        return reference.insert(conn, arm, messages)

    made: Any = reference.consumer_of(options, apply=apply)  # type: ignore[arg-type]
    step, commit, is_live, joined = made.step, made._commit, made.is_live, made._joined

    def stepping(client: Any) -> Any:
        try:
            return step(client)
        except Closed:
            at.passes("at freeze, still in its group")
            raise

    def committing(client: Any, messages: Sequence[Any]) -> None:
        at.passes("after commit, before offsets")
        commit(client, messages)
        at.passes("after offsets")

    def looking() -> bool:
        live = bool(is_live())
        if not live:
            at.passes("while frozen")
        return live

    def joining() -> Any:
        client = joined()
        at.passes("at resume, joining its group")
        return client

    made.step, made._commit, made.is_live, made._joined = stepping, committing, looking, joining
    _around_receipts(at, "kafka")
    run_until_told(made)


def ingest(scene: Scene, at: Boundaries) -> None:
    """The sandbox's process writer behind the SQL fence; a batch without a row passes no boundary."""
    from sandbox.service.rows import PgRows
    from sandbox.writers import ingest as writer

    add, batch, opened = PgRows.add, writer.apply_batch, writer.apply_open
    frozen = False

    def adding(*args: Any) -> None:
        at.passes("before effect")
        add(*args)

    def batching(*args: Any, **kwargs: Any) -> writer.Applied:
        nonlocal frozen
        done = batch(*args, **kwargs)
        if done.frozen:
            at.passes("while frozen" if frozen else "at freeze")
        elif done.rows or done.notified:
            at.passes("after commit")
        frozen = done.frozen
        return done

    def opening(*args: Any, **kwargs: Any) -> writer.Applied:
        at.passes("at resume")
        return opened(*args, **kwargs)

    PgRows.add = adding  # type: ignore[method-assign, assignment]
    writer.apply_batch, writer.apply_open = batching, opening
    _around_receipts(at, "ingest_source")
    sys.argv = ["ingest", "--stream", "process"]
    writer.main()


def service(scene: Scene, at: Boundaries, port: str) -> None:
    """The writer that people call, and the loop that drains its queue."""
    import uvicorn

    from sandbox.processes import ports
    from sandbox.service.live import Live
    from sandbox.writers.writes import create_app
    from switchover.writers.queue import How, WriteQueue

    write, drain, queue = WriteQueue.write, WriteQueue.drain, WriteQueue._queue
    doing: ContextVar[str] = ContextVar("doing", default="")

    def before_effect(apply: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def effect(payload: Any) -> Any:
            at.passes(f"{doing.get()}before effect")
            return apply(payload)

        return effect

    def writing(self: WriteQueue, *args: Any, apply: Any, **kwargs: Any) -> How:
        doing.set("write, ")
        how = write(self, *args, apply=before_effect(apply), **kwargs)
        verb = "queue" if how is How.QUEUED else "write"
        at.passes(f"{verb}, after commit, before answer")
        return how

    def queueing(*args: Any) -> How:
        how = queue(*args)
        at.passes("queue, before commit")
        return how

    def draining(self: WriteQueue, *args: Any, apply: Any, **kwargs: Any) -> int:
        doing.set("drain, ")
        left = drain(self, *args, apply=before_effect(apply), **kwargs)
        if left:
            at.passes("drain, after commit")
        return left

    WriteQueue.write, WriteQueue.drain = writing, draining  # type: ignore[method-assign, assignment]
    WriteQueue._queue = queueing  # type: ignore[method-assign, assignment]
    _around_receipts(at, "intent", prefix=doing.get)
    app = create_app(db_url=scene.db_url, live=Live(alias=ALIAS), bound=BOUND)
    uvicorn.run(app, host=ports.HOST, port=int(port), log_level="error", timeout_graceful_shutdown=5)


def _around_receipts(at: Boundaries, source_type: str, prefix: Callable[[], str] = lambda: "") -> None:
    """The boundaries before and after the fence's receipts of one kind of source."""
    record = Fence._record

    def recording(self: Fence, store: Any, effects: Sequence[Any]) -> None:
        passes = any(effect.first and effect.key.source_type == source_type for effect in effects)
        if passes:
            at.passes(f"{prefix()}after effect, before receipt")
        record(self, store, effects)
        if passes:
            at.passes(f"{prefix()}after receipt, before commit")

    Fence._record = recording  # type: ignore[method-assign]


@contextlib.contextmanager
def _unfenced(self: Fence, pairs: Sequence[Any], *, connection: Any = None) -> Iterator[list[Any]]:
    """The fence switched off: every effect is the first."""
    yield [SimpleNamespace(key=key, first=True, done=lambda receipt=None: None) for key, _ in pairs]


def switchover(scene: Scene, at: Boundaries, verb: str, words: str) -> None:
    """One step of a switchover, from its beginning."""
    from tests.writers import hand

    getattr(hand, verb)(scene, at, words)


KINDS: dict[str, Callable[..., None]] = {
    "consumer": consumer,
    "ingest": ingest,
    "service": service,
    "switchover": switchover,
}


def live(scene: Scene, log: str, who: str, *arguments: str) -> None:
    """The life of one process: what it says goes to ``log``, and it does not outlive the storm."""
    with Path(log).open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    threading.Thread(target=_with_the_storm, daemon=True).start()
    os.environ.update({"DOCS_DB_URL": scene.db_url, "DOCS_PLAN": ""})
    if not scene.fenced:
        Fence.once_many = _unfenced  # type: ignore[method-assign, assignment]
    KINDS[who](scene, Boundaries(who, scene.kills), *arguments)


def _with_the_storm() -> None:
    storm = multiprocessing.parent_process()
    assert storm is not None
    storm.join()
    os._exit(1)
