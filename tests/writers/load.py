"""Constant load: messages to Kafka, rows to the log, calls to the service. None of it waits for a switchover."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
from confluent_kafka import Producer

from sandbox.writers.load_writes import PAUSE_S, TAKEN
from tests.writers.scene import Scene

KEYS, CALLERS = 64, 8
ROWS_SHARE = 0.06  # of the messages' rate
CALLS_S = 4.0  # calls a second of one caller
_ROWS = """INSERT INTO ingest_source (stream, key, text)
    SELECT 'process', 'k' || n %% 8, 'Row ' || n || ' of the storm.' FROM generate_series(%s::int, %s) AS n"""
ANSWERS = """CREATE TABLE storm_answer (
    id bigserial PRIMARY KEY, key text NOT NULL, revision bigint NOT NULL, status int NOT NULL, how text)"""


class Load:
    """``rate``: messages a second. ``services``: base addresses of the service's replicas."""

    def __init__(self, *, scene: Scene, services: Sequence[str], rate: float) -> None:
        self._scene = scene
        self._services = services
        self._rate = rate
        self._stop = threading.Event()
        self.messages = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Load until the end of the block; what was begun is ended."""
        jobs = (self._produce, self._append, lambda: asyncio.run(self._call_all()))
        with ThreadPoolExecutor(len(jobs)) as pool:
            running = [pool.submit(job) for job in jobs]
            try:
                yield
            finally:
                self._stop.set()
            for job in running:
                job.result()

    def _paced(self, rate: float) -> Iterator[int]:
        """How many should be done by now, twenty times a second."""
        began = time.monotonic()
        while not self._stop.wait(0.05):
            yield int(rate * (time.monotonic() - began))

    def _produce(self) -> None:
        producer = Producer({**self._scene.kafka, "enable.idempotence": True, "linger.ms": 5})
        sequence = [0] * KEYS
        for upto in self._paced(self._rate):
            for number in range(self.messages, upto):
                key = number * 7 % KEYS
                sequence[key] += 1
                value = json.dumps({"key": key, "seq": sequence[key]})
                producer.produce(self._scene.topic, key=str(key), value=value)
            producer.poll(0)
            self.messages = upto
        if producer.flush(30):
            raise TimeoutError("messages were not delivered to Kafka")

    def _append(self) -> None:
        done = 0
        with psycopg.connect(self._scene.db_url, autocommit=True) as conn:
            for upto in self._paced(self._rate * ROWS_SHARE):
                if upto > done:
                    conn.execute(_ROWS, [done + 1, upto])
                done = upto

    async def _call_all(self) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)
        async with httpx.AsyncClient(timeout=10) as client:
            with psycopg.connect(self._scene.db_url, autocommit=True) as answers:
                await asyncio.gather(*(self._caller(client, answers, f"berth-{n}") for n in range(CALLERS)))

    async def _caller(self, client: httpx.AsyncClient, answers: psycopg.Connection[Any], key: str) -> None:
        """One key: its next revision only when the last was taken in."""
        revision = 0
        while not self._stop.is_set():
            revision += 1
            await self._call(client, answers, key, revision)
            await asyncio.sleep(1 / CALLS_S)

    async def _call(self, client: httpx.AsyncClient, answers: psycopg.Connection[Any], key: str, revision: int) -> None:
        """Repeat one write, at one replica after the other, until it is taken in; keep every answer."""
        body = {"key": key, "revision": revision, "text": f"{key}, entry {revision}: a barge with gravel moored."}
        attempt = revision
        while True:
            attempt += 1
            pause = PAUSE_S
            try:
                response = await client.post(f"{self._services[attempt % len(self._services)]}/write", json=body)
            except httpx.TransportError:
                await asyncio.sleep(pause)  # whether it was taken in is not known
                continue
            answers.execute(
                "INSERT INTO storm_answer (key, revision, status, how) VALUES (%s, %s, %s, %s)",
                [key, revision, response.status_code, response.json().get("how")],
            )
            if response.status_code in TAKEN:
                return
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                raise RuntimeError(f"{key} {revision} was refused: {response.status_code} {response.text}")
            await asyncio.sleep(float(response.headers.get("Retry-After", pause)))
