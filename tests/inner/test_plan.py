"""The plan: every error names file, line, key, what was found and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from switchover import cli
from switchover.approval import Gate
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import PlanError, SwitchoverError
from switchover.notify import Event
from switchover.part import ConnectionId, Part
from switchover.plan import Plan, plan_schema
from switchover.planfile.load import load_plan

ROOT = Path(__file__).parents[2]
PLANS = sorted([*(ROOT / "include" / "plans").glob("*.yaml"), *(ROOT / "docs" / "examples").glob("*.yaml")])

GOOD = """\
service: docs
sandbox: true
pointer:
  kind: pgvector
  connection: docs_db
  alias: docs
readers:
  - name: r1
    connection: docs_service
index:
  kind: pgvector
  connection: docs_db
arms:
  v1: {connection: docs_service}
  v2: {connection: docs_service}
green: v2
writers:
  - kind: sql_fence
    name: w1
    connection: docs_db
    fence: f1
signals:
  kind: sql
  connection: docs_db
gold:
  path: gold.jsonl
  corpus: docs_db
"""


NOTIFY = """\
notify:
  - {kind: slack, connection: chat, events: [rollback, stuck], template: chat.j2}
  - {kind: smtp, connection: mail, to: [team@example.org]}
"""


def write(folder: Path, text: str = GOOD) -> Path:
    (folder / "gold.jsonl").write_text("{}\n")
    path = folder / "docs.yaml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(PlanError) as raised:
        load_plan(write(folder, text))
    return str(raised.value)


def test_a_good_plan_loads_with_defaults(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path))
    assert (plan.hold.minutes, plan.hold.max_minutes, plan.rollback.ttr_s) == (20, 30, 120)
    assert plan.gold.path == str(tmp_path / "gold.jsonl")
    assert plan.connections == ["docs_db", "docs_service", "switchover_ledger"]


def test_the_digest_follows_the_meaning_not_the_text(tmp_path: Path) -> None:
    first = load_plan(write(tmp_path))
    commented = load_plan(write(tmp_path, "# a comment\n" + GOOD))
    changed = load_plan(write(tmp_path, GOOD.replace("fence: f1", "fence: f2")))
    assert first.digest == commented.digest != changed.digest


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("green: v2", "grene: v2", "docs.yaml:16: grene: unknown key (did you mean 'green'?); allowed: service,"),
        (
            "    fence: f1",
            "    fense: f1",
            "docs.yaml:21: writers.0.fense: unknown key (did you mean 'fence'?); allowed: name,",
        ),
        ("green: v2\n", "", "docs.yaml:1: green: missing"),
        ("sandbox: true", "sandbox: perhaps", "docs.yaml:2: sandbox: found 'perhaps'; allowed: a valid boolean"),
        ("  kind: sql\n", "  kind: graphite\n", "signals.kind: found 'graphite'; allowed: 'sql', 'prometheus'"),
        ("  - kind: sql_fence", "  - kind: carrier_pigeon", "docs.yaml:18: writers.0.kind: found 'carrier_pigeon'"),
        ("  kind: pgvector\n", "  kind: pgvektor\n", "pointer.kind: found 'pgvektor'; allowed: 'kafka_group'"),
        ("  kind: pgvector\n", "", "pointer.kind: missing; this key is required"),
        ("green: v2", "green: v3", "green: 'v3' is not an arm; allowed: v1, v2"),
        ("sandbox: true", "hold: {minutes: 5}", "hold.minutes: found 5; allowed: 15 to 30"),
        (
            "green: v2",
            "green: v2\nchanges: [EMBED]",
            "docs.yaml:17: changes: 'EMBED' is not a pin; allowed: INDEX_HASH",
        ),
        ("service: docs", "service: docs\nservice: docs2", "docs.yaml:2: service: given twice; first on line 1"),
        ("path: gold.jsonl", "path: golden.jsonl", "docs.yaml:26: gold.path: no such file: golden.jsonl"),
        ("service: docs", "service: [docs", "docs.yaml:"),
        ("green: v2", "green: v2\nhold: {tick_s: 0}", "docs.yaml:17: hold.tick_s: found 0; allowed: greater than 0"),
        ("green: v2", "green: v2\nschedule: '@daily'\nasset: a", "schedule and asset: only one of the two"),
        (
            "index:\n  kind: pgvector",
            "build: {documents: {connection: docs_db}, chunking: fixed-300/1}\nindex:\n  kind: opensearch",
            "docs.yaml:10: build: indexes of kind 'opensearch' are not built here; allowed: pgvector",
        ),
        ("corpus: docs_db", "corpus: {kind: index}", "gold.corpus: kind index needs `index.doc`"),
    ],
)
def test_bad_plans_are_refused_with_one_clear_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    message = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert expected in message
    assert all(line.startswith(str(tmp_path)) for line in message.splitlines())


@pytest.mark.parametrize(
    ("index", "corpus", "told"),
    [
        ("{kind: milvus, connection: c, doc: doc}", "{kind: index}", "an index of kind 'milvus'; allowed: pgvector"),
        ("{kind: opensearch, connection: c, doc: _id}", "{kind: index, start: s}", "start and `index.doc: _id`"),
    ],
)
def test_an_index_that_cannot_be_the_corpus_is_refused(tmp_path: Path, index: str, corpus: str, told: str) -> None:
    plan = GOOD.replace("index:\n  kind: pgvector\n  connection: docs_db", f"index: {index}")
    assert told in refusal(tmp_path, plan.replace("corpus: docs_db", f"corpus: {corpus}"))


def test_the_corpus_is_the_index_of_the_first_arm_that_is_not_green(tmp_path: Path) -> None:
    plan = GOOD.replace(
        "  kind: pgvector\n  connection: docs_db\narms", "  kind: pgvector\n  connection: docs_db\n  doc: d\narms"
    )
    plan = plan.replace("corpus: docs_db", "corpus: {kind: index, start: s}")
    blue = load_plan(write(tmp_path, plan))
    assert blue._blue.arm == "v1"
    assert load_plan(write(tmp_path, plan.replace("green: v2", "green: v1")))._blue.arm == "v2"
    told = plan.replace("  doc: d\n", "  doc: d\n  targets: {v1: manual, v2: manual_new}\n")
    found = load_plan(write(tmp_path, told))
    edge = Edge(connections=lambda id: Connection(id=id, conn_type="postgres", host="127.0.0.1", port=1))
    documents = found.corpus(edge)
    assert documents is not None
    with pytest.raises(SwitchoverError, match='corpus "manual" in'):
        documents.texts(["a"])
    edge.close()


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD.replace("service: docs", "service: 7").replace("alias: docs", "alias: ''"))
    assert len(message.splitlines()) == 2


def test_a_list_is_no_plan(tmp_path: Path) -> None:
    assert ":1: a plan is a mapping of keys; found list" in refusal(tmp_path, "- a\n- b\n")


def test_the_published_schema_is_the_code_s() -> None:
    published = json.loads((ROOT / "include" / "plans" / "plan.schema.json").read_text())
    assert published == plan_schema(), "run `switchover plan schema > include/plans/plan.schema.json`"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_plans_in_the_repository_load_and_fit_the_schema(path: Path) -> None:
    assert load_plan(path).service
    jsonschema.validate(yaml.safe_load(path.read_text()), plan_schema())


def test_the_schema_refuses_what_the_code_refuses() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(GOOD + "unknown: 1\n"), plan_schema())


def test_channels_name_connections_that_a_run_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "chat.j2").write_text("{{ title }}")
    plan = load_plan(write(tmp_path, GOOD + NOTIFY))
    assert plan.channels == ["chat", "mail"]
    assert not {"chat", "mail"} & set(plan.connections)
    assert plan.notify[0].template == str(tmp_path / "chat.j2")
    assert plan.notify[1].events == list(Event), "everything, unless the plan says otherwise"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("chat.j2", "none.j2", "notify.0.template: no such file: none.j2; allowed: a Jinja2 file"),
        ("stuck", "lunch", "notify.0.events.1: found 'lunch'; allowed: 'flip', 'stop', 'rollback'"),
        ("to: [", "two: [", "notify.1.to: missing"),
        ("kind: smtp", "kind: pigeon", "notify.1.kind: found 'pigeon'"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(tmp_path: Path, before: str, after: str, told: str) -> None:
    (tmp_path / "chat.j2").write_text("{{ title }}")
    assert told in refusal(tmp_path, GOOD + NOTIFY.replace(before, after))


def test_where_people_decide(tmp_path: Path) -> None:
    assert not any(load_plan(write(tmp_path)).asks(gate) for gate in Gate)
    plan = load_plan(write(tmp_path, GOOD + "approve: [before_flip, on_unaccepted]\napprovers: 2\n"))
    assert [gate for gate in Gate if plan.asks(gate)] == [Gate.BEFORE_FLIP, Gate.ON_UNACCEPTED]
    asks = load_plan(write(tmp_path, GOOD + "hold: {on_unaccepted: ask}\n"))
    assert [gate for gate in Gate if asks.asks(gate)] == [Gate.ON_UNACCEPTED]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("approve: [lunch]\n", "approve.0: found 'lunch'; allowed: 'before_flip', 'before_unfreeze'"),
        ("approvers: 3\n", "approvers: found 3; allowed: 1 or 2"),
        ("approve_minutes: 0\n", "approve_minutes: found 0"),
        ("approve: [on_unaccepted]\nhold: {on_unaccepted: extend}\n", "allowed: one of them"),
    ],
)
def test_an_approval_that_cannot_be_is_refused(tmp_path: Path, more: str, told: str) -> None:
    assert told in refusal(tmp_path, GOOD + more)


class Elsewhere(Part):
    """A part that nobody has told the plan of."""

    store: ConnectionId
    second: ConnectionId | None = None
    more: list[ConnectionId] = []  # noqa: RUF012  (pydantic copies it)
    name: str = "no connection"


class WiderPlan(Plan):
    """A plan with such parts."""

    elsewhere: dict[str, list[Elsewhere]]
    spare: dict[str, ConnectionId]


def test_a_connection_is_found_wherever_a_part_names_it(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path, GOOD + NOTIFY.replace(", template: chat.j2", "")))
    parts = {"a": [{"store": "s1", "second": "s2"}], "b": [{"store": "s1", "more": ["s3", "s4"]}, {"store": "s5"}]}
    wider = WiderPlan.model_validate({**plan.model_dump(), "elsewhere": parts, "spare": {"key": "s6"}})
    assert set(wider.connections) - set(plan.connections) == {"s1", "s2", "s3", "s4", "s5", "s6"}
    assert wider.channels == ["chat", "mail"]


OLD = "judge: {dimension: 64, context: top1}\n"
NEW = "judge_encoder: {dimension: 64}\nprobes: {context: top1}\n"


def test_a_plan_with_old_names_means_the_same(tmp_path: Path) -> None:
    old, new = load_plan(write(tmp_path, GOOD + OLD)), load_plan(write(tmp_path, GOOD + NEW))
    assert (old.judge_encoder.dimension, old.probes.context, old.probes.k) == (64, "top1", 5)
    assert (old, old.digest) == (new, new.digest)
    only = load_plan(write(tmp_path, GOOD + "judge: {dimension: 64}\nprobes: {k: 3, context: mean}\n"))
    assert (only.judge_encoder.dimension, only.probes.context, only.probes.k) == (64, "mean", 3)


def test_a_plan_that_a_ledger_keeps_with_old_names_is_read(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path, GOOD + NEW))
    kept = json.loads(plan.to_json())
    encoder, context = kept.pop("judge_encoder"), kept["probes"].pop("context")
    del encoder["kind"]
    before = json.dumps(kept | {"judge": {**encoder, "context": context}})
    assert Plan.model_validate(json.loads(before)) == plan == Plan.model_validate_json(before)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("judge:\n  dimension: 999\n", "docs.yaml:29: judge.dimension: found 999; allowed: less than or equal to 256"),
        ("judge:\n  context: worst\n", "docs.yaml:29: judge.context: found 'worst'; allowed: 'joined', 'top1' or"),
        ("judge:\n  dim: 9\n", "docs.yaml:29: judge.dim: unknown key; allowed: kind, name, revision, dimension"),
        ("judge: 3\n", "docs.yaml:28: judge: found 3; allowed:"),
        (OLD + "judge_encoder: {}\n", "docs.yaml:28: judge: unknown key; allowed:"),
        (OLD + "probes: {context: mean}\n", "docs.yaml:28: judge.context: unknown key; allowed: kind, name"),
        (OLD + "probes: 3\n", "docs.yaml:29: probes: found 3; allowed:"),
    ],
)
def test_what_is_wrong_at_an_old_name_is_told_by_that_name(tmp_path: Path, keys: str, told: str) -> None:
    assert told in refusal(tmp_path, GOOD + keys)


def test_plan_check_says_what_to_rename(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, GOOD + OLD)
    assert cli.main(["plan", "check", str(path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    words = "rename `judge.context` to `probes.context` and `judge` to `judge_encoder`"
    assert first == f"{path}:28: judge: an old name, which is still read; {words}"
    assert second.startswith(f"{path}: ok: service docs, digest ")
    assert cli.main(["plan", "check", str(write(tmp_path, GOOD + NEW))]) == 0
    assert "rename" not in capsys.readouterr().out
