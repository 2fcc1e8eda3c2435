"""Looks at a pointer in the triggerer. Moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.sdk import timezone
from airflow.triggers.base import BaseTrigger, TriggerEvent

from switchover.errors import SwitchoverError, Unreachable
from switchover.steps.move import pointer_spec
from switchover_airflow.connections import airflow_edge_async


class PointerAtTrigger(BaseTrigger):
    """Fires once: when the store serves the arm everywhere, when its time is over, or on an error to be mended.

    :param pointer: the keys of a plan's ``pointer`` part
    :param arm: the arm that is waited for
    :param until: absolute time (ISO 8601) at which the wait ends, so that a restart does not begin it again
    :param pause_s: seconds between two looks
    """

    def __init__(self, *, pointer: dict[str, Any], arm: str, until: str, pause_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pointer = pointer
        self.arm = arm
        self.until = until
        self.pause_s = pause_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See ``BaseTrigger``."""
        return (
            "switchover_airflow.triggers.pointer.PointerAtTrigger",
            {"pointer": self.pointer, "arm": self.arm, "until": self.until, "pause_s": self.pause_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event ``{"there": ..., "line": ...}``. A store that does not answer is asked again."""
        deadline = datetime.fromisoformat(self.until)
        last = "never looked"
        try:
            spec = pointer_spec(self.pointer)
            edge = await airflow_edge_async([spec.connection])
        except SwitchoverError as error:
            yield _event(False, str(error))
            return
        try:
            pointer = await asyncio.to_thread(spec.build, edge)
            while timezone.utcnow() < deadline:
                try:
                    if await asyncio.to_thread(pointer.verify, self.arm):
                        yield _event(True, f"{pointer.key}: serves {self.arm!r}")
                        return
                    last = f"reads {(await asyncio.to_thread(pointer.read)).target!r}"
                except Unreachable as error:
                    last = str(error)
                await asyncio.sleep(self.pause_s)
            yield _event(False, f"{pointer.key}: not at {self.arm!r} in time; last look: {last}")
        except SwitchoverError as error:
            yield _event(False, str(error))
        finally:
            await asyncio.to_thread(edge.close)


def _event(there: bool, line: str) -> TriggerEvent:
    return TriggerEvent({"there": there, "line": line})  # type: ignore[no-untyped-call]
