"""Servers that refuse to run as root run as an account without rights when root starts them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

UNPRIVILEGED = "nobody"  # exists everywhere, so none has to be created


def unprivileged() -> str | None:
    """The account to run such a server as; None when the caller is not root and runs it itself."""
    return UNPRIVILEGED if os.geteuid() == 0 else None


def give(path: Path, account: str) -> None:
    """As root: make an account the owner of one file or directory."""
    user = pwd.getpwnam(account)
    os.chown(path, user.pw_uid, user.pw_gid)


def let_pass(path: Path) -> None:
    """As root: let other accounts pass through (not list) the directories above a path and the path itself."""
    for directory in (path, *path.parents):
        mode = directory.stat().st_mode
        if not mode & 0o001:
            directory.chmod(mode | 0o001)
