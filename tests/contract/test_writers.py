"""One list of cases that every kind of writer must pass, on its real server or its named emulator.

docs/writers.md's table is made from what was measured here (``make capabilities``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from operator import methodcaller
from urllib.parse import quote

import pytest

from switchover.errors import BadInput, LeaseLost, Unreachable, WriterChanged
from switchover.writers import Drain, State, Writer
from tests.contract.proxy import proxy_to
from tests.contract.worlds.base import NotApplicable
from tests.contract.writers import WRITERS
from tests.contract.writers.airflow import AirflowDagWorld
from tests.contract.writers.base import NAME, WriterWorld

DRAIN_S = 20.0
SAME_CLIENT = ("k8s_cronjob", "sqs_lambda", "eventbridge_rule")
Record = Callable[..., None]


@pytest.fixture(params=sorted(WRITERS))
def world(request: pytest.FixtureRequest) -> Iterator[WriterWorld]:
    kind = WRITERS[request.param]
    world = kind(request.getfixturevalue(kind.fixture))
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def applicable(do: Callable[[], object]) -> None:
    """Do, or skip with the kind's reason."""
    try:
        do()
    except NotApplicable as reason:
        pytest.skip(str(reason))


def kept(found: State) -> State:
    """As the ledger keeps it."""
    result: State = json.loads(json.dumps(found))
    return result


def freeze_and_look(writer: Writer) -> None:
    """Everything in which a freeze may write."""
    writer.freeze(epoch=1)
    writer.drained()


def until_drained(writer: Writer) -> Drain:
    """The proof, asked for as a run does."""
    deadline = time.monotonic() + DRAIN_S
    while not (drain := writer.drained()).done:
        assert time.monotonic() < deadline, drain.proof
        time.sleep(0.05)
    return drain


def frozen(world: WriterWorld) -> State:
    """Freeze as a run does, to the proof; what it was found as."""
    writer = world.writer()
    found = kept(writer.find())
    writer.freeze(epoch=1)
    world.follow()
    if world.kind == "kafka_consumer_group":  # stopped by what runs its consumers
        world.end()
    until_drained(writer)
    return found


def test_a_look_changes_nothing_and_can_be_kept(world: WriterWorld) -> None:
    before, writer = world.state(), world.writer()
    found = writer.find()
    assert kept(found) == found == writer.find()
    assert not writer.drained().done, "a writer that runs is not drained"
    assert world.state() == before
    assert writer.thawed(found), "nor frozen"
    assert writer.waiting() == world.backlog


def test_a_freeze_stops_new_work_and_can_be_repeated(world: WriterWorld, record: Record) -> None:
    before = world.state()
    found = frozen(world)
    proof = until_drained(world.writer()).proof.replace(world.name, "ingest")
    record(world, against=world.against, proof=proof)
    after, writer = world.state(), world.writer()
    assert after != before
    assert not writer.thawed(found)
    writer.freeze(epoch=1)
    assert until_drained(writer).done
    assert world.state() == after


def test_it_is_drained_when_the_work_in_flight_has_ended(world: WriterWorld, record: Record) -> None:
    applicable(world.begin)
    writer = world.writer()
    writer.freeze(epoch=1)
    world.follow()
    for _ in range(4):
        assert not writer.drained().done
        time.sleep(0.1)
    world.end()
    assert until_drained(writer).done
    record(world, waits_for_work=True)


def test_it_is_resumed_to_exactly_what_was_found(world: WriterWorld, record: Record) -> None:
    before, found = world.state(), frozen(world)
    world.writer().resume(found, epoch=1, proven=True)
    if world.kind == "kafka_consumer_group":
        pytest.skip("what runs its consumers starts them again")
    assert world.state() == before
    world.writer().resume(found, epoch=1)
    assert world.state() == before, "a repeat changes nothing"
    record(world, resumed_as_found=True)


def test_what_was_found_stopped_stays_stopped(world: WriterWorld) -> None:
    world.halt()
    before, found = world.state(), frozen(world)
    world.writer().resume(found, epoch=1, proven=True)
    assert world.state() == before


def test_a_freeze_that_never_happened_is_resumed_to_nothing_new(world: WriterWorld) -> None:
    before, writer = world.state(), world.writer()
    writer.resume(kept(writer.find()), epoch=1)
    assert world.state() == before


