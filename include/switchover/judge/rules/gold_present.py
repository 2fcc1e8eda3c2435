"""Rule ``gold_present``: does Green's index hold the documents that answer the gold set, as far as Blue's does?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import Measured, Outcome, Verdict, unmeasured
from switchover.judge.rules.base import HoldingsRule
from switchover.judge.settings import Share

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance
    from switchover.judge.holdings import Holdings

NAMED = 5  # of those that are lost


class GoldPresentRule(HoldingsRule):
    """Does Green's index hold every gold document that Blue's holds? Asked at the warm gate."""

    name = "gold_present"
    short = "Gold documents that Green's index holds, of those in Blue's."
    measures = "share of the gold documents in Blue's index that Green's holds"
    comparison = ">="
    minimum_of = "gold documents in Blue's index"
    not_in_power = "documents are looked up, not sampled"
    first_steps = (
        "The verdict's line names what is missing: does the source still have it?",
        "Did the build leave out a source, a format or a language, or end early?",
        "Is the document there under another id? `index.doc` must name the same ids on both arms.",
    )

    accept: Share = Field(default=1.0, description="Lowest accepted share.")

    def beside_the_point(self, held: Holdings) -> str:
        """See the base."""
        return "both arms use one index" if held.one else held.untold

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """See ``Rule``. Where Blue holds none of them nothing could be missing: that proves nothing."""
        held = seen.holdings
        if held is not None and not (held.error or self.beside_the_point(held) or held.in_blue):
            why = f"Blue's index holds none of the {held.asked} {held.what} that answers name: are the ids the same?"
            return unmeasured(self.spec("accept"), why, Outcome.INCONCLUSIVE)
        return super().judge_acceptance(seen)

    def measured(self, seen: Acceptance) -> Measured:
        """The share, and the first of those that are missing by name."""
        held = self.held(seen)
        lost, there = held.lost, len(set(held.in_blue))
        share = 1 - len(lost) / there
        named = ", ".join(lost[:NAMED]) + (f" and {len(lost) - NAMED} more" if len(lost) > NAMED else "")
        found = f"{there} of {held.asked} {held.what} that answers name are in Blue's index"
        return Measured(value=share, strict=share, n=there, note=f"{found}{f'; not in Green: {named}' if lost else ''}")
