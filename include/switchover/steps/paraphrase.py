"""Paraphrases of a gold set's questions are drafted by a model, for a person to review."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from switchover.edge.edge import Edge
from switchover.encoders.http import Denied, PatientServer
from switchover.errors import BadInput, SwitchoverError, Unreachable
from switchover.gold.draft import drafts_of, request_of
from switchover.gold.draft_file import draft_file
from switchover.gold.goldset import check_gold
from switchover.gold.item import MOST_PARAPHRASES
from switchover.gold.spec import Gold
from switchover.text import counted

PATH = "/v1/chat/completions"
TIMEOUT_S = 120.0  # of one reply: a model on a machine without a graphics card writes slowly

SILENT = 2  # questions without an answer, one after the other: not the question, but the server is at fault


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """``lacking``: questions with too few paraphrases. ``earlier`` of them were drafted before, ``drafted`` now.

    ``refused``: question id -> why its reply was not taken.
    """

    lacking: int
    earlier: int
    drafted: int
    refused: Mapping[str, str]


def draft(
    gold: Gold, edge: Edge, *, connection: str, model: str, out: Path, on_progress: Callable[[int, int], None]
) -> Drafted:
    """Draft what is not drafted yet, a question after the other; what was drafted stays whatever comes after it.

    ``GoldError`` for a gold set that cannot be read, ``BadInput`` for a file that is no earlier draft. ``BadInput``
    when the server refuses us, ``Unreachable`` when it does not answer; once something is drafted, another error.
    """
    given = Path(gold.paraphrases) if gold.paraphrases else None
    if given is not None and given == out.resolve():
        given = None  # the plan names the draft already
    found = check_gold(Path(gold.path), format=gold.format, paraphrases=given)
    found.require()
    items = [item for _, item in found.items]
    lacking = {item.id: item.question for item in items if len(item.paraphrases) < MOST_PARAPHRASES}
    if not lacking:
        return Drafted(lacking=0, earlier=0, drafted=0, refused={})
    edge.client("http", connection)  # what is wrong with it is no question's fault
    server = PatientServer(edge, connection, what=f"model {model!r}", timeout_s=TIMEOUT_S)
    refused, silent = dict[str, str](), 0
    with draft_file(out, {item.id for item in items}) as file:
        todo = {id: question for id, question in lacking.items() if id not in file.done}
        for number, (id, question) in enumerate(todo.items()):
            on_progress(number, len(todo))
            try:
                file.add(id, drafts_of(server.ask("POST", PATH, request_of(model, question)), question))
                silent = 0
            except (BadInput, Unreachable) as error:
                refused[id] = str(error)
                silent = silent + 1 if isinstance(error, Unreachable) else 0
                if isinstance(error, Denied) or silent == min(SILENT, len(todo)):
                    raise _ended(error, number + 1 - len(refused), out) from None
        if todo:
            on_progress(len(todo), len(todo))
    return Drafted(
        lacking=len(lacking),
        earlier=len(lacking) - len(todo),
        drafted=len(todo) - len(refused),
        refused=refused,
    )


def _ended(error: SwitchoverError, drafted: int, out: Path) -> SwitchoverError:
    """What ends it half way is no bad input any more: something was written."""
    if not drafted:
        return error
    return SwitchoverError(f"{error}; {counted(drafted, 'question')} drafted in {out}; the same command goes on")
