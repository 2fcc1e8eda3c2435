"""The ``switchover`` command. Its parts are imported when the command runs."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. See ``switchover.cli.entry``."""
    from switchover.cli import entry

    return entry.main(argv)
