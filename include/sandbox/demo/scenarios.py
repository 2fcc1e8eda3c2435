"""The demo's scenarios: how Green is built, what happens to it, and how the switchover must end."""

from __future__ import annotations

from dataclasses import dataclass

BLUE, GREEN = "docs_v1", "docs_v2"
PROMPTS = "docs/examples/docs_prompt.yaml"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One story.

    ``variant`` is how Green's build job goes (``sandbox.service.build``); ``live`` is where the pointer starts;
    ``fault`` is what is done to Green once it is live, when ``late`` of the hold is over (some seconds at least);
    ``plan`` another one than the data plane's. ``outcome`` is the ledger's state at the end, or ``nothing_to_do``;
    ``because`` must stand in the reason.
    """

    name: str
    told: str
    outcome: str
    after: str
    variant: str = "good"
    live: str = BLUE
    fault: str | None = None
    late: float = 0.0
    plan: str | None = None
    because: str = ""

    @property
    def run_state(self) -> str:
        """How Airflow must show the run: only a promotion, or nothing to do, is green."""
        return "success" if self.outcome in ("promoted", "nothing_to_do") else "failed"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="good", told="Green is a good build", outcome="promoted", after=GREEN),
        Scenario(
            name="bad-green",
            told="Green's build job stopped half way",
            variant="truncated",
            outcome="aborted",
            after=BLUE,
            because="acceptance gate: ",
        ),
        Scenario(
            name="regression",
            told="Green's reranker breaks some seconds after the flip",
            fault="rerank-inverted",
            outcome="rolled_back",
            after=BLUE,
            because="stop rule: ",
        ),
        Scenario(
            name="late-regression",
            told="Green's reranker breaks when two thirds of the hold are over",
            fault="rerank-inverted",
            late=2 / 3,
            outcome="rolled_back",
            after=BLUE,
            because="stop rule: ",
        ),
        Scenario(
            name="encoder-mismatch",
            told="Green's vectors come from another encoder of the same dimension",
            variant="wrong-encoder",
            outcome="aborted",
            after=BLUE,
            because="verify: ",
        ),
        Scenario(
            name="good-prompt",
            told="Green has another prompt over the same content",
            variant="better-prompt",
            plan=PROMPTS,
            outcome="promoted",
            after=GREEN,
        ),
        Scenario(
            name="bad-prompt",
            told="Green's prompt makes every answer cite the prompt's own example",
            variant="bad-prompt",
            plan=PROMPTS,
            outcome="aborted",
            after=BLUE,
            because="acceptance gate: cited_right FAIL",
        ),
        Scenario(
            name="late-prompt",
            told="Green's answers cite the prompt's own example some seconds after the flip",
            variant="better-prompt",
            plan=PROMPTS,
            fault="copied-example",
            outcome="rolled_back",
            after=BLUE,
        ),
        Scenario(name="already-live", told="Green is live already", live=GREEN, outcome="nothing_to_do", after=GREEN),
    )
}
