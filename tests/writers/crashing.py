"""Processes that kill themselves with SIGKILL at one boundary: ``python -m tests.writers.crashing AT WHO ...``.

``AT`` is ``<boundary>:<n>``: at its n-th passage; or ``never``. ``WHO``: ``consumer``, ``ingest`` or ``mover``, with
the arguments of that process.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

CONSUMER = ("before effect", "after effect, before done", "after done, before offsets", "after offsets")
INGEST = ("before effect", "after effect, before commit", "after commit")
NEVER = "never"
MOVER = "hand-over: offsets sent, not committed"


class Boundaries:
    """Dies at one of them."""

    def __init__(self, at: str) -> None:
        self._name, _, number = at.rpartition(":") if at != NEVER else (NEVER, "", "0")
        self._left = itertools.count(int(number), -1)

    def passes(self, name: str) -> None:
        """The process is at a boundary."""
        if name == self._name and next(self._left) <= 1:
            os.kill(os.getpid(), signal.SIGKILL)


def consumer(at: Boundaries, arguments: Sequence[str]) -> None:
    """The reference consumer."""
    from sandbox import consumer as reference

    options = reference.parser().parse_args(arguments)

    def apply(conn: Any, messages: Sequence[Any]) -> Sequence[Any]:
        at.passes(CONSUMER[0])
        receipts = reference.insert(conn, options.arm, messages)
        at.passes(CONSUMER[1])
        return receipts

    made = reference.consumer_of(options, apply=apply)
    commit = made._commit

    def committing(taken: Any, messages: Sequence[Any]) -> None:
        at.passes(CONSUMER[2])
        commit(taken, messages)
        at.passes(CONSUMER[3])

    made._commit = committing  # type: ignore[method-assign]
    reference.until_told(made)


def ingest(at: Boundaries, arguments: Sequence[str]) -> None:
    """The sandbox's process writer behind the SQL fence; a batch without a row passes no boundary."""
    from sandbox import ingest as writer
    from sandbox.rows import PgRows

    def around(call: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            at.passes(before)
            result = call(*args, **kwargs)
            if result == 0 or result == writer.Applied(target=getattr(result, "target", None)):
                return result
            at.passes(after)
            return result

        return run

    PgRows.add = around(PgRows.add, before=INGEST[0])  # type: ignore[method-assign]
    writer._notify = around(writer._notify, after=INGEST[1])  # type: ignore[assignment]
    writer.apply_batch = around(writer.apply_batch, after=INGEST[2])
    sys.argv = ["ingest", *arguments]
    writer.main()


def mover(at: Boundaries, arguments: Sequence[str]) -> None:
    """One move of the consumer-group pointer; arguments: client settings, the pointer's part, the change."""
    from switchover.pointers import Change
    from switchover.pointers.kafka_group import KafkaGroupPointer, KafkaGroupSpec

    settings, spec, change = map(json.loads, arguments)
    pointer = KafkaGroupPointer(settings=settings, spec=KafkaGroupSpec.model_validate(spec))
    copy = pointer._copy_offsets

    def copying(*args: Any) -> None:
        copy(*args)
        at.passes(MOVER)

    pointer._copy_offsets = copying  # type: ignore[method-assign]
    pointer.apply(Change(**change))


if __name__ == "__main__":
    {"consumer": consumer, "ingest": ingest, "mover": mover}[sys.argv[2]](Boundaries(sys.argv[1]), sys.argv[3:])
