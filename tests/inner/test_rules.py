"""The rules as data: defaults of SPEC section 4, refusals, and a page for each."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from switchover.judge.rules import RULE_KINDS, Rules

PAGES = Path(__file__).parents[2] / "docs" / "rules"
HEADINGS = ("## Definition", "## Formula", "## Worked example", "## Default and why", "## When it fires")


def test_the_defaults_are_those_of_the_contract() -> None:
    rows = {(spec.side, spec.name): (spec.comparison, spec.bound) for spec in Rules().table()}
    assert rows == {
        ("accept", "ds_question"): ("<=", 0.45),
        ("accept", "ds_p95_drift"): ("<=", 0.10),
        ("accept", "coverage"): (">=", 0.70),
        ("accept", "coverage_vs_blue"): (">=", -0.02),
        ("accept", "count_ratio"): (">=", 0.9),
        ("accept", "gold_present"): (">=", 1.0),
        ("accept", "recall_at_k"): (">=", -0.02),
        ("accept", "ndcg_at_k"): (">=", -0.02),
        ("accept", "mrr"): (">=", -0.02),
        ("accept", "ds_anchor"): ("<=", 0.02),
        ("accept", "cited_right"): (">=", -0.02),
        ("accept", "cited_retrieved"): (">=", -0.02),
        ("accept", "no_citation"): ("<=", 0.02),
        ("accept", "answer_match"): (">=", -0.02),
        ("accept", "flip_rate"): ("<=", 0.20),
        ("accept", "flips_vs_blue"): ("<=", 0.0),
        ("accept", "latency_p95"): ("<=", 0.15),
        ("accept", "error_rate"): ("<=", 0.005),
        ("accept", "http_5xx"): ("<=", 0.005),
        ("accept", "tool_loops"): ("<=", 0),
        ("accept", "rollback_path"): ("<=", 120),
        ("accept", "live_traffic"): (">=", 1),
        ("accept", "cache_poison"): ("<=", 0),
        ("stop", "ds_p95_drift"): ("<=", 0.15),
        ("stop", "coverage"): (">=", 0.60),
        ("stop", "flip_rate"): ("<=", 0.20),
        ("stop", "error_rate"): ("<=", 0.05),
        ("stop", "http_5xx"): ("<=", 0.01),
        ("stop", "tool_loops"): ("<=", 0),
        ("stop", "live_traffic"): (">=", 1),
        ("stop", "cache_poison"): ("<=", 0),
    }


def test_a_stop_that_is_null_is_no_rule_and_one_that_is_set_is() -> None:
    rules = Rules.model_validate({"coverage": {"stop": None}, "latency_p95": {"stop": 0.5}})
    stops = {spec.name: spec.bound for spec in rules.table() if spec.side == "stop"}
    assert "coverage" not in stops
    assert stops["latency_p95"] == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coverage": {"acept": 0.7}}, "coverage.acept"),
        ({"recall": {}}, "recall"),
        ({"coverage": {"accept": 1.5}}, "coverage.accept"),
        ({"coverage": {"accept": float("nan")}}, "coverage.accept"),
        ({"http_5xx": {"stop": 0.001}}, "http_5xx: stop 0.001 is below accept 0.005"),
        ({"coverage": {"stop": 0.8}}, "coverage: stop 0.8 is above accept 0.7"),
        ({"rollback_path": {"accept": 0}}, "rollback_path.accept"),
        ({"statistics": {"false_stops": 0}}, "statistics.false_stops"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Rules.model_validate(given)


def test_rules_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Rules().coverage.accept = 0.1  # type: ignore[misc]


def fields(model: type[BaseModel], path: str = "rules") -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, field in model.model_fields.items():
        found[f"{path}.{name}"] = field.description
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= fields(field.annotation, f"{path}.{name}")
    return found


def test_every_key_says_what_it_is() -> None:
    assert [path for path, text in fields(Rules).items() if not text] == []


@pytest.mark.parametrize("rule", RULE_KINDS)
def test_every_rule_has_a_page_that_says_everything(rule: str) -> None:
    text = (PAGES / f"{rule}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {rule}\n")
    assert [heading for heading in HEADINGS if heading not in text] == []


def test_there_is_no_page_without_a_rule_and_the_index_names_every_page() -> None:
    pages = {page.stem for page in PAGES.glob("*.md")} - {"index", "hold"}
    assert pages == set(RULE_KINDS)
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    assert [name for name in (*RULE_KINDS, "hold") if f"({name}.md)" not in index] == []


def test_the_pages_state_the_defaults_that_hold() -> None:
    wrong = []
    for spec in Rules().table():
        key = spec.side if spec.side in type(getattr(Rules(), spec.name)).model_fields else "accept"
        fields = type(getattr(Rules(), spec.name)).model_fields
        key = "margin" if "margin" in fields and "accept" not in fields else key
        own = getattr(getattr(Rules(), spec.name), key, spec.bound) is None  # the judge encoder's own bound
        line = f"| `{key}` | {'null' if own else format(abs(spec.bound), 'g')} |"
        if line not in (PAGES / f"{spec.name}.md").read_text(encoding="utf-8"):
            wrong.append(f"{spec.name}: no line {line}")
    assert wrong == []
