"""Approvals on a running Airflow, answered through its REST API: yes, no, and nobody; and what the run tells meanwhile.

Airflow's own test run of a DAG never answers a question, so this needs the real scheduler and triggerer.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from sandbox.demo.planes.pgvector import PgvectorPlane
from sandbox.demo.run import Demo
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stack import Stack
from sandbox.processes import leftovers
from sandbox.processes.airflow_home import REPOSITORY, http_connection
from sandbox.processes.postgres import LEDGER_DB
from switchover.ledger import Ledger
from switchover.planfile.load import load_plan
from switchover.protocol import State
from switchover.report.metrics import METRICS
from tests.inner.test_notify import Receiver

pytestmark = pytest.mark.approvals
HOLD_S = 40
MINUTES = 1
DATAGRAM = re.compile(r"airflow\.(switchover\.[a-z_.]+),([^:]+):([^|]+)\|g")


class StatsD:
    """A real UDP socket that keeps the gauges it is sent."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.got: list[tuple[str, str]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while data := self._socket.recv(65_535):
            for line in data.decode().splitlines():
                if found := DATAGRAM.match(line):
                    self.got.append((found[1], found[2]))

    @property
    def environment(self) -> dict[str, str]:
        words = {"ON": "True", "HOST": "127.0.0.1", "PORT": str(self.port), "INFLUXDB_ENABLED": "True"}
        return {f"AIRFLOW__METRICS__STATSD_{word}": value for word, value in words.items()}


class Running:
    """A stack whose plan asks people, and what it has told."""

    def __init__(self, demo: Demo, ledger: Ledger, receiver: Receiver, statsd: StatsD) -> None:
        self.demo, self.ledger, self.receiver, self.statsd = demo, ledger, receiver, statsd
        self.api = demo.stack.api
        self._asked = 0

    def trigger(self, **conf: Any) -> str:
        body = {"logical_date": None, "conf": {"hold_minutes": HOLD_S / 60, **conf}}
        return str(self.api.post(f"dags/{self.demo.dag_id}/dagRuns", body)["dag_run_id"])

    def where(self, run: str) -> str:
        return f"dags/{self.demo.dag_id}/dagRuns/{run}"

    @property
    def told(self) -> list[str]:
        """The events that the webhook was told of, in the order of their arrival."""
        bodies = [body for _, _, body in self.receiver.got]
        return [re.search(rb'"event": "(\w+)"', body)[1].decode() for body in bodies]  # type: ignore[index]

    def question(self, run: str, task: str) -> dict[str, Any]:
        """The open question of a task, when its task is deferred and people were told of it.

        The trigger tells; an answer that comes before the triggerer has begun finds nobody left to be told.
        """

        def found() -> dict[str, Any] | None:
            state = self.api.get(f"{self.where(run)}/taskInstances/{task}")["state"]
            if state in ("failed", "upstream_failed", "skipped", "success"):
                told = [row["text"] for row in self.ledger.journal.events(f"docs:{run}")]
                raise AssertionError(f"{task} is {state}: {told}")
            return self.hitl(run, task) if state == "deferred" else None

        question: dict[str, Any] = until(found, seconds=240)
        self._asked += 1
        until(lambda: self.told.count("approval_wanted") == self._asked, seconds=60)
        return question

    def hitl(self, run: str, task: str) -> dict[str, Any]:
        return self.api.get(f"{self.where(run)}/taskInstances/{task}/-1/hitlDetails")

    def answer(self, run: str, task: str, option: str) -> None:
        body = {"chosen_options": [option], "params_input": {}}
        self.api.patch(f"{self.where(run)}/taskInstances/{task}/-1/hitlDetails", body)

    def ended(self, run: str) -> tuple[str, str]:
        """State in the ledger and its reason, when the DAG run is over."""
        until(lambda: self.api.get(self.where(run))["state"] in ("success", "failed"), seconds=240)
        row = self.ledger.runs.get(f"docs:{run}")
        return row.state.value, row.reason


