"""The contract of the fence's stores: the same cases against each, on its real server or named emulator."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from switchover.errors import BadInput, FenceBusy, FenceConflict, FenceLost
from switchover.fence import Effect, Fence, FenceKey, fence_key
from tests.contract.proxy import proxy_to
from tests.contract.worlds.fences import FENCES, FenceWorld

PAYLOAD = {"title": "nonlocal", "tags": ["names", "scope"]}
SOON_S = 10.0


@pytest.fixture(scope="module", params=sorted(FENCES))
def world(request: pytest.FixtureRequest) -> Iterator[FenceWorld]:
    world_type = FENCES[request.param]
    world = world_type(request.getfixturevalue(world_type.fixture))
    yield world
    world.close()


@pytest.fixture
def key() -> FenceKey:
    return new_key()


def new_key(source_type: str = "kafka") -> FenceKey:
    return fence_key(source_type=source_type, source_id=f"orders/{uuid.uuid4()}", revision=1, action="upsert")


def fence(world: FenceWorld, holder: str = "one", **options: Any) -> Fence:
    return Fence(store=world.store(), holder=holder, **{"lease_s": 60, **options})


def until(look: Callable[[], Any]) -> Any:
    """The first true answer; a busy key is one that is not there yet."""
    deadline = time.monotonic() + SOON_S
    while True:
        try:
            found = look()
        except FenceBusy:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def crash(fence: Fence, key: FenceKey, *, at: int = 1) -> None:
    """An attempt that never ends its block: what a killed process leaves behind."""
    block = fence.once(key, PAYLOAD)
    assert block.__enter__().attempt == at
    CRASHED.append(block)  # a generator that is collected would run the end of its block


CRASHED: list[Any] = []


def test_the_same_key_twice_has_one_effect_and_one_receipt(world: FenceWorld, key: FenceKey) -> None:
    with fence(world).once(key, PAYLOAD) as effect:
        assert effect.first and effect.attempt == 1
        effect.done({"row": 7})
    with fence(world, "two").once(key, dict(reversed(PAYLOAD.items()))) as effect:
        assert not effect.first
        assert effect.receipt == {"row": 7}
        with pytest.raises(BadInput, match="this is a duplicate"):
            effect.done({"row": 8})


def test_two_at_once_one_goes_and_the_other_is_told_who(world: FenceWorld, key: FenceKey) -> None:
    with fence(world).once(key, PAYLOAD) as effect:
        assert effect.first
        with pytest.raises(FenceBusy, match=r"pending by 'one' \(attempt 1\) until 20..-..-..T..:..:..Z") as busy:
            fence(world, "two").once(key, PAYLOAD).__enter__()
        assert busy.value.holder == "one" and busy.value.until is not None and busy.value.key == key
        effect.done()


def test_of_many_at_once_exactly_one_has_the_effect(world: FenceWorld) -> None:
    keys = [new_key() for _ in range(10)]
    effects: Counter[str] = Counter()
    receipts: Counter[tuple[str, str]] = Counter()
    gate = threading.Barrier(4)
    failed: list[BaseException] = []

    def run(name: str) -> None:
        mine = fence(world, name)
        try:
            for key in keys:
                gate.wait(timeout=SOON_S)
                until(lambda key=key: effect_of(mine, key, name))  # type: ignore[misc]
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)
            gate.abort()

    def effect_of(mine: Fence, key: FenceKey, name: str) -> bool:
        with mine.once(key, PAYLOAD) as effect:
            if effect.first:
                effects[key] += 1
                effect.done(name)
            receipts[key, effect.receipt] += 1
            return True

    threads = [threading.Thread(target=run, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert effects == Counter(keys)
    assert sorted(receipts.values()) == [4] * len(keys)  # all four saw the same receipt


def test_a_crash_before_done_is_taken_over_after_its_lease_and_said(world: FenceWorld, key: FenceKey) -> None:
    crash(fence(world, lease_s=0.05), key)

    def take() -> Effect:
        with fence(world, "two").once(key, PAYLOAD) as effect:
            effect.done("second")
            return effect

    assert until(take).attempt == 2
    with fence(world).once(key, PAYLOAD) as effect:
        assert effect.receipt == "second" and effect.attempt == 2


def test_a_lease_that_runs_is_not_taken_over(world: FenceWorld, key: FenceKey) -> None:
    crash(fence(world), key)
    for _ in range(3):
        with pytest.raises(FenceBusy):
            fence(world, "two").once(key, PAYLOAD).__enter__()


def test_a_holder_that_was_taken_over_may_not_mark_done(world: FenceWorld, key: FenceKey) -> None:
    def zombie() -> None:
        with fence(world, lease_s=0.05).once(key, PAYLOAD) as effect:
            until(lambda: crash(fence(world, "two"), key, at=2) or True)
            effect.done("zombie")

    with pytest.raises(FenceLost, match=r"not marked done: its lease ran out and attempt 2 of 'two' has it") as lost:
        zombie()
    assert lost.value.key == key
    held = world.store().read([key])[0]
    assert not held.done and held.receipt is None and held.holder == "two"


def test_a_late_done_counts_while_nobody_took_over(world: FenceWorld, key: FenceKey) -> None:
    with fence(world, lease_s=0.001).once(key, PAYLOAD) as effect:
        time.sleep(0.01)
        effect.done("late")
    with fence(world).once(key, PAYLOAD) as effect:
        assert effect.receipt == "late"


@pytest.mark.parametrize("state", ["pending", "pending, lease over", "done"])
def test_another_payload_is_a_conflict_with_a_diff(world: FenceWorld, key: FenceKey, state: str) -> None:
    if state == "done":
        with fence(world).once(key, PAYLOAD) as effect:
            effect.done()
    else:
        crash(fence(world, lease_s=60 if state == "pending" else 0.001), key)
        time.sleep(0.01)
    other = {"title": "global", "tags": ["names", "module"], "lang": "en"}
    with pytest.raises(
        FenceConflict, match="by 'one' with another payload; nothing was applied: lang: absent"
    ) as found:
        fence(world, "two").once(key, other).__enter__()
    assert found.value.diff == ['lang: absent → "en"', 'tags[1]: "scope" → "module"', 'title: "nonlocal" → "global"']
    held = world.store().read([key])[0]
    assert held.holder == "one" and held.attempt == 1


def test_a_block_that_raises_stays_pending_until_its_lease_ends(world: FenceWorld, key: FenceKey) -> None:
    with pytest.raises(OSError, match="half way"), fence(world, lease_s=0.05).once(key, PAYLOAD):
        raise OSError("half way")
    held = world.store().read([key])[0]
    assert not held.done and held.holder == "one"

    def again() -> int:
        with fence(world, "two").once(key, PAYLOAD) as effect:
            effect.done()
            return effect.attempt

    assert until(again) == 2


def test_what_was_abandoned_may_be_tried_at_once(world: FenceWorld, key: FenceKey) -> None:
    def refused() -> None:
        with fence(world).once(key, PAYLOAD) as effect:
            effect.abandon()
            raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        refused()
    assert world.store().read([key]) == []
    with fence(world, "two").once(key, {"another": "payload"}) as effect:
        assert effect.first and effect.attempt == 1
        effect.done()


def test_a_second_attempt_that_is_abandoned_does_not_forget_the_first(world: FenceWorld, key: FenceKey) -> None:
    crash(fence(world, lease_s=0.001), key)

    def give_up() -> bool:
        with fence(world, "two").once(key, PAYLOAD) as effect:
            effect.abandon()
        return True

    until(give_up)
    with pytest.raises(FenceConflict):
        fence(world, "three").once(key, "another").__enter__()
    with fence(world, "three").once(key, PAYLOAD) as effect:
        assert effect.attempt == 3
        effect.done()


def test_a_block_that_forgets_done_is_told_so(world: FenceWorld, key: FenceKey) -> None:
    with pytest.raises(BadInput, match=r"ended without done\(\) and without abandon\(\); it stays pending for 60 s"):  # noqa: SIM117
        with fence(world).once(key, PAYLOAD):
            pass


def test_a_batch_has_each_effect_once_also_when_a_key_comes_twice(world: FenceWorld) -> None:
    known, fresh, again = new_key(), new_key(), new_key()
    with fence(world).once(known, 0) as effect:
        effect.done("known")
    with fence(world, "two").once_many([(fresh, 1), (known, 0), (again, 2), (again, 2)]) as effects:
        assert [effect.first for effect in effects] == [True, False, True, False]
        assert [effect.payload for effect in effects] == [1, 0, 2, 2]
        for effect in effects:
            if effect.first:
                effect.done(effect.payload)
        assert [effect.receipt for effect in effects] == [1, "known", 2, 2]
    assert [held.done for held in world.store().read([fresh, known, again])] == [True] * 3


def test_a_batch_with_one_conflict_holds_nothing(world: FenceWorld) -> None:
    known, fresh = new_key(), new_key()
    with fence(world).once(known, 0) as effect:
        effect.done()
    with pytest.raises(FenceConflict, match="payload: 0 → 1") as found:
        fence(world).once_many([(fresh, 1), (known, 1)]).__enter__()
    assert found.value.key == known
    with pytest.raises(FenceConflict, match="payload: 1 → 2"):
        fence(world).once_many([(fresh, 1), (fresh, 2)]).__enter__()
    assert world.store().read([fresh]) == []


def test_a_batch_that_raises_records_what_was_done(world: FenceWorld) -> None:
    one, two, three = new_key(), new_key(), new_key()

    def half() -> None:
        with fence(world).once_many([(key, 0) for key in (one, two, three)]) as effects:
            effects[0].done("1")
            effects[2].abandon()
            raise OSError("at two")

    with pytest.raises(OSError, match="at two"):
        half()
    held = {row.key: row.done for row in world.store().read([one, two, three])}
    assert held == {one: True, two: False}


def test_a_done_key_goes_when_its_time_is_over_and_a_pending_one_never(world: FenceWorld) -> None:
    short = fence(world, ttl_s={"brief": 0.05})
    old, young, pending = new_key("brief"), new_key("kafka"), new_key("brief")
    with short.once_many([(old, 0), (young, 0)]) as effects:
        for effect in effects:
            effect.done()
    crash(fence(world, lease_s=0.001, ttl_s={"brief": 0.001}), pending)
    until(lambda: world.forgets(old))
    assert [row.done for row in world.store().read([young])] == [True]
    assert not world.forgets(pending)
    assert [row.done for row in world.store().read([pending])] == [False]


def test_a_restart_of_the_server_forgets_nothing(world: FenceWorld) -> None:
    done, pending = new_key(), new_key()
    kept = fence(world)
    with kept.once(done, PAYLOAD) as effect:
        effect.done("before")
    crash(kept, pending)
    world.restart()
    with kept.once(done, PAYLOAD) as effect:
        assert effect.receipt == "before"
    with pytest.raises(FenceBusy, match="by 'one'"):
        fence(world, "two").once(pending, PAYLOAD).__enter__()


@pytest.mark.parametrize("verb", ["claim", "done"])
def test_an_answer_that_is_lost_though_it_was_applied(world: FenceWorld, key: FenceKey, verb: str) -> None:
    marker = world.claim_marker if verb == "claim" else world.done_marker
    with proxy_to(world.address) as proxy:
        mine = Fence(store=world.store(proxy.address), holder="one")
        with mine.once(new_key(), 0) as effect:  # the connection is made
            effect.done()
        if verb == "claim":
            proxy.lose_answer(marker, hang=False)
        with mine.once(key, PAYLOAD) as effect:
            assert effect.first and effect.attempt == 1
            if verb == "done":
                proxy.lose_answer(marker, hang=False)
            effect.done("mine")
        assert proxy.lost == 1
    with fence(world, "two").once(key, PAYLOAD) as effect:
        assert effect.receipt == "mine"


def test_a_table_that_is_not_there_is_one_line(world: FenceWorld, key: FenceKey) -> None:
    try:
        broken = Fence(store=world.broken_store(), holder="one")
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    with pytest.raises(BadInput, match=r"no_such_table.*docs/fence.md") as found:
        broken.once(key, PAYLOAD).__enter__()
    assert "\n" not in str(found.value)


def test_what_was_decided_is_counted(world: FenceWorld, key: FenceKey) -> None:
    one = fence(world)
    for _ in range(3):
        with one.once(key, PAYLOAD) as effect:
            if effect.first:
                effect.done()
    with pytest.raises(FenceConflict), one.once(key, {"title": "other"}):
        pass
    held, other = new_key(), fence(world, "two")
    crash(one, held)
    with pytest.raises(FenceBusy), other.once(held, PAYLOAD):
        pass
    assert one.decisions() == {"new": 2, "repeated": 0, "duplicate": 2, "conflict": 1, "busy": 0, "lost": 0}
    assert other.decisions() == {"new": 0, "repeated": 0, "duplicate": 0, "conflict": 0, "busy": 1, "lost": 0}
