"""Every rule, in the order in which it is shown: the one place that knows them all. Adding a rule adds a line here.

A plan may set any of it under the key ``rules:``; what it leaves out has the default that the rule's file says.
One page a rule, with its formula and an example by hand, is in ``docs/rules/``.
"""

from __future__ import annotations

from pydantic import Field

from switchover.judge.power import Setup, Sufficiency
from switchover.judge.rules.answer_match import AnswerMatchRule
from switchover.judge.rules.base import Rule, RuleList, listed
from switchover.judge.rules.cache_poison import CachePoisonRule
from switchover.judge.rules.cited_retrieved import CitedRetrievedRule
from switchover.judge.rules.cited_right import CitedRightRule
from switchover.judge.rules.count_ratio import CountRatioRule
from switchover.judge.rules.coverage import CoverageRule
from switchover.judge.rules.coverage_vs_blue import CoverageVsBlueRule
from switchover.judge.rules.ds_anchor import DsAnchorRule
from switchover.judge.rules.ds_p95_drift import DsP95DriftRule
from switchover.judge.rules.ds_question import DsQuestionRule
from switchover.judge.rules.error_rate import ErrorRateRule
from switchover.judge.rules.flip_rate import FlipRateRule
from switchover.judge.rules.flips_vs_blue import FlipsVsBlueRule
from switchover.judge.rules.gold_present import GoldPresentRule
from switchover.judge.rules.http_5xx import Http5xxRule
from switchover.judge.rules.latency_p95 import LatencyP95Rule
from switchover.judge.rules.live_traffic import LiveTrafficRule
from switchover.judge.rules.mrr import MrrRule
from switchover.judge.rules.ndcg_at_k import NdcgAtKRule
from switchover.judge.rules.no_citation import NoCitationRule
from switchover.judge.rules.recall_at_k import RecallAtKRule
from switchover.judge.rules.rollback_path import RollbackPathRule
from switchover.judge.rules.tool_loops import ToolLoopsRule
from switchover.judge.settings import RuleSpec, Statistics

__all__ = ["RULE_KINDS", "Rule", "RuleSpec", "Rules", "Statistics"]


class Rules(RuleList):
    """Every rule of one plan."""

    ds_question: DsQuestionRule = listed(DsQuestionRule)
    ds_p95_drift: DsP95DriftRule = listed(DsP95DriftRule)
    coverage: CoverageRule = listed(CoverageRule)
    coverage_vs_blue: CoverageVsBlueRule = listed(CoverageVsBlueRule)
    count_ratio: CountRatioRule = listed(CountRatioRule)
    gold_present: GoldPresentRule = listed(GoldPresentRule)
    recall_at_k: RecallAtKRule = listed(RecallAtKRule)
    ndcg_at_k: NdcgAtKRule = listed(NdcgAtKRule)
    mrr: MrrRule = listed(MrrRule)
    ds_anchor: DsAnchorRule = listed(DsAnchorRule)
    cited_right: CitedRightRule = listed(CitedRightRule)
    cited_retrieved: CitedRetrievedRule = listed(CitedRetrievedRule)
    no_citation: NoCitationRule = listed(NoCitationRule)
    answer_match: AnswerMatchRule = listed(AnswerMatchRule)
    flip_rate: FlipRateRule = listed(FlipRateRule)
    flips_vs_blue: FlipsVsBlueRule = listed(FlipsVsBlueRule)
    latency_p95: LatencyP95Rule = listed(LatencyP95Rule)
    error_rate: ErrorRateRule = listed(ErrorRateRule)
    http_5xx: Http5xxRule = listed(Http5xxRule)
    tool_loops: ToolLoopsRule = listed(ToolLoopsRule)
    rollback_path: RollbackPathRule = listed(RollbackPathRule)
    live_traffic: LiveTrafficRule = listed(LiveTrafficRule)
    cache_poison: CachePoisonRule = listed(CachePoisonRule)
    statistics: Statistics = Field(default_factory=Statistics, description="How sure the judge wants to be.")

    def sufficiency(self, setup: Setup) -> list[Sufficiency]:
        """What each rule can and cannot tell with this setup: first to accept, then to stop."""
        found = [rule.power_to_accept(setup, self.statistics) for rule in self.having("accept")]
        found += [rule.power_to_stop(setup, self.statistics) for rule in self.having("stop")]
        return [each for each in found if each is not None]


RULE_KINDS: dict[str, type[Rule]] = Rules.kinds()
