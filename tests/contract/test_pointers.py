"""One list of cases that every backend must pass, on its real server or its named emulator.

What differs between backends is declared by ``describe()`` and measured here; docs/pointers.md's table is
made from what was measured (``make capabilities``).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from switchover.errors import BadInput, LeaseLost, PointerConflict, SwitchoverError, TargetRefused, Unreachable
from switchover.pointers import Change, EpochCheck, Pointer, Reading
from tests.contract.proxy import proxy_to
from tests.contract.recorder import OPTION
from tests.contract.worlds import WORLDS
from tests.contract.worlds.base import BLUE, GREEN, NotApplicable, World, back, change

MEASURED, QUICK = 200, 60  # flips under constant reads: for the table of docs/pointers.md, and at every other time
Record = Callable[..., None]


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    kind = WORLDS[request.param]
    world = kind(request.getfixturevalue(kind.fixture))
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def applicable(do: Callable[[], None]) -> None:
    """Do, or skip with the backend's reason."""
    try:
        do()
    except NotApplicable as reason:
        pytest.skip(str(reason))


def before_swap(pointer: Pointer, interfere: Callable[[], None]) -> None:
    """Do something once, between the pointer's look and its write."""
    original = pointer.swap

    def late(now: Reading, wanted: Change) -> bool:
        pointer.swap = original  # type: ignore[method-assign]
        interfere()
        return original(now, wanted)

    pointer.swap = late  # type: ignore[method-assign]


def test_read_after_write(world: World) -> None:
    pointer = world.pointer()
    assert pointer.read().target == BLUE
    assert world.serve() == {BLUE}
    applied = pointer.apply(change())
    assert applied.changed
    reading = pointer.read()
    assert (reading.target, reading.version) == (GREEN, applied.version)
    assert pointer.verify(GREEN)
    assert not pointer.verify(BLUE)
    assert world.serve() == {GREEN}


def test_another_client_reads_the_same(world: World) -> None:
    world.pointer().apply(change())
    assert world.pointer().read().target == GREEN


def test_apply_at_the_target_changes_nothing(world: World) -> None:
    pointer = world.pointer()
    pointer.apply(change())
    before = pointer.read()
    assert not pointer.apply(change()).changed
    assert pointer.read() == before


def test_rollback_is_the_same_apply_with_the_arms_exchanged(world: World) -> None:
    pointer = world.pointer()
    pointer.apply(change())
    assert pointer.apply(back()).changed
    assert pointer.read().target == BLUE
    assert world.serve() == {BLUE}


def test_wrong_expected_arm_changes_nothing_and_shows_both_values(world: World) -> None:
    with pytest.raises(PointerConflict, match="expected 'other', found 'docs_v1'; nothing was changed"):
        world.pointer().apply(change("other", GREEN))
    assert world.serve() == {BLUE}


def test_an_absent_pointer_is_said_and_not_created(world: World) -> None:
    world.remove()
    pointer = world.pointer()
    assert pointer.read().target is None
    with pytest.raises(PointerConflict, match="does not exist; nothing was changed"):
        pointer.apply(change())
    assert pointer.read().target is None


