"""A reader that cannot be read: seen before anything is frozen; found later, the run still has an end that works."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from switchover.arms.spec import Reader
from switchover.cli.entry import main
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import BadInput, InvariantBroken, NotConverged, SwitchoverError
from switchover.notify import Event
from switchover.protocol import State
from switchover.steps import finish
from switchover.steps.doctor import diagnose
from switchover.steps.flip import flip
from switchover.steps.switch import Switch
from tests.world import ROOT, World


class Proxy:
    """A reader of its own in front of the service, that can stop making sense, or stand still on one arm."""

    def __init__(self, service: str) -> None:
        self.says: str | bytes | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = httpx.get(f"{service}/version").content if outer.says is None else outer.says
                raw = body.encode() if isinstance(body, str) else body
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    proxy = Proxy(world.service)
    yield proxy
    proxy.server.shutdown()
    proxy.server.server_close()


@pytest.fixture
def behind(world: World, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world with a second reader, `search`, behind the proxy; short times."""
    environ = {**world.environ, "AIRFLOW_CONN_SEARCH_HTTP": proxy.url}
    for name, value in environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)
    edge = Edge(connections=environment_connections(environ))
    readers = [*world.plan.readers, Reader(name="search", connection="search_http", path="/version")]
    plan = world.plan.model_copy(update={"readers": readers, "converge_s": 0.5, "lease_s": 2.0, "handover_s": 2.0})
    yield replace(world, plan=plan, edge=edge, environ=environ)
    edge.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Event, str]]:
    seen: list[tuple[Event, str]] = []
    monkeypatch.setattr(Switch, "tell", lambda self, event, detail="", **more: seen.append((event, detail)))
    return seen


def plan_file(world: World, path: Path, readers: list[dict[str, str]]) -> Path:
    """The plan as a file, as a person would mend it."""
    values = yaml.safe_load((ROOT / "include" / "plans" / "docs.yaml").read_text())
    values["readers"] = readers
    values["gold"]["path"] = world.plan.gold.path
    if "cache" in values and world.plan.cache is not None and world.plan.cache.popular:
        values["cache"]["popular"] = world.plan.cache.popular
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    "says",
    ['{"status": "ok"}', "null", "not JSON", '{"arm": "docs_v2", "pins": {"INDEX_HASH": "x"}}'],
    ids=["healthz", "null", "text", "the other arm"],
)
def test_a_reader_that_is_not_proven_on_blue_opens_no_run(behind: World, proxy: Proxy, says: str) -> None:
    proxy.says = says
    with pytest.raises(InvariantBroken, match="search") as refused:
        behind.open()
    assert "nothing was frozen or changed" in str(refused.value)
    assert behind.ledger.runs.find("docs:1") is None
    assert (behind.live, behind.frozen) == ("docs_v1", False)
    proxy.says = None
    behind.open()


