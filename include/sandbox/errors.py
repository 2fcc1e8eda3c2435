"""Every error that the local stack raises on purpose.

SandboxError
├── PortTaken       another process listens where one of ours should
├── ServiceFailed   a process ended, or was not ready in time, while it was started
├── NotHere         a server cannot be started on this machine
└── KeeperGone      the process that owns the stack ended (another start took the state directory over)
"""

from __future__ import annotations


class SandboxError(Exception):
    """Base of the local stack's errors; the message's first line says what to do next."""


class PortTaken(SandboxError):
    """Another process listens on a port that is needed."""


class ServiceFailed(SandboxError):
    """A process of the stack ended or was not ready in time."""


class NotHere(SandboxError):
    """A server cannot be started on this machine: says what is missing and the command that gets it."""


class KeeperGone(SandboxError):
    """The keeper ended before its driver did."""