def test_a_change_by_somebody_else_while_frozen_is_said_and_left(world: WriterWorld, record: Record) -> None:
    found = frozen(world)
    world.disturb()
    theirs, writer = world.state(), world.writer()
    assert "this run set" in writer.thawed(found)
    with pytest.raises(WriterChanged, match=f"{NAME}.*this run set.*somebody changed it; left as it is") as raised:
        writer.resume(found, epoch=1, proven=True)
    assert len(str(raised.value).splitlines()) == 1
    assert world.state() == theirs
    record(world, foreign_change_seen=True)


def test_a_writer_that_does_not_exist_is_one_line(world: WriterWorld) -> None:
    world.remove()
    for attempt in (methodcaller("find"), freeze_and_look):
        with pytest.raises(BadInput, match=NAME) as raised:
            attempt(world.writer())
        assert len(str(raised.value).splitlines()) == 1


def test_a_login_without_rights_is_one_line_and_changes_nothing(world: WriterWorld) -> None:
    before = world.state()

    def try_it() -> None:
        with world.stranger() as edge:
            with pytest.raises(BadInput, match="right|refused|permission") as raised:
                freeze_and_look(world.writer(edge))
            assert len(str(raised.value).splitlines()) == 1

    applicable(try_it)
    assert world.state() == before


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("hang", [False, True], ids=["error", "time-out"])
def test_no_answer_although_frozen(world: WriterWorld, hang: bool) -> None:
    """Unreachable is not a failure: a look tells, a repeat is a no-op, and it is resumed as it was found."""
    applicable(lambda: world.address)
    if hang and world.kind in SAME_CLIENT:
        pytest.skip("its client is another kind's, whose time-out is waited for")
    before, found = world.state(), kept(world.writer().find())
    with proxy_to(world.address) as proxy:
        writer = world.writer(world.edge(proxy.address))
        writer.find()  # logged in before the line breaks
        proxy.lose_answer(world.write_marker, hang=hang)
        with pytest.raises(Unreachable):
            freeze_and_look(writer)
        assert proxy.lost == 1, "the server had answered"
    assert frozen(world)
    world.writer().resume(found, epoch=1)
    assert world.state() == before


def test_a_server_that_is_not_there_is_unreachable(world: WriterWorld) -> None:
    applicable(lambda: world.address)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        world.writer(world.edge(("127.0.0.1", 1))).find()


def test_a_late_holder_with_an_old_epoch(world: WriterWorld, record: Record) -> None:
    """A newer run has resumed the writer; whether an older one can still freeze it is told by the table."""
    found = frozen(world)
    world.writer().resume(found, epoch=5, proven=True)
    if world.kind == "kafka_consumer_group":
        pytest.skip("it sets nothing")
    before, late = world.state(), world.writer()
    try:
        late.freeze(epoch=4)
        late.drained()
        refused = False
    except LeaseLost:
        refused = True
    assert refused == (world.state() == before)
    record(world, epoch_compared=refused)


@pytest.mark.parametrize("server", ["airflow"])
def test_a_run_that_was_caught_between_two_tasks_is_not_drained(server: str, request: pytest.FixtureRequest) -> None:
    """It goes on, with what it read from Blue, when the DAG is resumed. A run that has not begun just waits."""
    world = AirflowDagWorld(request.getfixturevalue(server))
    world.dag_id = "writes_in_two"
    world.set_up()
    try:
        world.begin()
        world.api.post("dags/writes_in_two/dagRuns", {"logical_date": None, "conf": {}})
        writer = world.writer()
        writer.freeze(epoch=1)
        world.end()
        while world.states({"queued", "running"}):
            time.sleep(0.1)
        for _ in range(3):
            drain = writer.drained()
            assert not drain.done
        assert "is paused, 0 tasks in flight, 1 runs half done, 1 runs wait, run 'manual__" in drain.proof
        assert "has ended 1 of its 2 tasks: it goes on only when the DAG is resumed; end it first" in drain.proof
        runs = world.api.get("dags/writes_in_two/dagRuns", state=["running"])["dag_runs"]
        for run in runs:
            world.api.patch(f"dags/writes_in_two/dagRuns/{quote(run['dag_run_id'])}", {"state": "failed"})
        assert "0 runs half done, 1 runs wait" in until_drained(writer).proof
    finally:
        world.tear_down()
        world.close()
