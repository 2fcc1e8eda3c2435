"""What a plan's file may say: as Airflow will read it, in bounds, no secret, no file elsewhere, nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from switchover.cli.entry import main
from switchover.errors import PlanError
from switchover.plan import Plan
from switchover.planfile.folder import Found, load_plans, plan_files
from switchover.planfile.load import load_plan

GOOD: dict[str, Any] = {
    "service": "docs",
    "pointer": {"kind": "pgvector", "connection": "docs_db", "alias": "docs"},
    "readers": [{"name": "r1", "connection": "docs_service"}],
    "index": {"kind": "pgvector", "connection": "docs_db"},
    "arms": {"v1": {"connection": "docs_service"}, "v2": {"connection": "docs_service"}},
    "green": "v2",
    "writers": [{"kind": "sql_fence", "name": "w1", "connection": "docs_db", "fence": "f1"}],
    "signals": {"kind": "sql", "connection": "docs_db"},
    "gold": {"path": "gold.jsonl", "corpus": "docs_db"},
}


def written(folder: Path, name: str = "docs.yaml", **changes: Any) -> Path:
    """A plan file; ``a__b`` in ``changes`` is the key ``b`` of the part ``a``."""
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    for key, value in changes.items():
        *above, last = key.split("__")
        part = data
        for step in above:
            part = part[step]
        part[last] = value
    folder.mkdir(exist_ok=True)
    (folder / "gold.jsonl").write_text("{}\n")
    (folder / name).write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return folder / name


def refusal(path: Path) -> str:
    with pytest.raises(PlanError) as raised:
        load_plan(path)
    return str(raised.value)


@pytest.mark.parametrize("cron", ["0 3 * * 1", "@daily", "@once", "*/5 * * * *", "0 0 29 2 *"])
def test_a_schedule_that_airflow_takes(tmp_path: Path, cron: str) -> None:
    assert load_plan(written(tmp_path, schedule=cron, rehearsal={"schedule": cron})).schedule == cron


@pytest.mark.parametrize(
    "cron",
    ["0 25 * * *", "0 3 * *", "", "every day", "0 3 31 2 *", "H H * * *", "@dayly", "{{ x }}", "0 3 * * 1 " * 20],
)
def test_a_schedule_that_airflow_does_not_take(tmp_path: Path, cron: str) -> None:
    told = refusal(written(tmp_path, schedule=cron, rehearsal={"schedule": cron})).splitlines()
    assert [line.split(": ")[1] for line in told] == ["schedule", "rehearsal.schedule"]
    assert all("allowed: a cron expression with five fields" in line for line in told)


@pytest.mark.parametrize("asset", ["", " ", "a" * 1_501, "é", "self", "context", "airflow://x", "http://[x", "a\tb"])
def test_an_asset_that_airflow_does_not_take(tmp_path: Path, asset: str) -> None:
    assert ": asset: " in refusal(written(tmp_path, asset=asset))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lease_s", 86_400, "lease_s: found 86400; allowed: up to 60"),
        ("handover_s", 3_600, "handover_s: found 3600; allowed: up to 300"),
        ("converge_s", 1e6, "converge_s: found 1e+06; allowed: up to 3600"),
        ("signals__stale_s", 3_600, "signals.stale_s: found 3600"),
        ("rehearsal", {"max_age_h": 10_000}, "rehearsal.max_age_h: found 10000"),
        ("rollback", {"ttr_s": 1e5}, "rollback.ttr_s: found 100000"),
        ("hold", {"minutes": 20, "tick_s": 301}, "hold.tick_s: found 301; allowed: up to 300"),
        ("probes", {"timeout_s": 1e4}, "probes.timeout_s: found 10000"),
        ("owner", "x" * 251, "owner: has 251 characters; allowed: up to 250"),
        ("description", "x" * 2_001, "description: has 2001 characters; allowed: up to 2000"),
        ("description", "a\x00b", "description: holds a control character"),
        ("converge_s", float("inf"), "converge_s: this number is too large, or none"),
        ("lease_s", float("nan"), "lease_s: this number is too large, or none"),
        ("retire", {"after_h": 1e300}, "retire.after_h: this number is too large"),
        ("evidence", "x/{{ ds }}", "evidence: holds a template"),
        ("evidence", "../../etc", "evidence: leads out of its folder"),
    ],
)
def test_what_is_out_of_bounds_is_told_with_its_key(tmp_path: Path, key: str, value: Any, told: str) -> None:
    message = refusal(written(tmp_path, **{key: value}))
    assert told in message
    assert message.startswith(f"{tmp_path / 'docs.yaml'}:")


def test_a_readiness_path_that_no_other_name_can_be_put_into(tmp_path: Path) -> None:
    arm = {"connection": "docs_service", "ready": "/ready", "headers": {"X-Arm": "v2"}}
    assert load_plan(written(tmp_path, arms__v2=arm)).arms["v2"].ready == "/ready"
    told = refusal(written(tmp_path, arms__v2={**arm, "headers": {}}))
    assert "arms.v2.ready: found '/ready', which no other arm's name can be put into; allowed: `{arm}`" in told


def test_a_writers_bound_is_told_at_the_writer(tmp_path: Path) -> None:
    writer = {**GOOD["writers"][0], "drain_s": 1e6}
    assert "writers.0.drain_s: found 1e+06; allowed: up to 86400" in refusal(written(tmp_path, writers=[writer]))


def test_what_a_ledger_keeps_of_an_older_plan_stays_readable(tmp_path: Path) -> None:
    kept = json.loads(load_plan(written(tmp_path)).to_json()) | {"lease_s": 86_400, "schedule": "0 25 * * *"}
    kept["arms"]["v1"]["headers"] = {"Authorization": "Bearer x"}
    assert Plan.model_validate(kept).lease_s == 86_400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "x"),
        ("Proxy-Authorization", "x"),
        ("Cookie", "a=b"),
        ("X-Api-Key", "x"),
        ("x-access-token", "x"),
        ("Client_Secret", "x"),
        ("X-Auth-User", "x"),
        ("Ocp-Apim-Subscription-Key", "x"),
        ("X-Arm", "Bearer S3CRET"),
        ("X-Arm", "basic S3CRET"),
        ("X-Arm", "ghp_S3CRET"),
        ("X-Arm", "eyJS3CRET.eyJ.x"),
    ],
)
def test_a_header_that_looks_like_a_credential_is_refused_and_not_quoted(tmp_path: Path, name: str, value: str) -> None:
    message = refusal(written(tmp_path, arms__v1={"connection": "docs_service", "headers": {name: value}}))
    assert f"arms.v1.headers.{name}: looks like a credential" in message
    assert "connection 'docs_service'" in message
    assert "S3CRET" not in message


@pytest.mark.parametrize("name", ["X-Switchover-Arm", "X-Routing-Key", "Host", "X-Authority-Zone", "X-Tokenizer"])
def test_a_header_that_addresses_an_arm_is_taken(tmp_path: Path, name: str) -> None:
    assert load_plan(written(tmp_path, arms__v1={"connection": "docs_service", "headers": {name: "v1"}}))


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        ({"headers": {"Authorization": "S3CRET"}}, "headers.Authorization"),
        ({"query": {"api-key": "S3CRET"}}, "query.api-key"),
        ({"body": {"auth": {"key": [{"api_key": "S3CRET"}]}}}, "body.auth.key.0.api_key"),
        ({"body": {"x": "Bearer S3CRET"}}, "body.x"),
    ],
)
@pytest.mark.parametrize("place", ["asking", "arms.v1.asking"])
def test_a_credential_anywhere_in_a_request_is_refused_and_not_quoted(
    tmp_path: Path, place: str, request_: dict[str, Any], key: str
) -> None:
    asking = {"preset": "openai_responses", "request": request_}
    changes: dict[str, Any] = {"asking": asking}
    if place != "asking":
        changes = {"arms__v1": {"connection": "docs_service", "asking": asking}}
    message = refusal(written(tmp_path, **changes))
    assert f"{place}.request.{key}: looks like a credential" in message
    assert "S3CRET" not in message


def test_a_word_of_the_template_is_no_credential(tmp_path: Path) -> None:
    body = {"session_token": "{arm}", "max_tokens": 100, "token": "{question}"}
    assert load_plan(written(tmp_path, asking={"preset": "ragas", "request": {"body": body}}))


def test_a_path_that_is_none_and_a_shape_that_is_none_are_told_with_file_line_and_key(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"preset": "openai"}, "asking.preset: found 'openai'; allowed: ours, openai_responses,"),
        ({"preset": "ragas", "answer": {"text": "a["}}, "asking.answer.text: found 'a[', which is no JMESPath"),
        ({"preset": "ragas", "answer": {"hit": {"score": "a b"}}}, "asking.answer.hit.score: found 'a b', which is no"),
        ({"answer": {"hits": "h", "hit": {"id": "i"}}}, "asking.request.path: missing"),
        ({"preset": "ragas", "answer": {"hti": "x"}}, "asking.answer.hti: unknown key (did you mean 'hit'?)"),
        ({"function": "os.system"}, "asking.function: found 'os.system'; allowed:"),
    ]
    for asking, told in wrong:
        path = written(tmp_path, asking=asking)
        message = refusal(path)
        assert told in message, message
        line = int(message.removeprefix(f"{path}:").partition(":")[0])
        key = told.partition(":")[0].split(".")
        assert path.read_text().splitlines()[line - 1].strip().startswith((f"{key[-1]}:", f"{key[0]}:")), message
    arm = {"connection": "c", "asking": {"answer": {"hits": "h", "hit": {"url": "u"}}, "request": {"path": "/"}}}
    assert "arms.v1.asking.answer.hit: says neither id, doc nor text" in refusal(written(tmp_path, arms__v1=arm))


def test_a_plan_that_the_ledger_kept_asks_as_the_file_did(tmp_path: Path) -> None:
    asking = {"preset": "langchain", "report": {"path": "/info", "pins": "pins"}, "answer": {"cited": "output.cited"}}
    arm = {"connection": "c", "headers": {"X-Arm": "v1"}, "asking": {"request": {"body": {"user": "probe"}}}}
    plan = load_plan(written(tmp_path, asking=asking, arms__v1=arm))
    kept = Plan.model_validate_json(plan.to_json())
    for name in plan.arms:
        then, now = plan.shape(name), kept.shape(name)
        assert then.call("q", seed=1, k=3) == now.call("q", seed=1, k=3)
        assert (then.report_call(), then.cites) == (now.report_call(), now.cites) and now.report_call() is not None
    assert kept.shape("v1").call("q", seed=1, k=3).json["user"] == "probe"
    assert "user" not in kept.shape("v2").call("q", seed=1, k=3).json


@pytest.mark.parametrize(("name", "value"), [("X Arm", "v1"), ("X-Arm", "é"), ("", "v1")])
def test_a_header_that_is_none_is_refused(tmp_path: Path, name: str, value: str) -> None:
    assert "is no header" in refusal(written(tmp_path, arms__v1={"connection": "c", "headers": {name: value}}))


@pytest.mark.parametrize(
    "text", ["postgresql://me:S3CRET@db/x", "https://S3CRET@host/x", "/ask?api_key=S3CRET", "s3://A:S3CRET@bucket"]
)
def test_an_address_with_a_secret_is_refused_wherever_it_stands(tmp_path: Path, text: str) -> None:
    for key in ("description", "evidence", "green"):
        message = refusal(written(tmp_path, **{key: text}))
        if key != "green":  # which is refused as no arm, before
            assert f"{key}: holds an address with a credential" in message
            assert "S3CRET" not in message
    assert load_plan(written(tmp_path, evidence="s3://aws_connection@bucket/evidence")).evidence


def test_files_of_a_plan_lie_below_it_or_in_the_folders_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, secret = tmp_path / "plans", tmp_path / "passwords.json"
    secret.write_text('{"admin": "S3CRET"}')
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "g.jsonl").write_text("{}\n")
    assert load_plan(written(plans, gold__path="../gold/g.jsonl")).gold.path == str(tmp_path / "gold" / "g.jsonl")
    (plans / "link").symlink_to(secret)
    (plans / "circle").symlink_to(plans / "circle")
    for path in ("../passwords.json", str(secret), "link", "../gold/../passwords.json", "/dev/zero", "/etc/passwd"):
        message = refusal(written(plans, gold__path=path))
        assert "gold.path: leads out of the folders for files of plans" in message
        assert "SWITCHOVER_FILES" in message
        assert "S3CRET" not in message
    assert ": gold.path: " in refusal(written(plans, gold__path="circle"))
    assert "gold.path: no such file: none" in refusal(written(plans, gold__path="none"))
    assert len(refusal(written(plans, gold__path="no\n\nne")).splitlines()) == 1
    channel = {"kind": "slack", "connection": "chat", "template": str(secret)}
    assert "notify.0.template: leads out" in refusal(written(plans, notify=[channel]))
    assert "cache.popular: leads out" in refusal(written(plans, cache={"popular": str(secret)}))
    monkeypatch.setenv("SWITCHOVER_FILES", str(tmp_path))
    assert load_plan(written(plans, gold__path=str(secret))).gold.path == str(secret)


def test_an_unknown_key_of_an_arm_is_told_with_those_it_may_have(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, arms__v1={"connection": "c", "timeout": 5}))
    assert "arms.v1.timeout: unknown key; allowed: connection, headers, ask, version" in message


def test_text_stays_the_text_that_it_is(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("v2", "2024-10-01"))
    assert load_plan(path).green == "2024-10-01", "a date is no date here"
    path.write_text(path.read_text().replace("2024-10-01", "20241001"))
    assert "put it into quotes" in refusal(path)


def test_an_alias_is_taken_in_bounds(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(
        path.read_text().replace(
            "  v1:\n    connection: docs_service\n  v2:\n    connection: docs_service\n",
            "  v1: &arm\n    connection: docs_service\n  v2:\n    <<: *arm\n",
        )
    )
    assert load_plan(path).arms["v2"].connection == "docs_service"


def clash(found: list[Found]) -> dict[str, str]:
    return {each.path.name: str(each.error) for each in found if each.error}


ELSEWHERE = {"pointer__alias": "other", "writers": []}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (ELSEWHERE, "service: service 'docs' stands in"),
        ({**ELSEWHERE, "service": "b", "pointer__alias": "docs"}, "pointer: this pgvector pointer stands in"),
        ({**ELSEWHERE, "service": "b", "writers": GOOD["writers"]}, "writers.0: writer 'w1' (sql_fence) stands in"),
        ({**ELSEWHERE, "service": "b", "writers": [GOOD["writers"][0] | {"name": "w2"}]}, "(sql_fence) stands in"),
    ],
)
def test_what_two_plans_may_not_have_in_common(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], key: str
) -> None:
    written(tmp_path, "a.yaml")
    written(tmp_path, "b.yml", **changes)
    errors = clash(load_plans(plan_files(tmp_path)))
    assert set(errors) == {"a.yaml", "b.yml"}
    assert key in errors["a.yaml"]
    assert f"{tmp_path / 'b.yml'}:" in errors["a.yaml"]
    assert f"{tmp_path / 'a.yaml'}:" in errors["b.yml"]
    assert main(["plan", "check", str(tmp_path)]) == 2
    assert key in capsys.readouterr().err


def test_what_two_plans_share_when_both_say_so(tmp_path: Path) -> None:
    shared = [GOOD["writers"][0] | {"shared": True}]
    written(tmp_path, "a.yaml", writers=shared, pointer__shared=True)
    second = written(tmp_path, "b.yaml", service="b", writers=shared, pointer__shared=True)
    assert clash(load_plans(plan_files(tmp_path))) == {}
    written(tmp_path, second.name, service="b", writers=shared)
    assert set(clash(load_plans(plan_files(tmp_path)))) == {"a.yaml", "b.yaml"}, "one alone cannot say it"


def test_a_plan_that_is_broken_takes_nothing_from_another(tmp_path: Path) -> None:
    written(tmp_path, "a.yaml")
    written(tmp_path, "b.yaml", schedule="0 25 * * *")
    (tmp_path / ".#a.yaml").symlink_to(tmp_path / "nowhere")
    assert set(clash(load_plans(plan_files(tmp_path)))) == {"b.yaml"}


def test_a_folder_without_plans_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "check", str(tmp_path)]) == 2
    assert "no plan in that folder" in capsys.readouterr().err


NAMED: dict[str, Any] = {"docs_v1": {"connection": "docs_service"}, "docs_v2": {"connection": "docs_service"}}
ELSEWHERE = [
    ({"kind": "qdrant", "connection": "c", "alias": "docs"}, "milvus", "leads to indexes in Qdrant alone"),
    ({"kind": "milvus", "connection": "c", "alias": "docs"}, "chroma", "leads to indexes in Milvus alone"),
    ({"kind": "pgvector", "connection": "c", "alias": "docs"}, "qdrant", "leads to indexes in PostgreSQL alone"),
    (
        {"kind": "opensearch", "connection": "c", "alias": "docs"},
        "pgvector",
        "indexes in a search cluster alone",
    ),
]
TOGETHER = [
    ({"kind": "qdrant", "connection": "c", "alias": "docs"}, "qdrant"),
    ({"kind": "pgvector", "connection": "c", "alias": "docs"}, "pgvector"),
    ({"kind": "elasticsearch", "connection": "c", "alias": "docs"}, "opensearch"),
    ({"kind": "kv_sql", "connection": "c", "key": "docs"}, "milvus"),
    ({"kind": "ssm", "connection": "c", "parameter": "docs", "account": "123456789012"}, "chroma"),
]


@pytest.mark.parametrize(("pointer", "kind", "said"), ELSEWHERE)
def test_an_alias_over_indexes_of_another_store_is_refused(
    tmp_path: Path, pointer: dict[str, Any], kind: str, said: str
) -> None:
    path = written(tmp_path, pointer=pointer, index={"kind": kind, "connection": "c"}, arms=NAMED, green="docs_v2")
    found = refusal(path)
    assert f"index.kind: found {kind!r}" in found
    assert said in found
    assert found.count("\n") == 0, "one line, though both arms are there"


def test_an_arm_s_own_index_elsewhere_is_refused_with_its_key(tmp_path: Path) -> None:
    arms = {**NAMED, "docs_v2": {**NAMED["docs_v2"], "index": {"kind": "chroma", "connection": "c"}}}
    found = refusal(written(tmp_path, arms=arms, green="docs_v2"))
    assert "arms.docs_v2.index.kind: found 'chroma', but a pointer of kind 'pgvector'" in found


@pytest.mark.parametrize(("pointer", "kind"), TOGETHER)
def test_what_may_be_one_store_is_taken(tmp_path: Path, pointer: dict[str, Any], kind: str) -> None:
    """Other connections too: two users of one server are two connections. A value or a route may lead anywhere."""
    targets = {"targets": {arm: arm for arm in NAMED}} if pointer["kind"] == "ssm" else {}
    index = {"kind": kind, "connection": "another"}
    plan = load_plan(written(tmp_path, pointer={**pointer, **targets}, index=index, arms=NAMED, green="docs_v2"))
    assert plan.index.kind == kind
