"""The app behind Airflow's "Switchovers": it authorises, reads the ledger, and serves what ``switchover.page`` made."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from switchover import page
from switchover.errors import BadInput, SwitchoverError
from switchover.page.bundle import bundle_zip
from switchover.report.review import Review, Reviews
from switchover_airflow.review import MOUNT
from switchover_airflow.review.access import PREFIX, Dag, Run, Services
from switchover_airflow.review.ledgers import ledger_names, ledger_of, open_ledger

HEADERS = {
    # No script, style, picture or request but the page's own; shown in no frame but Airflow's.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
reviews = Reviews()


def build_app() -> FastAPI:
    """The app; nothing is opened before the first request."""
    app = FastAPI(title="Switchover", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_with_headers)
    app.exception_handler(StarletteHTTPException)(_refused)
    app.exception_handler(SwitchoverError)(_failed)
    app.get("/", response_class=HTMLResponse)(show_list)
    app.get("/runs/{run}", response_class=HTMLResponse)(show_run)
    app.get("/runs/{run}/bundle.zip")(download_bundle)
    app.get("/dags/{dag_id}/runs/{dag_run}", response_class=HTMLResponse)(show_tab)
    app.get("/static/{name}")(show_static)
    return app


def show_list(
    request: Request,
    services: Services,
    service: str = "",
    state: str = "",
    ledger: str = "",
    number: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
) -> str:
    """All switchovers that the user may see, a page at a time."""
    names = ledger_names()
    chosen = ledger if ledger in names else names[0]
    found = open_ledger(chosen).listing.page(number=number, service=service, state=state, allowed=services)
    return page.render_list(
        found, base=_base(request), service=service, state=state, ledger=chosen, ledgers=names, services=services
    )


def show_run(request: Request, run: Run) -> str:
    """One switchover."""
    return page.render_run(_review(run), base=_base(request))


def show_tab(request: Request, dag_id: Dag, dag_run: str) -> str:
    """The switchover of a DAG run, for the tab on the run's page; DAGs of other kinds have none."""
    run = f"{dag_id.removeprefix(PREFIX)}:{dag_run}"
    if not dag_id.startswith(PREFIX):
        return page.render_message("No switchover", f"The DAG {dag_id} is not a switchover.", base=_base(request))
    if ledger_of(run).runs.find(run) is None:
        told = "This DAG run has opened no switchover: preflight has not run yet, or it found nothing to do."
        return page.render_message("No switchover yet", told, base=_base(request), live=True)
    return show_run(request, run)


def download_bundle(run: Run) -> StreamingResponse:
    """The evidence bundle as one zip file."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", run)
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    blocks = bundle_zip(_review(run), ledger_of(run))
    return StreamingResponse(blocks, media_type="application/zip", headers=headers)


def show_static(name: str) -> Response:
    """The page's own style and script; they say nothing about any run."""
    found = page.static(name)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such file")
    return Response(found.body, media_type=found.kind)


def _review(run: str) -> Review:
    try:
        return reviews.get(ledger_of(run), run)
    except BadInput:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"the ledger has no switchover {run}") from None


def _base(request: Request) -> str:
    """Where the app is mounted, as the browser sees it."""
    return str(request.scope.get("root_path", MOUNT)).rstrip("/")


async def _with_headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call(request)
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


async def _refused(request: Request, error: Any) -> Response:
    """401, 403 and 404 as a page for people, as JSON for everything else."""
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    title = {401: "Not logged in", 403: "No access", 404: "Not found"}.get(error.status_code, "Error")
    text = page.render_message(title, f"{error.detail}.", base=_base(request))
    return HTMLResponse(text, status_code=error.status_code)


async def _failed(request: Request, error: Any) -> Response:
    """The ledger cannot be read: its one line, which names no credential."""
    text = page.render_message("The ledger cannot be read", str(error), base=_base(request))
    return HTMLResponse(text, status_code=status.HTTP_503_SERVICE_UNAVAILABLE)
