"""Prometheus, from the system's package or as ``make servers`` unpacked it."""

from __future__ import annotations

import os
import shutil

from sandbox.errors import NotHere
from sandbox.servers.base import FETCHED

UNPACKED = FETCHED / "prometheus" / "usr" / "bin"


def binary(name: str = "promtool") -> str:
    """Path of ``promtool`` or ``prometheus``: on the PATH, or where ``make servers`` has put it.

    Raises
        NotHere  neither has it
    """
    found = shutil.which(name) or (str(UNPACKED / name) if os.access(UNPACKED / name, os.X_OK) else None)
    if found is None:
        raise NotHere(f"{name}: not on the PATH and not fetched; run `make servers`, or install the package prometheus")
    return found
