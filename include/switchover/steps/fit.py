"""Which request a service answers, and where in its answer things stand: looked for by asking it one question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from switchover.arms.guess import guess
from switchover.arms.presets import PRESETS
from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Asking
from switchover.edge.body import BadAnswer, read_json
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.lazy import lazy
from switchover.text import first_line

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

K = 5
TIMEOUT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one question showed. ``asking``: the plan's part, ``None`` when no answer could be read.

    ``hits``: how many came. ``lines``: what was tried and what came, for people.
    """

    asking: dict[str, Any] | None
    hits: int = 0
    lines: list[str] = field(default_factory=list)


def fit(
    edge: Edge,
    *,
    connection: str,
    arm: str,
    headers: Mapping[str, str],
    question: str,
    request: Mapping[str, Any] | None = None,
) -> Fit:
    """Ask ``arm`` one question, by ``request`` if one is given, else by each preset's; the first that fits wins.

    ``request``: the plan's ``asking.request``. It is a read where the service only reads to answer. ``BadInput`` for a
    request that cannot be sent; never raises for what the service does.
    """
    client, lines = edge.client("http", connection), list[str]()
    for name, asking in _candidates(request):
        try:
            shape = Shape.of(arm, Arm(connection=connection, headers=dict(headers)), Asking.model_validate(asking))
        except ValueError as error:
            raise BadInput(f"{name} cannot be asked: {first_line(error)}") from None
        call = shape.call(question, seed=0, k=K)
        try:
            response = client.request(
                call.method,
                call.url,
                headers=dict(call.headers),
                params=dict(call.params) or None,
                json=call.json,
                timeout=TIMEOUT_S,
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            lines.append(f"{name}: {call.method} {call.url}: {type(error).__name__}: {first_line(error)}")
            continue
        if not response.is_success:
            lines.append(f"{name}: {call.method} {call.url}: HTTP {response.status_code}")
            continue
        try:
            found = _read(shape, asking, read_json(response), named=request is None)
        except ValueError as error:  # no readable answer, or names in it that no plan can hold
            lines.append(f"{name}: {call.method} {call.url}: {first_line(error)}")
            continue
        lines.append(f"{name}: {call.method} {call.url}: {found.hits} hits")
        if found.hits:
            return Fit(asking=found.asking, hits=found.hits, lines=lines)
    return Fit(asking=None, lines=lines)


def _candidates(request: Mapping[str, Any] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    if request is not None:
        yield "your request", {"request": dict(request), "answer": {"hits": "@", "hit": {"id": "id"}}}
        return
    for name in PRESETS:
        yield f"preset {name}", {"preset": name}


def _read(shape: Shape, asking: dict[str, Any], answer: Any, *, named: bool) -> Fit:
    """The preset as it is where its own paths find hits with texts or ids, else a guess."""
    if named:
        reply = shape.reply(answer, status=200, elapsed_ms=0)
        return Fit(asking=asking, hits=len(reply.hits))
    guessed = guess(answer)
    if guessed is None:
        raise BadAnswer("no list of hits was found in the answer")
    whole = {"request": asking["request"], "answer": guessed, "report": False}
    bare = Arm(connection="x", headers={})
    reply = Shape.of(shape.arm, bare, Asking.model_validate(whole)).reply(answer, status=200, elapsed_ms=0)
    return Fit(asking=whole, hits=len(reply.hits))
