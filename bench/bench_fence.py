"""What does a fence cost per effect?

    python bench/bench_fence.py [--effects 3000] [--batch 100] [--connections 4]

Prints one JSON line. On servers that this program starts: an effect (one row, key or item written to the store that
also holds the fence) bare and fenced, in turns, in one run. At its top are the figures of PostgreSQL with key and
effect in one transaction, in batches over one connection; ``one_by_one`` is the same without batches; ``several`` is
one by one from several processes at once, each with its own connection, as a team's writers run. ``calls`` has every
other way. ``ratio`` is bare effects per second over fenced ones; p50 and p95 are milliseconds per effect, in a batch
those of the batch over its size. PostgreSQL waits for the disk at each commit, unlike the sandbox's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
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

from sandbox.errors import NotHere  # noqa: E402
from sandbox.processes import postgres, servers  # noqa: E402
from sandbox.processes.airflow_home import base_environment  # noqa: E402
from sandbox.processes.keeper_client import KeeperClient  # noqa: E402
from switchover.fence import Fence, FenceKey, fence_key  # noqa: E402
from switchover.fence.postgres import PostgresStore  # noqa: E402

PAYLOAD = {"title": "The nonlocal statement", "text": "x" * 300}
BODY = json.dumps(PAYLOAD)
INSERT = "INSERT INTO applied SELECT key, %s::jsonb FROM unnest(%s::text[]) AS new (key)"

TURNS = 3

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
def postgres_ways(url: str, table: str) -> Iterator[tuple[Step, dict[str, Step]]]:
    """A bare effect, and fenced with key and effect in one transaction, and apart; over connections of its own."""
    with psycopg.connect(url) as connection, psycopg.connect(url, autocommit=True) as own:
        fence = Fence(store=PostgresStore(own, table=table), holder="bench")

        def bare(keys: Sequence[FenceKey]) -> None:
            with connection.transaction():
                connection.execute(INSERT, [BODY, [str(key) for key in keys]])

        def joined(keys: Sequence[FenceKey]) -> None:
            pairs = [(key, PAYLOAD) for key in keys]
            with connection.transaction(), fence.once_many(pairs, connection=connection) as effects:
                connection.execute(INSERT, [BODY, [str(effect.key) for effect in effects if effect.first]])
                for effect in effects:
                    effect.done({"rows": 1})

        yield bare, {"joined": joined, "apart": apart(fence, bare)}


@contextmanager
def in_postgres(keeper: KeeperClient) -> Iterator[tuple[Any, Step, dict[str, Step]]]:
    """Key and effect in one transaction, and apart."""
    server = postgres.start(keeper, env=base_environment(), databases=(), durable=True)
    world = PostgresFence(server)
    url = server.url(DATABASE)
    with contextlib.closing(world):
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE applied (key text PRIMARY KEY, body jsonb)")
        with postgres_ways(url, world.table) as (bare, ways):
            yield world, bare, ways


@contextmanager
def in_redis(keeper: KeeperClient) -> Iterator[tuple[Any, Step, dict[str, Step]]]:
    """A key beside the fence's."""
    world = RedisFence(servers.start_redis(keeper))
    with contextlib.closing(world), redis.Redis(host=world.server.host, port=world.server.port) as client:

        def bare(keys: Sequence[FenceKey]) -> None:
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.set(f"{world.prefix}applied:{key}", BODY)
            pipeline.execute()

        yield world, bare, {"apart": apart(Fence(store=world.store(), holder="bench"), bare)}


@contextmanager
def in_dynamodb(keeper: KeeperClient) -> Iterator[tuple[Any, Step, dict[str, Step]]]:
    """An item beside the fence's; what is timed is an emulator."""
    world = DynamoDbFence(servers.start_moto(keeper))
    with contextlib.closing(world):
        client = world.client()

        def bare(keys: Sequence[FenceKey]) -> None:
            for key in keys:
                client.put_item(TableName=world.table, Item={"key": {"S": f"applied:{key}"}, "body": {"S": BODY}})

        yield world, bare, {"apart": apart(Fence(store=world.store(), holder="bench"), bare)}


def new_keys(size: int) -> list[FenceKey]:
    return [
        fence_key(source_type="kafka", source_id=str(uuid.uuid4()), revision=n, action="upsert") for n in range(size)
    ]


def timed(step: Step, size: int) -> float:
    """Seconds an effect of one step."""
    keys = new_keys(size)
    began = time.perf_counter()
    step(keys)
    return (time.perf_counter() - began) / size


