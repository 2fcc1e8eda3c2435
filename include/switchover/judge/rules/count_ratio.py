"""Rule ``count_ratio``: does Green's index hold about as many rows as Blue's?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from switchover.judge.outcome import Measured, Verdict, unmeasured
from switchover.judge.rules.base import HoldingsRule

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance
    from switchover.judge.holdings import Holdings


class CountRatioRule(HoldingsRule):
    """Does Green's index hold about as many rows as Blue's? Asked at the warm gate."""

    name = "count_ratio"
    short = "Rows of Green's index beside Blue's."
    measures = "rows of Green's index divided by rows of Blue's"
    comparison = ">="
    minimum_of = "indexes"
    not_in_power = "rows are counted, not sampled"
    first_steps = (
        "Did the build end before its source did? `switchover build` says what it has read.",
        "Is a source, a language or a day missing? Compare counts by source in both indexes.",
        "Fewer rows are meant (other chunking, documents retired)? Set `rules.count_ratio.accept` to what is expected.",
    )

    accept: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = Field(
        default=0.9, description="Lowest accepted share of Blue's rows."
    )

    def beside_the_point(self, held: Holdings) -> str:
        """See the base."""
        if held.one:
            return "both arms use one index"
        return "the arms cut documents differently (CHUNK_SCHEMA_VER), so rows do not compare" if held.recut else ""

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """See ``Rule``. Without rows in Blue there is no ratio."""
        held = seen.holdings
        if held is not None and not (held.error or self.beside_the_point(held) or held.blue):
            return unmeasured(self.spec("accept"), "needs rows in Blue's index to count against; found none")
        return super().judge_acceptance(seen)

    def measured(self, seen: Acceptance) -> Measured:
        """The ratio as the stores count."""
        held = self.held(seen)
        ratio = held.green / held.blue
        return Measured(value=ratio, strict=ratio, n=2, note=f"Green {held.green:,} rows, Blue {held.blue:,}")
