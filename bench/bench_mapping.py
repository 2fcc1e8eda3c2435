"""How long the mapping of an answer takes: one JSON line a recorded shape, on standard output.

``shape``; ``ms_per_answer``: from the answer's JSON to the typed reply, without its parsing (processor time, the best
of several runs); ``ratio_json_loads``: the same ÷ ``json.loads`` of the very answer; ``hits`` and ``bytes`` of the
answer. Answers are those of ``tests/inner/shapes`` with their hits repeated to five.
"""

from __future__ import annotations

import copy
import json
import sys
import time
import timeit
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.inner.shapes import Recorded, recorded  # noqa: E402

from switchover.edge.body import BadAnswer  # noqa: E402

HITS = 5
TIMES, REPEATS = 200, 15


def measure(shape: Recorded) -> dict[str, Any]:
    """The figures of one shape."""
    mapped = shape.shape()
    answer = five_hits(mapped.parse(shape.body), shape)
    reply = mapped.reply(answer, status=200, elapsed_ms=1.0)
    text = json.dumps(answer)

    def best(work: Any) -> float:
        return min(timeit.repeat(work, number=TIMES, repeat=REPEATS, timer=time.process_time)) / TIMES * 1000

    ms, bare = best(lambda: mapped.reply(answer, status=200, elapsed_ms=1.0)), best(lambda: json.loads(text))
    return {
        "shape": shape.name,
        "ms_per_answer": round(ms, 4),
        "ratio_json_loads": round(ms / bare, 2),
        "hits": len(reply.hits),
        "bytes": len(text),
    }


def five_hits(answer: Any, shape: Recorded) -> Any:
    """The answer with the list that its hits come from repeated, wherever in it that stands."""
    mapped, places = shape.shape(), list(_lists(answer, ()))
    for place in sorted(places, key=len, reverse=True):
        changed = copy.deepcopy(answer)
        inner = changed
        for step in place:
            inner = inner[step]
        kept = [each for each in inner if isinstance(each, dict | str)]
        inner[:] = (kept * HITS)[:HITS] if kept else inner
        try:
            found = mapped.reply(changed, status=200, elapsed_ms=1.0)
        except BadAnswer:
            continue
        if len(found.hits) == HITS:
            return changed
    return answer


def _lists(value: Any, place: tuple[Any, ...]) -> Any:
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, list):
            yield (*place, step)
        if isinstance(inner, dict | list):
            yield from _lists(inner, (*place, step))


def main() -> None:
    """Print one line a shape."""
    for shape in recorded():
        print(json.dumps(measure(shape)), flush=True)


if __name__ == "__main__":
    main()
