"""Rule ``rollback_path``: was the way back tried, and was it quick enough?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from switchover.judge.outcome import Measured, Outcome, Verdict, unmeasured
from switchover.judge.rules.base import Rule

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance


class RollbackPathRule(Rule):
    """Was the way back tried, and was it quick enough?"""

    name = "rollback_path"
    short = "The rehearsed way back."
    measures = "seconds to restore in the rehearsal"
    minimum_of = "rehearsals"
    from_probes = False
    not_in_power = "one rehearsal is enough"
    first_steps = (
        "Rights: may the connection create and remove the shadow?",
        "Is the store slow now (locks, failover)?",
        "Do not flip until it is quick: the way back is what makes the way forward safe.",
    )

    accept: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=120, description="Highest accepted time to restore, in seconds, as the rehearsal measured it."
    )

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """Without a rehearsal the verdict is open."""
        spec, seconds = self.spec("accept"), seen.rehearsal_ttr_s
        if seconds is None:
            return unmeasured(spec, "needs a rehearsal of the way back", Outcome.INCONCLUSIVE)
        if not (math.isfinite(seconds) and seconds >= 0):
            return unmeasured(spec, f"the rehearsal measured {seconds} s")
        return super().judge_acceptance(seen)

    def measured(self, seen: Acceptance) -> Measured:
        """The time of the newest rehearsal."""
        seconds = math.nan if seen.rehearsal_ttr_s is None else seen.rehearsal_ttr_s
        return Measured(value=seconds, strict=seconds, n=1)
