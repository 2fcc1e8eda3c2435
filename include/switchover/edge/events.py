"""Answers that come as a stream, read when they are whole: server-sent events, or JSON lines."""

from __future__ import annotations

from typing import Any, Literal

from switchover.edge.body import BadAnswer, parse_json

MOST_EVENTS = 20_000
END = "[DONE]"  # what several vendors send last; it is no event


def parse_events(body: bytes, kind: Literal["sse", "ndjson"]) -> list[Any]:
    """The JSON of each event, in order. ``BadAnswer`` for one that is no JSON, and for a stream without any.

    An object of a server-sent event that has a name gets it as its ``event``, unless it has such a key itself.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadAnswer("answer is no UTF-8") from None
    events = _sse(text) if kind == "sse" else [("", line) for line in text.split("\n") if line.strip()]
    events = [(name, data) for name, data in events if data.strip() != END]
    if not events:
        raise BadAnswer(f"answer holds no event; `answer.stream` says that it is {kind}")
    if len(events) > MOST_EVENTS:
        raise BadAnswer(f"answer has {len(events):,} events; allowed: up to {MOST_EVENTS:,}")
    found = []
    for number, (name, data) in enumerate(events, start=1):
        try:
            value = parse_json(data.encode("utf-8", "surrogatepass"))
        except BadAnswer as error:
            raise BadAnswer(f"event {number}: {error}") from None
        found.append({"event": name, **value} if name and isinstance(value, dict) else value)
    return found


def _sse(text: str) -> list[tuple[str, str]]:
    """Name and data of each event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    found: list[tuple[str, str]] = []
    name, data = "", list[str]()
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            found.append((name, "\n".join(data)))
        if not line:
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return found
