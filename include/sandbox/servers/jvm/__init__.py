"""What the servers that run in a Java virtual machine share: a Java, and what Maven fetched for them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from sandbox.errors import NotHere
from sandbox.servers.base import FETCHED, output_of

OLDEST = 17  # Kafka 4's
NEWEST = {"opensearch": 23}  # OpenSearch 2 needs the security manager, which Java 24 has no more
POMS = Path(__file__).parent
# Small and quick to start: these servers hold a handful of documents.
_QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.net.preferIPv4Stack=true")


def java(server: str) -> str:
    """Path of a Java that the server runs on, of JAVA_HOME or else of the PATH.

    Raises
        NotHere  there is none, or it is too old or too new
    """
    newest = NEWEST.get(server)
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    wanted = f"install Java {OLDEST} {f'to {newest}' if newest else 'or newer'}"
    if found is None:
        raise NotHere(f"{server}: no java {f'in JAVA_HOME={home}' if home else 'on the PATH'}; {wanted}")
    version = re.search(r'version "(\d+)', output_of(found, "-version"))
    if version is None:
        raise NotHere(f"{server}: {found} -version: tells no version; {wanted}")
    if int(version[1]) < OLDEST or (newest is not None and int(version[1]) > newest):
        raise NotHere(f"{server}: {found} is Java {version[1]}; {wanted}, and set JAVA_HOME to it")
    return found


def options(*, heap_mb: int) -> list[str]:
    """Options of a small server's virtual machine."""
    return [f"-Xms{heap_mb // 4}m", f"-Xmx{heap_mb}m", *_QUICK]


def is_fetched(name: str) -> bool:
    """True when what ``<name>.xml`` says now is what was fetched."""
    kept = FETCHED / name / "pom.xml"
    return kept.exists() and kept.read_bytes() == (POMS / f"{name}.xml").read_bytes()


def fetched(name: str) -> Path:
    """The folder that ``make servers`` filled by ``<name>.xml``.

    Raises
        NotHere  it is not there, or it is of another version
    """
    if not is_fetched(name):
        raise NotHere(f"{name}: its Java archives are not fetched; run `make servers`")
    return FETCHED / name
