"""What `make servers` does when a part cannot be had, and when it is there already."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import NotHere
from sandbox.servers import etcd, fetch, jvm, pgbouncer, prometheus, redis

Programs = Callable[..., None]
JAVA = "echo 'openjdk version \"17.0.1\" 2021-10-19' >&2"
MAVEN = "mkdir lib target; touch lib/kafka_2.13-4.2.2.jar; chmod -R go-rwx lib"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `.servers`."""
    folder = tmp_path / "servers"
    monkeypatch.setattr(fetch, "FETCHED", folder)
    monkeypatch.setattr(jvm, "FETCHED", folder)
    monkeypatch.setattr(etcd, "UNPACKED", folder / "etcd" / "usr" / "bin" / "etcd")
    monkeypatch.setattr(pgbouncer, "UNPACKED", folder / "pgbouncer")
    monkeypatch.setattr(prometheus, "UNPACKED", folder / "prometheus" / "usr" / "bin")
    monkeypatch.setattr(redis, "UNPACKED", folder / "redis")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.fixture
def programs(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A machine that has the shell's own programs and those given by name."""

    def have(**scripts: str) -> None:
        path = tmp_path / "bin"
        path.mkdir(exist_ok=True)
        for name in ("sh", "mkdir", "touch", "chmod"):
            link = path / name
            link.exists() or link.symlink_to(f"/bin/{name}")
        for name, script in scripts.items():
            (path / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n")
            (path / name.replace("_", "-")).chmod(0o755)
        monkeypatch.setenv("PATH", str(path))

    return have


def test_each_part_that_cannot_be_had_is_one_line_and_fails_in_ci_alone(
    programs: Programs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs()
    assert fetch.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "chromium: not fetched: no apt-get here; install the package chromium",
        "elasticsearch: not fetched: no java on the PATH; install Java 17 or newer",
        "etcd: not fetched: no apt-get here; install etcd and put it on the PATH",
        "kafka: not fetched: no java on the PATH; install Java 17 or newer",
        "opensearch: not fetched: no java on the PATH; install Java 17 to 23",
        "pgbouncer: not fetched: no apt-get here; install pgbouncer and put it on the PATH",
        "prometheus: not fetched: no apt-get here; install prometheus and put it on the PATH",
        "redis: not fetched: no apt-get here; install redis and put it on the PATH",
        "Tests that need what was not fetched are skipped, and fail in CI.",
    ]
    monkeypatch.setenv("CI", "true")
    assert fetch.main() == 1


def test_a_failed_fetch_gives_the_reason_and_leaves_no_half(programs: Programs, folder: Path) -> None:
    programs(java=JAVA, mvn="echo working; echo '[ERROR] no route to host'; touch half; exit 1")
    with pytest.raises(NotHere) as failed:
        fetch.fetch_java("kafka")
    assert str(failed.value).startswith("mvn --batch-mode failed: [ERROR] no route to host; is Maven Central")
    assert list(folder.iterdir()) == []
    with pytest.raises(NotHere, match="kafka: its Java archives are not fetched; run `make servers`"):
        jvm.fetched("kafka")


def test_what_is_fetched_is_not_fetched_again_until_its_project_changes(
    programs: Programs, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(java=JAVA, mvn=MAVEN)
    assert fetch.fetch_java("kafka")
    archive = folder / "kafka" / "lib" / "kafka_2.13-4.2.2.jar"
    assert archive.stat().st_mode & 0o044 and archive.parent.stat().st_mode & 0o055
    assert not (folder / "kafka" / "target").exists()
    programs(mvn="echo must not run; exit 1")
    assert not fetch.fetch_java("kafka")

    changed = tmp_path / "projects"
    changed.mkdir()
    (changed / "kafka.xml").write_text("another version")
    monkeypatch.setattr(jvm, "POMS", changed)
    with pytest.raises(NotHere, match="run `make servers`"):
        jvm.fetched("kafka")
    programs(mvn=MAVEN)
    assert fetch.fetch_java("kafka")
    assert jvm.fetched("kafka") == folder / "kafka"


def test_etcd_is_unpacked_and_not_installed(programs: Programs, folder: Path) -> None:
    unpack = 'mkdir -p "$3/usr/bin"; touch "$3/usr/bin/etcd"; chmod 755 "$3/usr/bin/etcd"'
    programs(apt_get="touch etcd-server_3.4_amd64.deb", dpkg_deb=unpack)
    assert fetch.PARTS["etcd"]()
    assert etcd.binary() == str(folder / "etcd" / "usr" / "bin" / "etcd")
    assert not fetch.PARTS["etcd"]()


def test_redis_is_unpacked_too_and_a_valkey_on_the_path_is_taken_first(programs: Programs, folder: Path) -> None:
    unpack = 'mkdir -p "$3/usr/bin"; touch "$3/usr/bin/redis-server"; chmod 755 "$3/usr/bin/redis-server"'
    programs(apt_get="touch redis-server_7_amd64.deb", dpkg_deb=unpack)
    assert fetch.PARTS["redis"]()
    assert redis.binary() == str(folder / "redis" / "usr" / "bin" / "redis-server")
    programs(valkey_server="exit 0", redis_server="exit 0")
    assert redis.binary().endswith("/bin/valkey-server")


def test_without_a_package_list_root_updates_it_and_others_are_told(
    programs: Programs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(apt_get='case $1 in update) touch "$0.updated";; *) exit 100;; esac', dpkg_deb="exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotHere, match="run `apt-get update` as root, or install etcd"):
        fetch.PARTS["etcd"]()
    updated = folder.parent / "bin" / "apt-get.updated"
    assert not updated.exists()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(NotHere, match="apt-get download failed"):
        fetch.PARTS["etcd"]()
    assert updated.exists()


@pytest.mark.parametrize(("version", "fits"), [("11.0.2", False), ("17.0.15", True), ("23", True), ("25.0.1", False)])
def test_java_must_be_one_that_the_server_runs_on(version: str, fits: bool, programs: Programs) -> None:
    programs(java=f"echo 'openjdk version \"{version}\"' >&2")
    if fits:
        assert jvm.java("opensearch").endswith("/java")
    else:
        with pytest.raises(NotHere, match=f"is Java {version[:2]}; install Java 17 to 23, and set JAVA_HOME to it"):
            jvm.java("opensearch")