def measure(bare: Step, fenced: Step, *, effects: int, size: int) -> dict[str, Any]:
    """Bare and fenced in turns, ``size`` effects a step, until there are ``effects`` of each."""
    steps = {"bare": bare, "fenced": fenced}
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    rounds = -(-effects // size)
    for number in range(rounds + rounds // 10 + 1):
        for kind, step in steps.items():
            seconds[kind].append(timed(step, size))
        if number == rounds // 10:  # until here it was warming up
            seconds = {kind: [] for kind in steps}
    rates = {kind: 1 / statistics.fmean(taken) for kind, taken in seconds.items()}
    return {**figures(seconds, rates), "effects": rounds * size, "batch": size, "connections": 1}


def writer(url: str, table: str, each: int, together: Any, told: Any) -> None:
    """One of several processes: turns of bare and of fenced effects, one by one, begun by all at once."""
    with postgres_ways(url, table) as (bare, ways):
        for turn in range(TURNS + 1):
            for kind, step in {"bare": bare, "fenced": ways["joined"]}.items():
                together.wait()
                began = time.perf_counter()
                taken = [timed(step, 1) for _ in range(each)]
                if turn:  # the first one is for warming up
                    told.put((turn, kind, began, time.perf_counter(), taken))


def several(url: str, table: str, *, effects: int, connections: int) -> dict[str, Any]:
    """One by one, in transactions with the key, from several processes; the rate is that of all together."""
    context = multiprocessing.get_context("spawn")
    together, told = context.Barrier(connections), context.Queue()
    each = max(1, effects // connections // TURNS)
    processes = [
        context.Process(target=writer, args=(url, table, each, together, told), daemon=True) for _ in range(connections)
    ]
    for process in processes:
        process.start()
    turns: dict[tuple[int, str], list[Any]] = {}
    for _ in range(connections * TURNS * 2):
        turn, kind, *span = told.get(timeout=120)
        turns.setdefault((turn, kind), []).append(span)
    for process in processes:
        process.join()
    seconds: dict[str, list[float]] = {"bare": [], "fenced": []}
    lasted = dict.fromkeys(seconds, 0.0)
    for (_, kind), spans in turns.items():
        lasted[kind] += max(end for _, end, _ in spans) - min(began for began, _, _ in spans)
        seconds[kind] += [one for *_, taken in spans for one in taken]
    rates = {kind: len(taken) / lasted[kind] for kind, taken in seconds.items()}
    return {**figures(seconds, rates), "effects": len(seconds["fenced"]), "batch": 1, "connections": connections}


def figures(seconds: dict[str, list[float]], rates: dict[str, float]) -> dict[str, Any]:
    """Rates and their ratio, and the spread of seconds an effect, as milliseconds."""
    spread = {
        f"{kind}_{name}_ms": round(1000 * sorted(taken)[int(share * (len(taken) - 1))], 3)
        for kind, taken in seconds.items()
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    return {
        "effects_per_s": round(rates["fenced"]),
        "bare_per_s": round(rates["bare"]),
        "ratio": round(rates["bare"] / rates["fenced"], 2),
        **spread,
    }


def main() -> int:
    """Every store whose server can be started here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--effects", type=int, default=3000, help="effects taken one by one; ten times as many in batches"
    )
    parser.add_argument("--batch", type=int, default=100, help="effects a batch")
    parser.add_argument("--connections", type=int, default=4, help="processes that take effects at once")
    options = parser.parse_args()
    calls = []
    for kind, opened in {"postgres": in_postgres, "redis": in_redis, "dynamodb": in_dynamodb}.items():
        few = 50 if kind == "dynamodb" else 1  # an emulator's figures are not worth the wait
        with short_lived_keeper() as keeper:
            try:
                with opened(keeper) as (world, bare, ways):
                    about = {"store": kind, "against": world.against if kind == "postgres" else world.server.describe}
                    for way, fenced in ways.items():
                        for size, effects in ((options.batch, 10 * options.effects), (1, options.effects)):
                            found = measure(bare, fenced, effects=effects // few, size=size)
                            calls.append({**about, "transaction": way, **found})
                    if kind == "postgres":
                        url, table = world.server.url(DATABASE), world.table
                        team = several(url, table, effects=options.effects, connections=options.connections)
            except NotHere as reason:
                print(f"{kind}: {reason}", file=sys.stderr)
    batches, single, *others = calls
    print(json.dumps({"bench": "fence", **batches, "one_by_one": single, "several": team, "calls": others}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
