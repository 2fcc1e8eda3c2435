"""The plugin folder, the trigger and the sensor."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import TriggerEvent

from switchover_airflow.sensors.hold import HoldSensor
from switchover_airflow.triggers.answer import AnswerTrigger
from switchover_airflow.triggers.hold import HoldTrigger
from tests.airflow.conftest import ROOT

UUID = "01890a5d-ac96-774b-bcce-b302099a8057"
ARGUMENTS: dict[str, Any] = {
    "ledger_conn_id": "no_such_ledger",
    "switchover_id": "docs:1",
    "connection_ids": ["nope"],
    "channel_ids": ["nor_this"],
}


def test_airflow_does_not_import_the_package_a_second_time() -> None:
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    found = list(find_path_from_directory(ROOT / "plugins", ".airflowignore", "glob"))
    assert sorted(Path(path).name for path in found if path.endswith(".py")) == [
        "switchover_plugin.py",
        "switchover_preload.py",
    ]


def test_loading_the_plugin_loads_neither_the_page_nor_the_api_server() -> None:
    code = "import switchover_plugin, sys; print([m for m in sys.modules if m.split('.')[0] in ('fastapi', 'pygal')])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_only_airflow_s_own_processes_load_what_tasks_need(migrated_home: Path) -> None:
    code = """
import sys
from airflow.listeners.listener import get_listener_manager
hook = get_listener_manager().hook
before = "switchover.encoders.wordllama" in sys.modules
hook.on_starting(component=None)
from switchover.encoders.tokenizer import wordllama_model
print(before, "switchover.steps.verify" in sys.modules, wordllama_model.cache_info().currsize)
"""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(migrated_home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False True 1"


def test_the_trigger_survives_its_journey() -> None:
    path, arguments = HoldTrigger(**ARGUMENTS).serialize()
    assert path == f"{HoldTrigger.__module__}.{HoldTrigger.__qualname__}"
    assert HoldTrigger(**arguments).serialize() == (path, arguments)


def test_the_trigger_of_a_question_survives_its_journey() -> None:
    more = {"gate": "before_flip", "ti_id": UUID, "told": "Flip?"}
    path, arguments = AnswerTrigger(**ARGUMENTS, **more).serialize()
    assert path == f"{AnswerTrigger.__module__}.{AnswerTrigger.__qualname__}"
    assert json.loads(json.dumps(arguments)) == arguments
    assert AnswerTrigger(**arguments).serialize() == (path, arguments)


@pytest.mark.parametrize("more", [{}, {"gate": "before_flip", "ti_id": UUID, "told": ""}])
def test_a_trigger_that_cannot_watch_says_so_as_an_event(more: dict[str, str]) -> None:
    trigger = AnswerTrigger if more else HoldTrigger

    async def first() -> TriggerEvent:
        return await anext(trigger(**ARGUMENTS, **more).run())

    event = asyncio.run(first())
    assert event.payload["end"] == "error"
    assert "'nope'" in event.payload["line"]


def test_a_hold_fails_only_when_it_was_not_watched_to_its_end() -> None:
    sensor = HoldSensor(task_id="hold", ledger_conn_id="l", switchover_id="docs:1")
    for end in ("accepted", "open", "stopped", "unaccepted"):
        assert sensor.execute_complete({}, {"end": end, "line": "why"}) == f"{end}: why"
    for end in ("unanswered", "moved", "lease_lost", "overtaken", "error"):
        with pytest.raises(AirflowFailException, match=f"not watched to its end: {end}: why"):
            sensor.execute_complete({}, {"end": end, "line": "why"})
