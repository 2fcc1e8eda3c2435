"""The gold set of a plan, loaded: what a run, ``eval``, ``power`` and ``calibrate`` ask."""

from __future__ import annotations

from pathlib import Path

from switchover.edge.edge import Edge
from switchover.encoders import Encoder
from switchover.errors import GoldError
from switchover.gold.goldset import GoldSet, load_gold
from switchover.judge.rules import Rules
from switchover.plan import Plan


def gold_of(
    plan: Plan, edge: Edge, encoder: Encoder, *, path: Path | None = None, lacking_is_error: bool = True
) -> GoldSet:
    """The plan's gold set, held against its corpus. ``path``: another file, of our own form.

    ``GoldError`` when it cannot be loaded, and when its questions have fewer paraphrases than a rule needs.
    """
    spec, corpus = plan.gold, plan.corpus(edge)
    found = load_gold(
        path or Path(spec.path),
        corpus=corpus.texts if corpus is not None else None,
        encoder=encoder,
        minimum=spec.minimum,
        format=spec.format if path is None else None,
        paraphrases=Path(spec.paraphrases) if spec.paraphrases and path is None else None,
        grade=spec.grade,
        judged=spec.judged,
    )
    lacking = [rule for rule in plan.rules.having("accept") if rule.paraphrases > found.paraphrases]
    if lacking and lacking_is_error:
        names, needed = " and ".join(rule.name for rule in lacking), max(rule.paraphrases for rule in lacking)
        raise GoldError(
            f"{path or spec.path}: {found.paraphrases} paraphrases of each question, and {names} need {needed};"
            f" write them, or turn the rules off by `rules.off`, with the reason"
        )
    return found


def without_paraphrases(rules: Rules, gold: GoldSet) -> Rules:
    """The rules, with those off that need more paraphrases than the gold set has."""
    lacking = [rule.name for rule in rules.each if rule.paraphrases > gold.paraphrases and rule.name not in rules.off]
    off = dict.fromkeys(lacking, f"{gold.paraphrases} paraphrases of each question")
    return rules.model_copy(update={"off": {**rules.off, **off}})
