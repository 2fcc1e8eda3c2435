"""Telling people what a run does: the plan's channels, the texts, the sending."""

from switchover.notify.parts import Channel, Event

__all__ = ["Channel", "Event"]
