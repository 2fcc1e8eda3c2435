"""Ask both arms the same thing at the same moment, and measure what came back.

Every question, paraphrase and seed is asked of both arms back to back, in an order that is shuffled per
round, so that a slow moment of the machine hits both alike.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from switchover.arms.asked import Asked as Asked
from switchover.arms.client import ArmClient
from switchover.arms.complete import Completer
from switchover.arms.coverage import covered
from switchover.arms.said import said
from switchover.arms.spec import Probes
from switchover.edge.answers import STAGES
from switchover.encoders.base import Encoder
from switchover.gold.goldset import GoldSet
from switchover.judge import measure
from switchover.judge.evidence_row import EvidenceRow

SAME_CALL_IS_A_LOOP = 3
TRIALS = 3  # questions that are asked before a run, to see whether answers can be read


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round over the gold set: how it is stored, and its order of asking."""

    phase: str
    tick: int
    seeds: Sequence[int]


async def ask_round(
    round: Round,
    *,
    arms: Mapping[str, ArmClient],
    gold: GoldSet,
    spec: Probes,
    began: datetime | None = None,
    seconds: float | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_asked: Callable[[Asked], None] = lambda asked: None,
) -> list[Asked]:
    """Ask ``arms`` (role -> client) every question, paraphrase and seed of a round.

    ``began``: the ledger's time now, from which probes are dated; a worker's own clock may be wrong. ``seconds``: the
    round ends then with what was answered or has failed; what is missing is missing from the evidence. ``on_asked``
    sees each probe at once; what it raises ends the round.
    """
    began, zero = began or datetime.now(timezone.utc), time.monotonic()
    order = random.Random(f"{round.phase}:{round.tick}")  # noqa: S311 - an order, not a secret
    todo = [(q, p, s) for q in range(len(gold.items)) for p in range(gold.asked) for s in round.seeds]
    order.shuffle(todo)
    limit = asyncio.Semaphore(spec.concurrency)
    asked: list[Asked] = []

    async def one(question: int, paraphrase: int, seed: int, roles: Sequence[str]) -> None:
        text = gold.wordings(gold.items[question])[paraphrase]
        async with limit:
            for role in roles:
                at = began + timedelta(seconds=time.monotonic() - zero)
                reply = await arms[role].ask(text, seed=seed, k=spec.k)
                probe = Asked(arm=role, question=question, paraphrase=paraphrase, seed=seed, reply=reply, at=at)
                asked.append(probe)
                on_asked(probe)
            on_progress(len(asked), len(todo) * len(arms))

    tasks = [asyncio.create_task(one(*probe, roles=order.sample(sorted(arms), len(arms)))) for probe in todo]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return asked


def trial_questions(gold: GoldSet) -> list[str]:
    """The first questions that have an answer: what a service must find hits for."""
    return [item.question for item in gold.items if item.answerable][:TRIALS]


def evidence_rows(
    asked: Sequence[Asked],
    round: Round,
    *,
    gold: GoldSet,
    encoder: Encoder,
    probes: Probes,
    completer: Completer | None = None,
) -> list[EvidenceRow]:
    """Measure a round: one evidence row a probe.

    ``completer``: works out what replies do not say; it remembers what it has worked out. CPU only, but for texts that
    it fetches.
    """
    completer = completer or Completer(gold=gold, encoder=encoder)
    replies = completer.complete([(probe.arm, probe.reply) for probe in asked])
    asked = [replace(probe, reply=reply) for probe, reply in zip(asked, replies, strict=True)]
    context = _contexts(asked, encoder, probes)
    texts = [gold.wordings(gold.items[a.question])[a.paraphrase] for a in asked]
    questions = _encode_unique(texts, encoder, query=True)
    anchors = encoder.encode(gold.anchors)[[a.question for a in asked]]
    ds_question = measure.delta_s(questions, context)
    ds_anchor = measure.delta_s(context, anchors)
    found = covered(
        [probe.question for probe in asked], [probe.reply.hits for probe in asked], gold, encoder=encoder, k=probes.k
    )
    answers = said(asked, gold=gold, encoder=encoder)
    rows: list[EvidenceRow] = []
    for index, probe in enumerate(asked):
        reply, answerable = probe.reply, gold.items[probe.question].answerable
        error = reply.error
        rows.append(
            EvidenceRow(
                phase=round.phase,
                tick=round.tick,
                arm=probe.arm,
                question=gold.items[probe.question].id,
                paraphrase=probe.paraphrase,
                seed=probe.seed,
                ds_question=float(ds_question[index]) if error is None else 1.0,
                ds_anchor=float(ds_anchor[index]) if error is None else 1.0,
                coverage=(float(found.coverage[index]) if error is None else 0.0) if answerable else None,
                ndcg=_known(found.ndcg[index], error),
                reciprocal_rank=_known(found.reciprocal_rank[index], error),
                cited=reply.cited,
                status=reply.status,
                error=error,
                **{f"ms_{stage}": reply.stages_ms.get(stage) if error is None else None for stage in STAGES},
                tool_loop=is_tool_loop(reply.tool_calls or (), max_depth=probes.max_tool_depth),
                lacks=" ".join(sorted(reply.lacks)) or None if error is None else None,
                **vars(answers[index]),
                hits=[hit.to_json(rank) for rank, hit in enumerate(reply.hits, start=1)],
                at=probe.at,
            )
        )
    return rows


def _known(value: float, error: str | None) -> float | None:
    """A figure of a ranking, the worst where the probe failed; ``None`` where nothing is judged by ids."""
    return None if np.isnan(value) else 0.0 if error is not None else float(value)


def is_tool_loop(calls: Sequence[Mapping[str, Any]], *, max_depth: int) -> bool:
    """The same (tool, arguments digest) three times in one request, or more calls than ``max_depth``."""
    counts = Counter((call.get("tool"), call["arguments_digest"]) for call in calls if "arguments_digest" in call)
    return len(calls) > max_depth or any(count >= SAME_CALL_IS_A_LOOP for count in counts.values())


def _contexts(asked: Sequence[Asked], encoder: Encoder, probes: Probes) -> Any:
    hits = [(row, hit) for row, probe in enumerate(asked) for hit in probe.reply.hits]
    vectors = _encode_unique([hit.text or "" for _, hit in hits], encoder)
    return measure.context_vectors(
        vectors,
        np.array([float(hit.tokens) for _, hit in hits]),
        np.array([row for row, _ in hits], dtype=np.int64),
        len(asked),
        mode=probes.context,
    )


def _encode_unique(texts: Sequence[str], encoder: Encoder, *, query: bool = False) -> Any:
    """Encode each different text once; the same chunks come back for many probes."""
    unique = {text: position for position, text in enumerate(dict.fromkeys(texts))}
    return encoder.encode(list(unique), query=query)[[unique[text] for text in texts]]