def until(found: Callable[[], Any], *, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.3)
    raise AssertionError(f"not in {seconds:g} s")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("approvals")
    plan = folder / "plans" / "docs.yaml"
    plan.parent.mkdir()
    text = (REPOSITORY / "include" / "plans" / "docs.yaml").read_text()
    asks = f"approve: [before_flip, before_unfreeze]\napprove_minutes: {MINUTES}\n"
    tells = "notify: [{kind: webhook, connection: hook}, {kind: slack, connection: nowhere}]\n"
    plan.write_text(f"{text.replace('../gold', str(REPOSITORY / 'include' / 'gold'))}\n{asks}{tells}")
    receiver, statsd, state = Receiver(), StatsD(), folder / "state"
    with Stack(state=state, airflow_port=0, service_port=0, plan=plan, env=statsd.environment) as stack:
        plane = PgvectorPlane(stack=stack, plan=load_plan(plan))
        stack.connections["hook"] = http_connection(receiver.port)
        demo = Demo(scenario=SCENARIOS["good"], plane=plane, hold_s=HOLD_S, stack=stack)
        demo.start()
        engine = sa.create_engine(stack.postgres.sqlalchemy_url(LEDGER_DB))
        yield Running(demo, Ledger(engine=engine), receiver, statsd)
        engine.dispose()
    receiver.close()
    assert leftovers.ours(state) == []


def test_approved_before_the_flip_and_rejected_after_it(running: Running) -> None:
    run = running.trigger()
    question = running.question(run, "approve_flip")
    assert question["subject"] == "Flip docs to docs_v2?"
    assert question["options"] == ["Approve", "Reject"]
    for part in ("EMBED", "coverage", "Way back: rehearsed in", "/plugin/switchover)"):
        assert part in question["body"]
    assert not question["response_received"]
    running.answer(run, "approve_flip", "Approve")
    question = running.question(run, "approve_unfreeze")
    assert question["subject"] == "Let docs stay on docs_v2?"
    id = f"docs:{run}"
    looks = running.ledger.evidence.last_tick(id, phase="hold")
    until(lambda: running.ledger.evidence.last_tick(id, phase="hold") > looks, seconds=60)
    assert running.ledger.runs.get(id).state.value == "holding", "the hold goes on while somebody thinks"
    running.answer(run, "approve_unfreeze", "Reject")
    assert running.ended(run) == ("rolled_back", "hold: before_unfreeze: rejected by admin")
    rows = running.ledger.approvals.of(id)
    assert [(row["gate"], row["answered_by"], row["answer"]) for row in rows] == [
        ("before_flip", "admin", "approved"),
        ("before_unfreeze", "admin", "rejected"),
    ]


def test_what_a_person_took_back_is_not_tried_again_unasked(running: Running) -> None:
    waited = running.trigger()
    until(lambda: running.api.get(running.where(waited))["state"] in ("success", "failed"), seconds=120)
    assert running.api.get(running.where(waited))["state"] == "failed"
    assert running.ledger.runs.find(f"docs:{waited}") is None


def test_nobody_answers_and_the_run_is_aborted(running: Running) -> None:
    (back,) = running.ledger.runs.latest(limit=1)
    run = running.trigger(retry_build=back.approved_hash)
    running.question(run, "approve_flip")
    state, reason = running.ended(run)
    assert state == "aborted"
    assert "before_flip: no answer in time" in reason


def test_what_was_told_meanwhile(running: Running) -> None:
    told = running.told
    assert sorted(told[:5]) == sorted(["approval_wanted", "flip", "approval_wanted", "rollback", "approval_wanted"])
    assert told[5:] == ["abort"]
    (first, *_) = running.ledger.runs.latest(limit=2)[::-1]
    lines = [row["text"] for row in running.ledger.journal.events(first.id) if row["actor"] == "notify"]
    assert "did not tell slack 'nowhere' of flip: connection 'nowhere': not in Airflow; add it" in "\n".join(lines)


def test_metrics_came_from_tasks_and_from_the_triggerer(running: Running) -> None:
    names = {name for name, _ in running.statsd.got}
    assert names == set(METRICS)
    assert ("switchover.state", "service=docs,state=rolled_back") in running.statsd.got
    ticks = [tags for name, tags in running.statsd.got if name == "switchover.hold.tick"]
    assert len(ticks) > 4, "a gauge a look"


def test_a_run_that_a_person_marks_as_a_success_is_red_when_it_was_not_promoted(running: Running) -> None:
    back = running.ledger.runs.newest("docs", State.ROLLED_BACK)
    assert back is not None
    run = running.trigger(retry_build=back.approved_hash)
    running.question(run, "approve_flip")
    running.api.patch(running.where(run), {"state": "success"})
    state, reason = running.ended(run)
    assert (state, reason) == ("aborted", "the run ended undecided")
    found = running.api.get(running.where(run))
    assert found["state"] == "failed", "only promoted makes a green run"
