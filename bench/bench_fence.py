"""What does a fence cost per effect?

    python bench/bench_fence.py [--effects 3000] [--batch 100]

Prints one JSON line. On servers that this program starts: an effect (one row, key or item written to the store that
also holds the fence) bare and fenced, in turns, in one run, one process, one connection each. At its top are the
figures of PostgreSQL with key and effect in one transaction, taken in batches; under ``calls`` every other way.
``ratio`` is the mean time of a fenced effect over a bare one; p50 and p95 are milliseconds per effect, in a batch those
of the batch over its size. PostgreSQL waits for the disk at each commit, unlike the sandbox's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.contract.worlds.fences import DATABASE, DynamoDbFence, PostgresFence, RedisFence  # noqa: E402
from tests.servers import short_lived_keeper  # noqa: E402

from sandbox import postgres, servers  # noqa: E402
from sandbox.airflow_home import base_environment  # noqa: E402
from sandbox.errors import NotHere  # noqa: E402
from sandbox.keeper_client import KeeperClient  # noqa: E402
from switchover.fence import Fence, FenceKey, fence_key  # noqa: E402

PAYLOAD = {"title": "The nonlocal statement", "text": "x" * 300}
BODY = json.dumps(PAYLOAD)
INSERT = "INSERT INTO applied SELECT key, %s::jsonb FROM unnest(%s::text[]) AS new (key)"

Step = Callable[[Sequence[FenceKey]], None]


def apart(fence: Fence, bare: Step) -> Step:
    """The fenced form of a bare effect that commits by itself."""

    def step(keys: Sequence[FenceKey]) -> None:
        with fence.once_many([(key, PAYLOAD) for key in keys]) as effects:
            bare([effect.key for effect in effects if effect.first])
            for effect in effects:
                effect.done({"rows": 1})

    return step


@contextmanager
def in_postgres(keeper: KeeperClient) -> Iterator[tuple[str, Step, dict[str, Step]]]:
    """Key and effect in one transaction, and apart."""
    server = postgres.start(keeper, env=base_environment(), databases=(), durable=True)
    world = PostgresFence(server)
    with contextlib.closing(world), psycopg.connect(server.url(DATABASE)) as connection:
        connection.execute("CREATE TABLE applied (key text PRIMARY KEY, body jsonb)")
        connection.commit()
        fence = Fence(store=world.plain_store(), holder="bench")

        def bare(keys: Sequence[FenceKey]) -> None:
            with connection.transaction():
                connection.execute(INSERT, [BODY, [str(key) for key in keys]])

        def joined(keys: Sequence[FenceKey]) -> None:
            pairs = [(key, PAYLOAD) for key in keys]
            with connection.transaction(), fence.once_many(pairs, connection=connection) as effects:
                connection.execute(INSERT, [BODY, [str(effect.key) for effect in effects if effect.first]])
                for effect in effects:
                    effect.done({"rows": 1})

        yield world.against, bare, {"joined": joined, "apart": apart(fence, bare)}


@contextmanager
def in_redis(keeper: KeeperClient) -> Iterator[tuple[str, Step, dict[str, Step]]]:
    """A key beside the fence's."""
    world = RedisFence(servers.start_redis(keeper))
    with contextlib.closing(world), redis.Redis(host=world.server.host, port=world.server.port) as client:

        def bare(keys: Sequence[FenceKey]) -> None:
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.set(f"{world.prefix}applied:{key}", BODY)
            pipeline.execute()

        yield world.server.describe, bare, {"apart": apart(Fence(store=world.store(), holder="bench"), bare)}


@contextmanager
def in_dynamodb(keeper: KeeperClient) -> Iterator[tuple[str, Step, dict[str, Step]]]:
    """An item beside the fence's; what is timed is an emulator."""
    world = DynamoDbFence(servers.start_moto(keeper))
    with contextlib.closing(world):
        client = world.client()

        def bare(keys: Sequence[FenceKey]) -> None:
            for key in keys:
                client.put_item(TableName=world.table, Item={"key": {"S": f"applied:{key}"}, "body": {"S": BODY}})

        yield world.server.describe, bare, {"apart": apart(Fence(store=world.store(), holder="bench"), bare)}


def measure(bare: Step, fenced: Step, *, effects: int, size: int) -> dict[str, Any]:
    """Bare and fenced in turns, ``size`` effects a step, until there are ``effects`` of each."""
    steps = {"bare": bare, "fenced": fenced}
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    rounds = -(-effects // size)
    for number in range(rounds + rounds // 10 + 1):
        for kind, step in steps.items():
            keys = [
                fence_key(source_type="kafka", source_id=str(uuid.uuid4()), revision=n, action="upsert")
                for n in range(size)
            ]
            began = time.perf_counter()
            step(keys)
            seconds[kind].append((time.perf_counter() - began) / size)
        if number == rounds // 10:  # until here it was warming up
            seconds = {kind: [] for kind in steps}
    means = {kind: statistics.fmean(taken) for kind, taken in seconds.items()}
    spread = {
        f"{kind}_{name}_ms": round(1000 * sorted(taken)[int(share * (len(taken) - 1))], 3)
        for kind, taken in seconds.items()
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    return {
        "effects_per_s": round(1 / means["fenced"]),
        "bare_per_s": round(1 / means["bare"]),
        "ratio": round(means["fenced"] / means["bare"], 2),
        **spread,
        "effects": rounds * size,
        "batch": size,
    }


def main() -> int:
    """Every store whose server can be started here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--effects", type=int, default=3000, help="effects taken one by one; ten times as many in batches"
    )
    parser.add_argument("--batch", type=int, default=100, help="effects a batch")
    options = parser.parse_args()
    calls = []
    for kind, opened in {"postgres": in_postgres, "redis": in_redis, "dynamodb": in_dynamodb}.items():
        few = 50 if kind == "dynamodb" else 1  # an emulator's figures are not worth the wait
        with short_lived_keeper() as keeper:
            try:
                with opened(keeper) as (against, bare, ways):
                    for way, fenced in ways.items():
                        for size, effects in ((options.batch, 10 * options.effects), (1, options.effects)):
                            figures = measure(bare, fenced, effects=effects // few, size=size)
                            calls.append({"store": kind, "transaction": way, "against": against, **figures})
            except NotHere as reason:
                print(f"{kind}: {reason}", file=sys.stderr)
    print(json.dumps({"bench": "fence", **calls[0], "calls": calls[1:]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
