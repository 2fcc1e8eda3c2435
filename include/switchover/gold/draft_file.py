"""The file of drafts: a line a question, for a person to review. It only ever grows, so that a command can go on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from switchover.errors import BadInput, GoldError
from switchover.gold.item import DRAFT, REVIEWED
from switchover.gold.jsonl import lines_of, read_all, read_object

BEGINS = b'{"_id": '  # each line of ours


class DraftFile:
    """``done``: the questions whose drafts stand in the file, reviewed or not."""

    def __init__(self, file: BinaryIO, done: Collection[str]) -> None:
        self._file = file
        self.done = frozenset(done)

    def add(self, id: str, paraphrases: Sequence[str]) -> None:
        """Write the drafts of one question. They stay also when the machine stops right after."""
        body = {"_id": id, "paraphrases": list(paraphrases), "origin": DRAFT}
        self._file.write(json.dumps(body, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def draft_file(path: Path, ids: Collection[str]) -> Iterator[DraftFile]:
    """Open a new file, or an earlier draft for the questions ``ids``; nothing that stands in it is changed.

    ``BadInput`` for any other file, and when another command is writing into it.
    """
    try:
        there = path.exists()
        if there and not path.is_file():
            raise BadInput(f"{path}: is no file; nothing was written; name a new file")
        with path.open("ab") as file:
            try:
                yield _opened(path, file, ids)
            finally:
                if not there and not file.tell():
                    path.unlink(missing_ok=True)  # nothing was drafted
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from error


def _opened(path: Path, file: BinaryIO, ids: Collection[str]) -> DraftFile:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"{path}: another command is drafting into it; wait until it has ended") from None
    whole = read_all(path)
    kept = len(whole) - _torn(whole)
    done = _done(path, whole[:kept], ids)
    file.truncate(kept)
    if kept and not whole[:kept].endswith(b"\n"):  # an editor has left out the last line's end
        file.write(b"\n")
    return DraftFile(file, done)


def _torn(whole: bytes) -> int:
    """Bytes of a last line of ours that a command which was stopped has not written to its end."""
    tail = whole.rpartition(b"\n")[2]
    if not tail.startswith(BEGINS):
        return 0
    try:
        json.loads(tail)
    except ValueError:
        return len(tail)
    return 0


def _done(path: Path, whole: bytes, ids: Collection[str]) -> set[str]:
    done = set[str]()
    for number, line in lines_of(path, whole):
        where = f"{path}:{number}"
        try:
            body = read_object(where, line)
        except GoldError as error:
            raise _not_ours(str(error)) from None
        id = body.get("_id")
        if not isinstance(id, str) or "paraphrases" not in body or body.get("origin") not in (DRAFT, REVIEWED):
            raise _not_ours(f"{where}: is no draft of paraphrases")
        if id not in ids:
            raise _not_ours(f"{where}: is a draft for {id!r}, which the gold set does not have")
        done.add(id)
    return done


def _not_ours(why: str) -> BadInput:
    return BadInput(f"{why}; nothing was written; name a new file, or this gold set's earlier draft")
