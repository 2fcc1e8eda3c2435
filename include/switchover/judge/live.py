"""The verdict ``live_traffic``: is what users get on Green seen at all, and is it Green that they get?"""

from __future__ import annotations

from switchover.judge.outcome import Outcome, Verdict
from switchover.judge.settings import Rules
from switchover.judge.traffic import Signals, Traffic

RULE = "live_traffic"


def judge_live(signals: Signals, *, rules: Rules) -> Verdict:
    """PASS while there are live requests on Green; a silence where there were some before is INCONCLUSIVE.

    A silence of three windows that is not chance is FAIL: it stops the hold. Dead signals are an ERROR.
    """
    traffic, window = Traffic.of(signals), rules.statistics.window
    outcome, needs = Outcome.PASS, traffic.blocked(window)
    if traffic.dead:
        outcome = Outcome.ERROR
    elif traffic.stopped(window):
        outcome = Outcome.FAIL
    elif needs:
        outcome = Outcome.INCONCLUSIVE
    recent = traffic.parts[-window:]
    return Verdict(
        rule=RULE,
        outcome=outcome,
        value=float(sum(part.requests for part in recent)),
        bound=1.0,
        comparison=">=",
        n=sum(part.requests + part.elsewhere for part in recent),
        n_of="live requests",
        needs=needs,
    )
