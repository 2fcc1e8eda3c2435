"""``make screenshots``: pictures of the review page and of the DAG for README and docs, taken in a real demo."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from sandbox.demo.kept import KeptDemo
from sandbox.errors import SandboxError
from sandbox.processes.airflow_home import REPOSITORY
from sandbox.servers.chromium import browser

PICTURES = REPOSITORY / "docs" / "img"
HOLD_S = 90
EDGE_PX = 14  # around the graph
SETTLED = "[data-status]"


def main() -> int:
    """Run a demo, take the pictures; 2 when that is not possible here."""
    try:
        with tempfile.TemporaryDirectory(prefix="switchover-pictures-") as folder, browser() as chromium:
            _take(Path(folder) / "state", chromium)
    except SandboxError as error:
        print(f"screenshots: {error}", file=sys.stderr)
        return 2
    return 0


def _take(state: Path, chromium: Browser) -> None:
    with KeptDemo(state=state, scenario="good", hold=HOLD_S) as demo:
        demo.wait_for("review page: http")
        inside = demo.log_in(chromium, **_look(1440, 1000, "light"))
        demo.wait_for("hold   3")  # some looks, so that there are trends to see
        _in_airflow(inside, demo.page)
        _alone(demo, chromium, "review-dark", _look(1180, 1400, "dark"))
        _alone(demo, chromium, "review-phone", _look(390, 1100, "light"))
        demo.finish()
        _graph(demo.log_in(chromium, **_look(2400, 700, "light")), demo.page.removesuffix("/plugin/switchover"))


def _in_airflow(page: Page, address: str) -> None:
    page.goto(address)
    page.frame_locator("iframe").locator(SETTLED).wait_for()
    _save(page, "review")


def _alone(demo: KeptDemo, chromium: Browser, name: str, look: dict[str, Any]) -> None:
    page = demo.log_in(chromium, **look)
    page.goto(f"{demo.url}/switchover{demo.page.removeprefix(demo.url).removesuffix('/plugin/switchover')}")
    page.locator(SETTLED).wait_for()
    _save(page, name)


def _graph(page: Page, run: str) -> None:
    """The DAG in Airflow's own graph, with the states of the run, cut to its boxes."""
    page.goto(run)
    for button in ("Show Graph (Press g)", "Collapse Details Panel", "Fit View"):
        page.get_by_label(button).click()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1_000)  # the graph moves to its place
    boxes = [box for node in page.locator(".react-flow__node").all() if (box := node.bounding_box())]
    left, top = min(box["x"] for box in boxes) - EDGE_PX, min(box["y"] for box in boxes) - EDGE_PX
    right = max(box["x"] + box["width"] for box in boxes) + EDGE_PX
    bottom = max(box["y"] + box["height"] for box in boxes) + EDGE_PX
    path = PICTURES / "dag.png"
    page.screenshot(path=path, clip={"x": left, "y": top, "width": right - left, "height": bottom - top})
    print(f"{path.relative_to(REPOSITORY)}: written", flush=True)


def _look(width: int, height: int, scheme: str) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": height}, "color_scheme": scheme}


def _save(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    print(f"{path.relative_to(REPOSITORY)}: written", flush=True)


if __name__ == "__main__":
    sys.exit(main())
