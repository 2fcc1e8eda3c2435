"""A team's own template: rendered in Jinja2's sandbox, by a process of its own that has nothing and ends soon.

A plan is data, and so is its template: it sees the names of the message and of ``NAMES``, no environment variable, no
connection, no attribute of Python. The process may take ``SECONDS`` and
``MEMORY`` bytes, and may write ``OUTPUT`` bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from switchover.errors import BadInput

SECONDS = 2  # of a processor
PATIENCE_S = 15.0
MEMORY = 512 * 1024 * 1024
SOURCE = 64 * 1024
OUTPUT = 64 * 1024
#: What a template may use beside the message's own names.
NAMES = ("range", "dict", "namespace")
#: What a template's own mistake raises.
MISTAKES: tuple[type[Exception], ...] = (
    jinja2.TemplateError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    OSError,
)
SLACK_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
SLACK_MARK = re.compile(r"(?<!\w)([*_~`])|([*_~`])(?!\w)")


def environment_for(kind: str) -> jinja2.Environment:
    """How templates for this kind of channel are rendered: a team's, and Switchover's own; escaped for the channel."""
    made = ImmutableSandboxedEnvironment(
        autoescape=kind == "smtp",  # the others are not HTML
        finalize=slack_escape if kind == "slack" else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals = {name: made.globals[name] for name in NAMES}
    return made


def slack_escape(value: object) -> str:
    """Text that Slack shows as it is: no mention, no link, no formatting can come of it.

    Slack's three entities are escaped as it asks for. It has no escape for ``*_~```: where one would format,
    at the edge of a word, an invisible space keeps it from it. Names like ``docs_v1`` stay as they are.
    """
    text = re.sub(r"[&<>]", lambda found: SLACK_ENTITIES[found[0]], str(value))
    return SLACK_MARK.sub(lambda found: f"\u200b{found[0]}\u200b", text)


def in_words(error: Exception) -> str:
    """A template's mistake in one line; of a file that is no template only the line's number is told."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"line {error.lineno} is no template"
    return f"{type(error).__name__}: {error}"[:500]


def render_apart(path: Path, values: Mapping[str, Any], kind: str) -> str:
    """The template's text for a channel of this kind. ``BadInput`` in one line when it cannot be used."""
    named = f"template {path.name}"
    try:
        with path.open("rb") as file:
            source = file.read(SOURCE + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{named}: cannot be read: {type(error).__name__}") from None
    if len(source) > SOURCE:
        raise BadInput(f"{named}: is longer than {SOURCE // 1024} KiB")
    given = json.dumps({"source": source, "values": values, "kind": kind}, default=str)
    try:
        ran = subprocess.run(  # noqa: S603  (this very file, by the interpreter that runs)
            [sys.executable, "-m", __name__],
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
            timeout=PATIENCE_S,
            check=False,
        )
        found = json.loads(ran.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise BadInput(f"{named}: takes too much time or memory ({SECONDS} s, {MEMORY >> 20} MiB)") from None
    if "text" not in found:
        raise BadInput(f"{named}: {found['error']}")
    return str(found["text"])


def main() -> None:
    """The process: one JSON object in, one out."""
    given = json.load(sys.stdin)
    _limit()
    made: dict[str, str] = {}
    try:
        size, parts = 0, list[str]()
        for part in environment_for(given["kind"]).from_string(given["source"]).generate(given["values"]):
            size += len(part)
            if size > OUTPUT:
                raise ValueError(f"writes more than {OUTPUT // 1024} KiB")
            parts.append(part)
        made["text"] = "".join(parts)
    except MemoryError:
        made["error"] = f"takes more than {MEMORY >> 20} MiB"
    except MISTAKES as error:
        made["error"] = in_words(error)
    json.dump(made, sys.stdout)


def _limit() -> None:
    """Bounds that the system keeps; where it has none, the sender's own patience is left."""
    import resource

    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
