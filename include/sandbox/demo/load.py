"""Steady traffic on the sandbox: questions to the service and rows for the writers, as one process.

Open loop: requests start on a fixed clock whether or not earlier ones have come back, so a slow service
is seen as slow. The counts go to a JSON file, replaced atomically once a second and at the end:
``{"requests", "failed", "mixed", "arms": {arm: {"requests", "first", "last"}}, "source_rows", "writes", "examples"}``.

failed: no answer with status 200 and a text. mixed: an answer whose hits carry another INDEX_HASH than
itself, or whose INDEX_HASH is not the one that ``/version`` of its arm reports. ``--arm NAME=URL`` says where an
arm is asked directly; an arm without one is asked at ``--url``, with the header that names it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import psycopg

from sandbox.writers import ingest
from sandbox.writers.load_writes import WriteLoad

SOURCE_RATE = 2.0  # rows a second for the writers
LOGGED: tuple[ingest.Stream, ...] = ("process", "dag")
TIMEOUT_S = 10.0
_KEEP = 20  # examples of failed and mixed answers
_HARBOUR = (
    "ferry left pier {n} at high tide, wind north-west",
    "trawler {n} unloaded herring and sailed again before noon",
    "pilot boat {n} met a tanker off the lighthouse in fog",
    "crane {n} lifted forty containers of oranges ashore",
)


class Traffic:
    """Counts of one load."""

    def __init__(self, *, out: Path) -> None:
        self._out = out
        self.requests = self.failed = self.mixed = self.source_rows = 0
        self.writes: WriteLoad | None = None
        self.arms: dict[str, dict[str, Any]] = {}
        self.examples: list[dict[str, str]] = []
        self.started = _now()

    def answered(self, arm: str) -> None:
        """One good answer of ``arm``."""
        now = _now()
        seen = self.arms.setdefault(arm, {"requests": 0, "first": now, "last": now})
        seen["requests"] += 1
        seen["last"] = now

    def example(self, kind: str, what: str) -> None:
        """Keep the first few bad answers for whoever looks into the file."""
        if len(self.examples) < _KEEP:
            self.examples.append({"at": _now(), "kind": kind, "what": what[:300]})

    def write(self) -> None:
        """Replace the file in one step: a reader never sees half of it."""
        data = {
            "requests": self.requests,
            "failed": self.failed,
            "mixed": self.mixed,
            "arms": self.arms,
            "source_rows": self.source_rows,
            "writes": self.writes.counts() if self.writes is not None else None,
            "started": self.started,
            "updated": _now(),
            "examples": self.examples,
        }
        draft = self._out.with_name(self._out.name + ".draft")
        draft.write_text(json.dumps(data, indent=1), encoding="utf-8")
        draft.replace(self._out)


class Load:
    """Asks the service at a fixed rate."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        questions: Sequence[str],
        rate: float,
        traffic: Traffic,
        arms: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._arm_urls = arms or {}
        self._questions = questions
        self._rate = rate
        self._traffic = traffic
        self._hashes: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Start one request every 1/rate seconds until ``stop``; then wait for those under way."""
        loop = asyncio.get_running_loop()
        shuffled = random.Random(1)
        running: set[asyncio.Task[None]] = set()
        began = loop.time()
        count = 0
        while not stop.is_set():
            task = asyncio.create_task(self._ask(shuffled.choice(self._questions)))
            running.add(task)
            task.add_done_callback(running.discard)
            count += 1
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, began + count / self._rate - loop.time()))
        if running:
            await asyncio.wait(running, timeout=TIMEOUT_S)

    async def _ask(self, question: str) -> None:
        traffic = self._traffic
        problem, answer = None, {}
        try:
            response = await self._client.post("/ask", json={"question": question, "seed": 0, "k": 5})
            if response.status_code == httpx.codes.OK:
                answer = response.json()
            else:
                problem = f"HTTP {response.status_code}: {response.text}"
        except (httpx.HTTPError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is None and not answer.get("answer"):
            problem = "no answer in the reply"
        traffic.requests += 1
        if problem is not None:
            traffic.failed += 1
            traffic.example("failed", problem)
            return
        traffic.answered(str(answer["arm"]))
        mixed = await self._mixed(answer)
        if mixed:
            traffic.mixed += 1
            traffic.example("mixed", mixed)

    async def _mixed(self, answer: dict[str, Any]) -> str | None:
        """Why an answer is mixed, or None. The arm's own report is asked again before it is held against it."""
        arm, own = str(answer["arm"]), str(answer["index_hash"])
        others = {str(hit["index_hash"]) for hit in answer["hits"]} - {own}
        if others:
            return f"arm {arm}: answer of {own}, hits of {', '.join(sorted(others))}"
        if self._hashes.get(arm) != own:
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                url = f"{self._arm_urls.get(arm, '')}/version"
                reply = await self._client.get(url, headers={"X-Switchover-Arm": arm})
                self._hashes[arm] = str(reply.json()["pins"]["INDEX_HASH"])
            if self._hashes.get(arm) != own:
                return f"arm {arm}: answer of {own}, the arm reports {self._hashes.get(arm)}"
        return None


