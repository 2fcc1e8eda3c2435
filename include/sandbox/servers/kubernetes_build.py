"""``make kube-apiserver``: builds a real Kubernetes API server into ``.servers/kubernetes``, once.

Everything comes from the Go module proxy, pinned and checked by ``go/go.mod`` and ``go/go.sum``. It takes minutes
(and some 3 GB of Go's own caches), so it is no part of ``make servers``; without it the emulator takes its place.
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
from collections.abc import Sequence
from pathlib import Path

from sandbox.errors import NotHere
from sandbox.servers import kubernetes
from sandbox.servers.base import FETCHED

MODULE = Path(__file__).parent / "go"
PROGRAMS = {
    kubernetes.APISERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
    kubernetes.CONTROLLERS: "k8s.io/kubernetes/cmd/kube-controller-manager",
    kubernetes.ETCD: "go.etcd.io/etcd/server/v3",
}
# The experimental channel has the standard one's fields, and sessionPersistence, which a pointer must refuse.
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.5.1"
HTTP_ROUTES = "config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml"
_TIMEOUT_S = 3600


def main() -> int:
    """Build what is missing; the exit code."""
    if kubernetes.is_built():
        print("kube-apiserver: here")
        return 0
    begin = time.monotonic()
    try:
        build()
    except NotHere as reason:
        print(f"kube-apiserver: not built: {reason}")
        return 1
    print(f"kube-apiserver: built in {time.monotonic() - begin:.0f} s")
    return 0


def build() -> None:
    """Build the programs and fetch the HTTPRoute's definition; half of it never takes its place.

    Raises
        NotHere  there is no Go, or it failed; the message ends with what it said
    """
    if shutil.which("go") is None:
        raise NotHere("no go here; install Go 1.26 or newer")
    version = re.search(r"k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text())
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={version[1] if version else ''}"
    FETCHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kubernetes.", dir=FETCHED) as scratch:
        folder = Path(scratch) / kubernetes.BUILT.name
        folder.mkdir()
        for program, package in PROGRAMS.items():
            _go("build", "-trimpath", "-ldflags", stamp, "-o", str(folder / program.name), package)
        fetched = json.loads(_go("mod", "download", "-json", GATEWAY_API))
        shutil.copyfile(Path(fetched["Dir"]) / HTTP_ROUTES, folder / kubernetes.HTTP_ROUTES.name)
        shutil.rmtree(kubernetes.BUILT, ignore_errors=True)
        folder.rename(kubernetes.BUILT)


def _go(*words: str) -> str:
    """Run one command of Go; what it prints."""
    argv: Sequence[str] = ("go", *words)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    try:
        done = subprocess.run(
            argv,
            cwd=MODULE,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotHere(f"go {words[0]} did not end in {_TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise NotHere(f"go {words[0]} failed: {last[:300]}; is the Go module proxy in reach?")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