def test_of_two_writers_at_once_one_wins(world: World) -> None:
    writers = [world.pointer() for _ in range(4)]
    barrier = threading.Barrier(len(writers))
    ends: list[bool | str] = []

    def race(pointer: Pointer) -> None:
        barrier.wait()
        try:
            ends.append(pointer.apply(change()).changed)
        except SwitchoverError as error:
            ends.append(type(error).__name__)

    threads = [threading.Thread(target=race, args=(pointer,)) for pointer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == len(writers)
    assert world.serve() == {GREEN}
    if world.pointer().describe().compare_and_set:
        assert sorted(map(str, ends)) == ["False"] * (len(writers) - 1) + ["True"]
    else:
        assert True in ends


def test_a_foreign_move_between_look_and_write(world: World, record: Record) -> None:
    """Somebody moves the pointer away and back is not told apart; a move to elsewhere must make the write fail."""
    pointer = world.pointer()
    pointer.apply(change())
    before_swap(pointer, lambda: world.move(BLUE))
    wanted = Change(before=GREEN, after="elsewhere", epoch=1, actor="test")
    pointer.check_target = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        pointer.apply(wanted)
        stopped = False
    except SwitchoverError:
        stopped = world.pointer().read().target == BLUE
    record(world, compare_and_set=stopped)
    assert stopped == pointer.describe().compare_and_set


def test_a_foreign_move_before_the_look_stops_the_apply(world: World) -> None:
    pointer = world.pointer()
    world.move(GREEN)
    with pytest.raises(PointerConflict, match="expected 'docs_v1'"):
        pointer.apply(Change(before=BLUE, after="elsewhere", epoch=1, actor="test"))
    assert world.serve() == {GREEN}


def test_a_late_holder_with_an_old_epoch_loses(world: World, record: Record) -> None:
    pointer, fencing = world.pointer(), world.pointer().describe().fencing
    pointer.refuse_older(5)
    if fencing is EpochCheck.NONE:
        assert pointer.read().epoch is None
        pytest.skip("this store has no place for an epoch; the table says so")
    with pytest.raises(LeaseLost, match="epoch 5 has written, this holder has 4; nothing was changed"):
        pointer.apply(change(epoch=4))
    assert world.serve() == {BLUE}
    assert pointer.apply(change(epoch=5)).changed


def test_a_holder_that_slept_between_look_and_write(world: World, record: Record) -> None:
    """A newer holder fences while the old one sleeps; whether its write is stopped is the strength of the fence."""
    sleeper, newer = world.pointer(), world.pointer()
    before_swap(sleeper, lambda: newer.refuse_older(7))
    try:
        sleeper.apply(change(epoch=3))
        stopped = False
    except LeaseLost:
        stopped = True
    assert world.serve() == ({BLUE} if stopped else {GREEN})
    fencing = sleeper.describe().fencing
    record(world, fencing=fencing.value)
    assert stopped == (fencing is EpochCheck.WITH_THE_WRITE)


def test_a_fence_never_goes_back(world: World) -> None:
    pointer = world.pointer()
    if pointer.describe().fencing is EpochCheck.NONE:
        pytest.skip("this store has no place for an epoch; the table says so")
    pointer.refuse_older(5)
    pointer.refuse_older(3)
    assert pointer.read().epoch == 5
    assert world.serve() == {BLUE}


@pytest.mark.parametrize("how", ["missing", "empty", "unhealthy"])
def test_a_target_that_cannot_serve_is_refused(world: World, how: str) -> None:
    applicable(lambda: world.spoil(GREEN, how))
    with pytest.raises(TargetRefused, match="nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}


@pytest.mark.parametrize("hang", [False, True], ids=["error", "time-out"])
@pytest.mark.usefixtures("short_waits")
def test_no_answer_although_applied(world: World, hang: bool) -> None:
    """Unreachable is not a failure: reading back tells, and a repeat is a no-op."""
    applicable(lambda: world.address)  # type: ignore[arg-type, return-value]
    with proxy_to(world.address) as proxy:
        pointer = world.pointer(proxy.address)
        original = pointer.swap

        def losing(now: Reading, wanted: Change) -> bool:
            proxy.lose_answer(world.write_marker, hang=hang)
            return original(now, wanted)

        pointer.swap = losing  # type: ignore[method-assign]
        with pytest.raises(Unreachable):
            pointer.apply(change())
        assert proxy.lost == 1, "the server had answered"
    fresh = world.pointer()
    assert fresh.read().target == GREEN
    assert not fresh.apply(change()).changed
    assert world.serve() == {GREEN}


def test_a_server_that_is_not_there_is_unreachable(world: World) -> None:
    applicable(lambda: world.address)  # type: ignore[arg-type, return-value]
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        world.pointer(("127.0.0.1", 1)).read()


def test_the_pointer_outlives_a_restart(world: World) -> None:
    world.pointer().apply(change(epoch=2))
    before = world.pointer().read()
    applicable(world.restart)
    after = world.pointer().read()
    assert (after.target, after.epoch) == (before.target, before.epoch)
    assert world.pointer().apply(back(epoch=2)).changed


def test_plan_says_what_would_change_and_changes_nothing(world: World) -> None:
    pointer = world.pointer()
    before = pointer.read()
    assert "would move from 'docs_v1' to 'docs_v2'" in pointer.plan(change())
    assert pointer.read() == before
    pointer.apply(change())
    assert "nothing would change" in pointer.plan(change())


def test_a_shadow_is_walked_there_and_back_and_is_gone(world: World) -> None:
    pointer = world.pointer()
    before = pointer.read()
    for _ in range(2):  # a second rehearsal finds nothing left behind
        with pointer.shadow(BLUE) as shadow:
            assert shadow.key != pointer.key
            assert shadow.apply(change()).changed
            assert shadow.verify(GREEN)
            assert world.serve() == {BLUE}
            assert shadow.apply(back()).changed
        assert shadow.read().target is None
    assert pointer.read() == before


def test_a_rehearsal_leaves_alone_what_it_has_not_made(world: World) -> None:
    look: Callable[[], object] = lambda: None  # noqa: E731

    def plant() -> None:
        nonlocal look
        look = world.plant()

    applicable(plant)
    before = look()
    with (
        pytest.raises(BadInput, match="was not made by a rehearsal.*it was left as it is"),
        world.pointer().shadow(BLUE),
    ):
        pytest.fail("the rehearsal began")
    assert look() == before
    assert world.pointer().verify(BLUE)


def test_what_a_rehearsal_has_left_is_removed_by_the_next(world: World) -> None:
    """A process that dies in a rehearsal runs none of what is behind its yield."""
    cut_short = world.pointer().shadow(BLUE)
    shadow = cut_short.__enter__()
    shadow.apply(change(epoch=3))
    left = world.pointer()
    with left.shadow(BLUE) as fresh:
        assert (fresh.read().target, fresh.read().epoch or 0) == (BLUE, 0)
        assert fresh.apply(change()).changed
    assert fresh.read().target is None
    with contextlib.suppress(SwitchoverError):
        cut_short.__exit__(None, None, None)
    assert world.pointer().read().target == BLUE


def test_verify_is_a_pure_read_and_can_fail(world: World) -> None:
    """It is asked on Blue before anything is frozen: there it holds and changes nothing; elsewhere it fails."""
    pointer = world.pointer()
    before = pointer.read()
    for _ in range(2):
        began = time.monotonic()
        assert pointer.verify(BLUE) and pointer.behind(BLUE) == ""
        assert time.monotonic() - began < 5, "what nobody has just moved need not be waited for"
        assert not pointer.verify(GREEN)
        assert pointer.behind(GREEN).startswith(f"it reads '{BLUE}'")
    assert world.pointer().verify(BLUE), "another process sees the same"
    assert pointer.read() == before
    assert world.serve() == {BLUE}
    world.move(GREEN)
    assert not world.pointer().verify(BLUE)
    world.remove()
    assert not world.pointer().verify(BLUE)
    assert "it reads nothing" in world.pointer().behind(BLUE)


def test_many_flips_under_constant_reads(world: World, record: Record, request: pytest.FixtureRequest) -> None:
    """No failed read, no read of neither arm, no mixed read; and how long until a reader follows."""
    flips = MEASURED if request.config.getoption(OPTION) else QUICK
    pointer, stop = world.pointer(), threading.Event()
    seen: list[frozenset[str]] = []
    failures: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.append(world.serve())
            except Exception as error:  # noqa: BLE001 - every failed read is counted
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    followed: list[float] = []
    try:
        for flip in range(flips):
            wanted = change() if flip % 2 == 0 else back()
            assert pointer.apply(wanted).changed
            done = time.monotonic()
            while world.serve() != {wanted.after}:
                assert time.monotonic() - done < 30, "no reader followed"
            followed.append(time.monotonic() - done)
    finally:
        stop.set()
        reader.join()
    wrong = {
        "failed": len(failures),
        "neither": sum(not arms for arms in seen),
        "mixed": sum(len(arms) > 1 for arms in seen),
    }
    followed.sort()
    record(
        world,
        atomic=not any(wrong.values()),
        flips=flips,
        reads=len(seen),
        followed_p95_ms=round(1000 * followed[int(0.95 * flips)], 1),
        against=world.against,
    )
    assert {arm for arms in seen for arm in arms} == {BLUE, GREEN}, "both arms were seen"
    assert pointer.describe().atomic == (not any(wrong.values())), (wrong, failures[:3])