def test_a_pointer_whose_proof_fails_on_blue_opens_no_run(behind: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = behind.plan.pointer.build(behind.edge)
    monkeypatch.setattr(type(pointer), "behind", lambda self, target: "one of its places is elsewhere")
    with pytest.raises(InvariantBroken, match="one of its places is elsewhere"):
        behind.open()
    assert behind.ledger.runs.find("docs:1") is None


@pytest.mark.parametrize("part", ["ask", "version"])
@pytest.mark.parametrize("arm", ["docs_v1", "docs_v2"])
def test_an_arm_whose_paths_are_not_there_opens_no_run(behind: World, arm: str, part: str) -> None:
    arms = {**behind.plan.arms, arm: behind.plan.arms[arm].model_copy(update={part: "/nowhere"})}
    wrong = replace(behind, plan=behind.plan.model_copy(update={"arms": arms}))
    with pytest.raises(InvariantBroken, match=f"arm '{arm}'.*404"):
        wrong.open()


def stuck_on_blue(world: World, proxy: Proxy) -> Switch:
    """Green was live; the reader went blind; the rollback brought the pointer to Blue and could not prove it."""
    switch = world.warmed()
    flip(switch)
    proxy.says = '{"status": "ok"}'
    with pytest.raises(NotConverged, match="search"):
        finish.rollback(world.again(switch))
    assert (switch.read().state, world.live, world.frozen) == (State.STUCK, "docs_v1", True)
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    return switch


def commands(text: str) -> list[list[str]]:
    """Every command that a text names, in its order."""
    found = [piece.split("; ")[0] for line in text.splitlines() for piece in line.split(": ") if "switchover " in piece]
    return [shlex.split(piece[piece.index("switchover ") :])[1:] for piece in found]


def test_it_is_told_with_a_command_that_works(behind: World, proxy: Proxy, told: list[Any], capsys: Any) -> None:
    switch = stuck_on_blue(behind, proxy)
    assert [event for event, _ in told].count(Event.STUCK) == 1
    first = commands("\n".join(diagnose(edge=behind.edge, ledger=behind.ledger, row=switch.read()).next))[0]
    assert first == ["restore", switch.id, "--without", "search"]
    assert main(["doctor", "--ledger", behind.plan.ledger, switch.id]) == 1
    assert commands(capsys.readouterr().out)[0] == first, "doctor says the same"
    assert main(["restore", switch.id]) != 0, "it is not enough to try again"
    assert "--without search" in capsys.readouterr().err
    assert main(first) == 0
    assert (switch.read().state, behind.live, behind.frozen) == (State.ROLLED_BACK, "docs_v1", False)
    said = [event["text"] for event in behind.ledger.journal.events(switch.id)]
    assert any("reader 'search' left out by" in line for line in said), "audited"
    assert main(["doctor", switch.id]) == 0


def test_a_reader_that_serves_the_other_arm_is_never_left_out(behind: World, proxy: Proxy) -> None:
    switch = behind.warmed()
    flip(switch)
    proxy.says = httpx.get(f"{behind.service}/version").content
    with pytest.raises(NotConverged, match="search serves 'docs_v2'"):
        finish.rollback(behind.again(switch))
    person = Switch.open(edge=behind.edge, ledger=behind.plan.ledger, id=switch.id, actor="ada", holder="person:ada")
    behind.sql("UPDATE switchover_lease SET expires_at = now()")
    with pytest.raises(BadInput, match="only what cannot be read at all is left out"):
        finish.restore(person, person="ada", without=["search"])
    lease = behind.ledger.leases.get(switch.pointer.key)
    assert behind.frozen and lease is not None and not lease.alive, "who was refused keeps nobody waiting"
    proxy.says = None
    assert finish.restore(person, person="ada").startswith("rolled_back"), "it follows again: nothing is left out"
    assert not behind.frozen


def test_a_mended_plan_is_taken_for_its_readers(behind: World, proxy: Proxy, tmp_path: Path) -> None:
    switch = stuck_on_blue(behind, proxy)
    mended = plan_file(behind, tmp_path / "docs.yaml", [{"name": "api", "connection": "docs_service"}])
    assert main(["restore", switch.id, "--plan", str(mended)]) == 0
    assert (switch.read().state, behind.live, behind.frozen) == (State.ROLLED_BACK, "docs_v1", False)
    assert [reader.name for reader in behind.again(switch).plan.readers] == ["api"], "for whoever comes later too"


def test_break_glass_takes_the_readers_of_the_plan_that_it_is_given(
    behind: World, proxy: Proxy, tmp_path: Path
) -> None:
    switch = stuck_on_blue(behind, proxy)
    mended = plan_file(behind, tmp_path / "docs.yaml", [{"name": "api", "connection": "docs_service"}])
    assert main(["rollback", "--plan", str(mended), "--yes"]) == 0
    assert (switch.read().state, behind.frozen) == (State.ROLLED_BACK, False)


def test_a_proof_of_the_pointer_that_stops_working_with_the_flip_has_an_end(
    behind: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = behind.warmed()
    monkeypatch.setattr(type(switch.pointer), "behind", lambda self, target: "one of its places is elsewhere")
    for step in (flip, finish.promote_or_roll_back, finish.rollback, finish.restore):
        try:
            step(behind.again(switch))
        except SwitchoverError:
            continue
    assert (switch.read().state, behind.live, behind.frozen) == (State.STUCK, "docs_v1", True)
    behind.sql("UPDATE switchover_lease SET expires_at = now()")
    assert main(["restore", switch.id, "--without", "pointer"]) == 0
    assert (switch.read().state, behind.frozen) == (State.ROLLED_BACK, False)


def test_writers_of_a_promoted_run_go_on_when_a_reader_is_gone(behind: World, proxy: Proxy) -> None:
    switch = behind.warmed()
    flip(switch)
    body = {"rule": "by_hand", "outcome": "PASS", "detail": ""}
    behind.ledger.journal.judged(switch.id, gate="hold", tick=0, verdicts=[body])
    finish.promote_or_roll_back(switch)
    proxy.says = "gone"
    with pytest.raises(NotConverged):
        finish.unfreeze(behind.again(switch))
    assert (switch.read().state, behind.frozen) == (State.PROMOTED, True)
    behind.sql("UPDATE switchover_lease SET expires_at = now()")
    assert main(["restore", switch.id, "--without", "search"]) == 0
    assert (behind.live, behind.frozen) == ("docs_v2", False)