async def feed(db_url: str, *, traffic: Traffic, stop: asyncio.Event) -> None:
    """Append rows to ``ingest_source``, for both writers in turn. The texts are far from the reference's."""
    loop = asyncio.get_running_loop()
    began, count = loop.time(), 0
    while not stop.is_set():
        try:
            conn = await asyncio.to_thread(_connect, db_url)
            with conn:
                while not stop.is_set():
                    await asyncio.to_thread(_append, conn, count)
                    count += 1
                    traffic.source_rows = count
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(stop.wait(), max(0.0, began + count / SOURCE_RATE - loop.time()))
        except psycopg.Error as error:
            traffic.example("source", str(error))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)


def gold_questions(path: Path) -> list[str]:
    """Every question and paraphrase of a gold set."""
    found: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            item = json.loads(line)
            found += [item["question"], *item["paraphrases"]]
    return found


async def drive(
    *,
    url: str,
    arms: Mapping[str, str],
    rate: float,
    out: Path,
    questions: Sequence[str],
    db_url: str,
    writes: str | None = None,
) -> None:
    """Run load and feed until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    traffic = Traffic(out=out)
    traffic.write()
    async with (
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client,
        httpx.AsyncClient(base_url=writes or url, timeout=TIMEOUT_S) as writer,
    ):
        load = Load(client=client, questions=questions, rate=rate, traffic=traffic, arms=arms)
        work = [asyncio.create_task(load.run(stop))]
        if writes:
            traffic.writes = WriteLoad(client=writer)
            work.append(asyncio.create_task(traffic.writes.run(stop)))
        if db_url:
            work.append(asyncio.create_task(feed(db_url, traffic=traffic, stop=stop)))
        while not all(task.done() for task in work):
            await asyncio.wait(work, timeout=1.0)
            traffic.write()
        for task in work:
            task.result()


def main() -> None:
    """See the module's first lines; DOCS_DB_URL names the database whose ``ingest_source`` is fed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo.load", description="Steady traffic on the sandbox.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--arm", metavar="NAME=URL", action="append", default=[], help="where an arm is asked")
    parser.add_argument("--writes", metavar="URL", help="where constant writes go (default: none)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gold", type=Path, required=True)
    args = parser.parse_args()
    if args.rate <= 0:
        sys.exit(f"load: --rate {args.rate} is not above 0")
    arms = dict(each.partition("=")[::2] for each in args.arm)
    try:
        questions = gold_questions(args.gold)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"load: {args.gold}: cannot be read as a gold set: {error}")
    if not questions:
        sys.exit(f"load: {args.gold}: no questions in it")
    db_url = os.environ.get("DOCS_DB_URL", "")
    drawn = {"arms": arms, "rate": args.rate, "questions": questions, "db_url": db_url, "writes": args.writes}
    asyncio.run(drive(url=args.url, out=args.out, **drawn))


def _connect(db_url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(db_url, autocommit=True, connect_timeout=3, application_name="docs-load")


def _append(conn: psycopg.Connection[Any], count: int) -> None:
    line = _HARBOUR[count % len(_HARBOUR)].format(n=count)
    stream = LOGGED[count % len(LOGGED)]
    ingest.append(conn, stream=stream, key=f"harbour-{count}", text=f"Harbour log {count}: {line}.")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    main()
