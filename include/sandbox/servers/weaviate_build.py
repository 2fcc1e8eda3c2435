"""Builds a real Weaviate server into ``.servers/weaviate``, once: ``python -m sandbox.servers.weaviate_build``.

The source comes from the Go module proxy, checked against the checksum below. It takes minutes (six of processor
time, and 4 GB of Go's caches while it runs), so it is no part of ``make servers``. Set ``GOMODCACHE`` and
``GOCACHE`` to keep the caches; otherwise they are deleted in the end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.errors import NotHere
from sandbox.servers import weaviate
from sandbox.servers.base import FETCHED

MODULE = f"github.com/weaviate/weaviate@v{weaviate.VERSION}"
CHECKSUM = "h1:D/cB4Lz8BIhE8s6cMUa4dRhlz356r1LRqDLgr5pKhPA="
# These listen on every address of the machine, and no setting says otherwise: the only change to the source.
LISTENERS = (
    "adapters/handlers/grpc/server.go",
    "adapters/handlers/rest/clusterapi/grpc/server.go",
    "adapters/handlers/rest/clusterapi/serve.go",
)
EVERYWHERE = re.compile(r'((?:net\.Listen\("tcp", |Addr: +)fmt\.Sprintf\(")(:%d")')
_TIMEOUT_S = 3600


def main() -> int:
    """Build what is missing; the exit code."""
    if weaviate.is_built():
        print("weaviate: here")
        return 0
    begin = time.monotonic()
    try:
        build()
    except NotHere as reason:
        print(f"weaviate: not built: {reason}")
        return 1
    print(f"weaviate: built in {time.monotonic() - begin:.0f} s")
    return 0


def build() -> None:
    """Build the server; half of it never takes its place.

    Raises
        NotHere  there is no Go, it failed, or the source is not the one that was expected
    """
    if shutil.which("go") is None:
        raise NotHere("no go here; install Go 1.25 or newer")
    FETCHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weaviate.", dir=FETCHED) as scratch:
        folder = Path(scratch)
        caches = {name: os.environ.get(name, str(folder / name)) for name in ("GOMODCACHE", "GOCACHE")}
        env = {**os.environ, **caches, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -modcacherw"}
        found = json.loads(_go(["mod", "download", "-json", MODULE], cwd=folder, env=env))
        if found["Sum"] != CHECKSUM:
            raise NotHere(f"{MODULE}: has checksum {found['Sum']}, expected {CHECKSUM}")
        source = folder / "source"
        shutil.copytree(found["Dir"], source)
        for path in (source, *source.rglob("*")):  # Go's cache is read-only
            path.chmod(0o755 if path.is_dir() else 0o644)
        _listen_here_only(source)
        made = folder / "made" / weaviate.BUILT.name
        _go(["build", "-trimpath", "-ldflags", "-s -w", "-o", str(made), "./cmd/weaviate-server"], cwd=source, env=env)
        for path in (made.parent, made):  # a strict umask must not close it to others
            path.chmod(0o755)
        shutil.rmtree(weaviate.BUILT.parent, ignore_errors=True)
        made.parent.rename(weaviate.BUILT.parent)


def _listen_here_only(source: Path) -> None:
    for name in LISTENERS:
        path = source / name
        text, changed = EVERYWHERE.subn(r"\g<1>127.0.0.1\g<2>", path.read_text())
        if changed != 1:
            raise NotHere(f"{MODULE}: {name} has {changed} listeners, expected 1")
        path.write_text(text)


def _go(words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    """Run the Go tool; its last line is the reason when it fails."""
    try:
        done = subprocess.run(
            ["go", *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotHere(f"go {words[0]} did not end in {_TIMEOUT_S} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        raise NotHere(f"go {' '.join(words[:2])} failed: {lines[-1][:300]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
