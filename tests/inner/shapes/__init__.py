"""Recorded answers of public services, and what a plan says to read them; see README.md beside this."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Asking


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One file of this folder."""

    name: str
    arm: str
    asking: dict[str, Any]
    body: bytes
    reply: dict[str, Any]

    def shape(self, asking: dict[str, Any] | None = None) -> Shape:
        """The shape that the plan's words make; ``asking`` instead of the file's own."""
        return Shape.of(self.arm, Arm(connection="c"), Asking.model_validate(self.asking if asking is None else asking))


def recorded() -> list[Recorded]:
    """Every file, by name."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        body = data["raw"].encode() if "raw" in data else json.dumps(data["answer"]).encode()
        asking = data["plan"]["asking"]
        found.append(Recorded(name=path.stem, arm=data["arm"], asking=asking, body=body, reply=data["reply"]))
    return found
