"""A demo that is driven from outside and stays up: for browser tests and for pictures.

with KeptDemo(state=Path("..."), scenario="good", hold=45) as demo, browser() as chromium:
    demo.wait_for("hold ")  # the first look of the hold
    page = demo.log_in(chromium)
    page.goto(demo.page)
    code = demo.finish()  # the switchover has ended; Airflow is still there
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import Browser, Page

from sandbox.demo.stack import python
from sandbox.errors import ServiceFailed
from sandbox.processes import ports
from sandbox.processes.airflow_home import LOGIN, Secrets


class KeptDemo:
    """One ``sandbox.demo.run --keep`` on free ports. Leaving the block ends the demo and its stack."""

    def __init__(
        self, *, state: Path, scenario: str, hold: int, pointer: str = "pgvector", plan: Path | None = None
    ) -> None:
        self.state = state
        self.told: list[str] = []
        self._argv = python(
            "sandbox.demo.run",
            *("--pointer", pointer, "--scenario", scenario, "--hold", str(hold), "--state", str(state), "--keep"),
            *(("--plan", str(plan)) if plan else ()),
        )
        self._lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> KeptDemo:
        airflow = ports.free_port()
        self.url = f"http://{ports.HOST}:{airflow}"
        environ = {**os.environ, "AIRFLOW_PORT": str(airflow), "SERVICE_PORT": str(ports.free_port())}
        self._process = subprocess.Popen(
            self._argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
        subprocess.run([*python("sandbox.demo.run"), "--stop", "--state", str(self.state)], check=False, timeout=120)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.told.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text: str, *, timeout: float = 400) -> str:
        """The next line with this text.

        Raises
            ServiceFailed  the demo ended before, or did not print it in time; the message ends with what it printed
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=1)
            except queue.Empty:
                continue
            if line is None:
                raise ServiceFailed(f"the demo ended without {text!r}:\n{''.join(self.told)}")
            if text in line:
                return line
        raise ServiceFailed(f"the demo did not print {text!r} in {timeout:g} s:\n{''.join(self.told)}")

    @property
    def page(self) -> str:
        """Address of the run's tab inside Airflow, once the run was triggered."""
        return next(line for line in self.told if "review page: http" in line).split("review page: ")[1].strip()

    @property
    def dag_run(self) -> str:
        """The path of the DAG run in Airflow's REST API, once it was triggered."""
        path = self.page.removeprefix(f"{self.url}/").removesuffix("/plugin/switchover")
        return path.replace("/runs/", "/dagRuns/")

    def database(self, name: str) -> str:
        """URL of one of the stack's databases; its PostgreSQL listens on a socket in the state directory."""
        return f"postgresql:///{name}?host={self.state / 'pg'}&user=postgres"

    @property
    def run(self) -> str:
        """Id of the switchover in the ledger, when the demo has ended."""
        return str(self.result["run_id"])

    @property
    def result(self) -> dict[str, Any]:
        """What the demo found, when it has ended."""
        return dict(json.loads((self.state / "result.json").read_text()))

    @property
    def password(self) -> str:
        """Of the users ``admin`` and ``guest``."""
        return Secrets.of(self.state).password

    def finish(self, *, timeout: float = 300) -> int:
        """Wait until the demo has ended; its exit code. Airflow stays up."""
        return self._process.wait(timeout=timeout)

    def log_in(self, chromium: Browser, *, user: str = LOGIN, **look: Any) -> Page:
        """A page of a new session, logged in through Airflow's own login page. ``look``: Playwright's context."""
        page = chromium.new_context(**look).new_page()
        page.goto(f"{self.url}/auth/login")
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(self.password)
        page.locator("button[type=submit]").click()
        page.wait_for_url(lambda url: "/auth/login" not in url)
        return page
