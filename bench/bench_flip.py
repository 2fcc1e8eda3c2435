"""How long does a guarded flip take, and does any read suffer?

    python bench/bench_flip.py [--flips 100] [--kinds pgvector kv_etcd]

For each backend of the contract suite, on its real server or named emulator: flips under constant reads from
one more thread, then the same number of flips to Green without readers, each followed by one bare write that moves
the same pointer back by the store's own client. Prints one JSON line a backend. ``ratio_round_trip`` is the median flip
(look, check the target, swap conditionally, read back) over the median bare write of the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.contract.worlds import WORLDS  # noqa: E402
from tests.contract.worlds.base import BLUE, World, back, change  # noqa: E402
from tests.servers import short_lived_keeper  # noqa: E402

from sandbox.errors import NotHere  # noqa: E402
from sandbox.processes import postgres, servers  # noqa: E402
from sandbox.processes.airflow_home import base_environment  # noqa: E402
from sandbox.processes.keeper_client import KeeperClient  # noqa: E402


def starter(fixture: str) -> Callable[[KeeperClient], Any]:
    """How the server of a pytest fixture is started outside pytest."""
    if fixture == "pg_server":
        return lambda keeper: postgres.start(keeper, env=base_environment(), databases=(), throwaway=True)
    return getattr(servers, f"start_{fixture.removesuffix('_server')}")  # type: ignore[no-any-return]


@contextmanager
def reading(world: World, seen: dict[str, int]) -> Iterator[None]:
    """Read all the time from another thread, counting what is wrong."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen["reads"] += 1
            try:
                arms = world.serve()
            except Exception:  # noqa: BLE001 - every failed read is counted
                seen["failed"] += 1
            else:
                seen["neither"] += not arms
                seen["mixed"] += len(arms) > 1

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def measure(world: World, flips: int) -> dict[str, Any]:
    """One backend's line."""
    pointer = world.pointer()
    seen = dict.fromkeys(("reads", "failed", "neither", "mixed"), 0)
    with reading(world, seen):
        for number in range(flips):
            assert pointer.apply(change() if number % 2 == 0 else back()).changed
    guarded, bare = [], []
    for _ in range(flips):
        began = time.perf_counter()
        assert pointer.apply(change()).changed
        guarded.append(time.perf_counter() - began)
        began = time.perf_counter()
        world.move(BLUE)  # a store may take a move to where it is for nothing to do
        bare.append(time.perf_counter() - began)
    ranked = sorted(guarded)
    return {
        "backend": world.kind,
        "against": world.against,
        "flips": 2 * flips,
        **seen,
        "flip_p50_ms": round(1000 * statistics.median(ranked), 2),
        "flip_p95_ms": round(1000 * ranked[int(0.95 * (len(ranked) - 1))], 2),
        "ratio_round_trip": round(statistics.median(guarded) / statistics.median(bare), 2),
    }


def main() -> int:
    """Every backend whose server can be started here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--flips", type=int, default=100, help="flips a backend, with and without readers")
    parser.add_argument("--kinds", nargs="+", choices=sorted(WORLDS), default=sorted(WORLDS), metavar="KIND")
    options = parser.parse_args()
    wrong = 0
    with short_lived_keeper() as keeper:
        started: dict[str, Any] = {}
        for kind in options.kinds:
            world_type = WORLDS[kind]
            try:
                if world_type.fixture not in started:
                    started[world_type.fixture] = starter(world_type.fixture)(keeper)
            except NotHere as reason:
                print(f"{kind}: {reason}", file=sys.stderr)
                continue
            world = world_type(started[world_type.fixture])
            world.set_up()
            try:
                line = measure(world, options.flips)
            finally:
                world.tear_down()
                world.close()
            wrong += line["failed"] + line["neither"] + line["mixed"]
            print(json.dumps(line), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
