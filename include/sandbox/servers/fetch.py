"""``make servers``: fetches the servers that are not Python packages into ``.servers``, once.

Each part that cannot be had prints one line and the rest goes on. The exit code is 0 all the same, except in
CI (environment variable ``CI``), where a missing server is a failure.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import NotHere
from sandbox.servers import etcd, jvm, pgbouncer, prometheus, redis
from sandbox.servers.base import FETCHED

_TIMEOUT_S = 900


def fetch_debian(name: str, binary: Callable[[], str], packages: Sequence[str]) -> bool:
    """Unpack Debian's packages, without installing them: that would start a server. False: it is here already."""
    try:
        binary()
    except NotHere:
        pass
    else:
        return False
    hint = f"install {name} and put it on the PATH"
    _require("apt-get", "dpkg-deb", hint=hint)
    with _fresh(name) as folder:
        download = ["apt-get", "download", "--quiet", *packages]
        try:
            _run(download, cwd=folder, hint=hint)
        except NotHere:
            if os.geteuid() != 0:
                raise NotHere(f"no package list has {packages[0]}; run `apt-get update` as root, or {hint}") from None
            _run(["apt-get", "update", "--quiet"], cwd=folder, hint=hint)
            _run(download, cwd=folder, hint=hint)
        for package in folder.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(folder)], cwd=folder, hint=hint)
            package.unlink()
    return True


def fetch_chromium() -> bool:
    """Install Debian's package: a browser, it starts nothing. False: it is here already."""
    hint = "install the package chromium"
    if shutil.which("chromium"):
        return False
    _require("apt-get", hint=hint)
    if os.geteuid() != 0:
        raise NotHere(f"only root can install it; {hint}")
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]
    try:
        _run(install, cwd=Path.cwd(), hint=hint)
    except NotHere:
        _run(["apt-get", "update", "--quiet"], cwd=Path.cwd(), hint=hint)
        _run(install, cwd=Path.cwd(), hint=hint)
    return True


def fetch_java(name: str) -> bool:
    """Resolve one Maven project, checksums checked. False: it is here already."""
    if jvm.is_fetched(name):
        return False
    jvm.java(name)
    _require("mvn", hint="install Maven (the package maven)")
    with _fresh(name) as folder:
        shutil.copy(jvm.POMS / f"{name}.xml", folder / "pom.xml")
        _run(
            ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "package"],
            cwd=folder,
            hint="is Maven Central, or the mirror in your Maven settings, in reach?",
        )
        shutil.rmtree(folder / "target", ignore_errors=True)
    return True


PARTS: dict[str, Callable[[], bool]] = {
    "chromium": fetch_chromium,
    "elasticsearch": functools.partial(fetch_java, "elasticsearch"),
    "etcd": functools.partial(fetch_debian, "etcd", etcd.binary, ["etcd-server"]),
    "kafka": functools.partial(fetch_java, "kafka"),
    "opensearch": functools.partial(fetch_java, "opensearch"),
    "pgbouncer": functools.partial(fetch_debian, "pgbouncer", pgbouncer.binary, pgbouncer.PACKAGES),
    "prometheus": functools.partial(fetch_debian, "prometheus", prometheus.binary, ["prometheus"]),
    "redis": functools.partial(fetch_debian, "redis", redis.binary, redis.PACKAGES),
}


def main() -> int:
    """Fetch what is missing, a line a part; the exit code."""
    failed = False
    for name, fetch in PARTS.items():
        begin = time.monotonic()
        try:
            fetched = fetch()
        except NotHere as reason:
            failed = True
            print(f"{name}: not fetched: {str(reason).removeprefix(f'{name}: ')}", flush=True)
        else:
            print(f"{name}: " + (f"fetched in {time.monotonic() - begin:.0f} s" if fetched else "here"), flush=True)
    if failed:
        print("Tests that need what was not fetched are skipped, and fail in CI.")
    return int(failed and bool(os.environ.get("CI")))


@contextmanager
def _fresh(name: str) -> Iterator[Path]:
    """A directory that takes its place in ``.servers`` when the block ends well; half of one never does."""
    FETCHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=FETCHED) as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        yield folder
        for path in (folder, *folder.rglob("*")):  # a strict umask must not close it to the server's account
            mode = path.lstat().st_mode
            if not path.is_symlink():
                path.chmod(mode | 0o044 | (mode >> 6 & 0o1) * 0o011)
        shutil.rmtree(FETCHED / name, ignore_errors=True)
        folder.rename(FETCHED / name)


def _require(*programs: str, hint: str) -> None:
    for each in programs:
        if shutil.which(each) is None:
            raise NotHere(f"no {each} here; {hint}")


def _run(argv: Sequence[str], *, cwd: Path, hint: str) -> None:
    """Run one command; its last line of output is the reason when it fails."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotHere(f"{argv[0]} did not end in {_TIMEOUT_S} s; {hint}") from None
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        told = next((line for line in lines if line.startswith(("[ERROR]", "E:"))), (lines or ["no output"])[-1])
        raise NotHere(f"{' '.join(argv[:2])} failed: {told[:300]}; {hint}")


if __name__ == "__main__":
    sys.exit(main())
