"""Record what holds look like in the sandbox: the input of ``simulate_hold.py``.

    python bench/record_profile.py [--ticks 40] [--out bench/hold_profile.json]

Starts PostgreSQL, the retrieval service and 20 live requests a second (no Airflow), and asks *the same arm
twice* (Green as Blue and as Green, back to back, as a hold does) the whole gold set every tick. Writes the
arm's figures and the noise between repeated probes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import sqlalchemy as sa

from sandbox.demo.stack import Stack, answers, python
from sandbox.processes.airflow_home import DOCS_DB
from switchover.arms.client import ArmClient
from switchover.arms.probe import Round, ask_round, evidence_rows
from switchover.arms.spec import Arm, Probes
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.corpus.table import TableDocuments
from switchover.gold.goldset import GoldSet, load_gold
from switchover.judge.evidence_row import EvidenceRow

GOLD = Path(__file__).parents[1] / "include" / "gold" / "python_reference.jsonl"
TARGET, RATE = "docs_v2", 20.0
Rows = Sequence[EvidenceRow]


async def record(url: str, gold: GoldSet, encoder: WordLlamaEncoder, ticks: int) -> list[EvidenceRow]:
    """Evidence rows of ``ticks`` ticks of an A/A hold."""
    spec, rows = Arm(connection="none", headers={"X-Switchover-Arm": TARGET}), []
    async with httpx.AsyncClient(base_url=url) as client:
        arms = {role: ArmClient(client=client, name=TARGET, spec=spec, timeout_s=10.0) for role in ("blue", "green")}
        for tick in range(ticks):
            round = Round(phase="hold", tick=tick, seeds=[tick % 2])
            asked = await ask_round(round, arms=arms, gold=gold, spec=Probes())
            rows += evidence_rows(asked, round, gold=gold, encoder=encoder, probes=Probes())
    return rows


def profile(rows: Rows, gold: GoldSet, ticks: int) -> dict[str, Any]:
    """The arm's usual figures per question and paraphrase, and how often and how far a probe differs from them."""
    sections: dict[str, int] = {}
    code: dict[str | None, int] = {None: -1}
    for row in rows:
        if row.cited is not None:
            code[row.cited] = sections.setdefault(row.cited, len(sections))
    position = {id: index for index, id in enumerate(gold.ids)}
    shape = (len(gold.ids), 3)
    tables = {name: np.full((*shape, 2 * ticks), np.nan) for name in ("ds_question", "coverage", "cited")}
    filled = np.zeros(shape, np.int64)
    bad = sum(not 200 <= row.status < 300 for row in rows)
    for row in rows:
        cell = position[row.question], row.paraphrase
        if 200 <= row.status < 300:
            at = (*cell, filled[cell])
            tables["ds_question"][at], tables["cited"][at] = row.ds_question, code[row.cited]
            tables["coverage"][at] = row.coverage if row.coverage is not None else np.nan
            filled[cell] += 1
    usual = {name: np.nanmedian(table, axis=2) for name, table in tables.items()}
    there = ~np.isnan(tables["ds_question"])
    moved = np.abs(tables["coverage"] - usual["coverage"][..., None]) > 1e-9
    differs = there & (moved | (tables["cited"] != usual["cited"][..., None]))
    spread = (tables["ds_question"] - usual["ds_question"][..., None])[there & ~differs]
    answerable = [item.answerable for item in gold.items]
    total = np.array([row.ms_total for row in rows if row.ms_total is not None])
    return {
        "source": f"{ticks} ticks of an A/A hold of the sandbox's {TARGET}, {RATE:g} live requests/s beside it",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "probes": len(rows),
        "arm": {
            "ds": usual["ds_question"][answerable].round(6).tolist(),
            "coverage": usual["coverage"][answerable].round(6).tolist(),
            "cited": usual["cited"][answerable].astype(int).tolist(),
        },
        "noise": {
            "ds_sd": round(float(spread.std()), 6),
            "changed": round(float(differs.sum() / there.sum()), 6),
            "errors": round(bad / len(rows), 6),
        },
        "ms_total": {f"p{q}": round(float(np.percentile(total, q)), 2) for q in (5, 50, 95, 99)},
    }


def main() -> None:
    """Start, record, write, end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ticks", type=int, default=40, help="ticks to record (default: 40)")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("hold_profile.json"))
    options = parser.parse_args()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    encoder = WordLlamaEncoder()
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(state=Path(folder) / "state", airflow_port=0, service_port=0) as stack,
    ):
        stack.start_postgres()
        for target in ("docs_v1", TARGET):
            stack.run(f"build {target}", python("sandbox.service.build", "--target", target, "--alias", "docs"))
        url = stack.service_url
        port, ready = ("--port", str(stack.service_port)), answers(f"{url}/healthz/ready")
        stack.start_service("service", python("sandbox.service.service", *port), ready=ready)
        load = ("--url", url, "--rate", str(RATE), "--out", f"{folder}/traffic.json", "--gold", str(GOLD))
        stack.start_service("load", python("sandbox.demo.load", *load))
        engine = sa.create_engine(stack.postgres.sqlalchemy_url(DOCS_DB))
        gold = load_gold(GOLD, corpus=TableDocuments(engine=engine, table="documents").texts, encoder=encoder)
        engine.dispose()
        rows = asyncio.run(record(url, gold, encoder, options.ticks))
    found = profile(rows, gold, options.ticks)
    options.out.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(json.dumps({key: found[key] for key in ("source", "probes", "noise", "ms_total")}, indent=2))


if __name__ == "__main__":
    main()
