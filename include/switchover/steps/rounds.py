"""The rounds of probes of a run: both arms asked, what they answered recorded, the evidence of a phase read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from switchover.arms.client import ArmClient
from switchover.arms.probe import Asked, Round, ask_round, evidence_rows
from switchover.errors import BadInput, Unstorable
from switchover.judge.evidence import Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.steps.world import World


class Rounds:
    """The rounds of one run."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def ask(
        self,
        round: Round,
        arms: Mapping[str, ArmClient],
        *,
        began: datetime,
        seconds: float | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Asked]:
        """Ask both arms the whole gold set; see :func:`ask_round`."""
        gold = await asyncio.to_thread(lambda: self._world.gold)  # reads a file and the corpus at its first use
        return await ask_round(
            round,
            arms=arms,
            gold=gold,
            spec=self._world.plan.probes,
            began=began,
            seconds=seconds,
            on_progress=on_progress,
        )

    def record(self, round: Round, asked: Sequence[Asked]) -> list[EvidenceRow]:
        """Measure a round and write it down: its evidence rows, which it returns, and each retrieved text once."""
        world = self._world
        if not asked:
            return []
        completer = world.completer(world.read())
        rows = evidence_rows(
            asked, round, gold=world.gold, encoder=world.encoder, probes=world.plan.probes, completer=completer
        )
        kept = world.ledger.evidence.keep(world.id, rows)
        try:
            replies = completer.complete([(probe.arm, probe.reply) for probe in asked])
            texts = [(p.arm, hit) for p, reply in zip(asked, replies, strict=True) for hit in reply.hits]
            world.ledger.subjects.retrieved(world.id, texts)
        except Unstorable as error:
            world.say(f"retrieved texts are not kept: {error}")
        return kept

    def evidence(self, phase: str) -> Evidence:
        """All evidence of a phase as the judge reads it; every question of the gold set is expected.

        ``BadInput`` when there are rows of any other question: the gold set is not the one that was asked.
        """
        world = self._world
        found = world.ledger.evidence.load(world.id, phase=phase, questions=world.gold.ids)
        if found.left_out:
            raise BadInput(
                f"switchover {world.id!r}: {found.left_out} {phase} evidence rows are of no question of the gold set"
                f" ({len(world.gold.ids)} questions); put back the one that the run began with"
            )
        return found.evidence
