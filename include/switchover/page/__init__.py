"""The review page: HTML from a review, the same inside Airflow and in one file that can be mailed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from switchover import __version__
from switchover.judge.standing import standing
from switchover.ledger.listing import Page
from switchover.page import words
from switchover.page.actions import actions
from switchover.page.plots import plots_of
from switchover.page.rows import accepted_now, list_row, movers, rules, steps
from switchover.planfile.departures import departed
from switchover.protocol import State
from switchover.report.review import Review
from switchover.text import shown

MOST_EVENTS = 1000  # of the audit trail, the newest
KINDS = {"review.css": "text/css; charset=utf-8", "review.js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True, kw_only=True)
class Static:
    """A file that the page asks for."""

    body: bytes
    kind: str


@lru_cache
def static(name: str) -> Static | None:
    """One of the page's own files; ``None`` when there is none of this name."""
    if name not in KINDS:
        return None
    return Static(body=(files(__package__) / "static" / name).read_bytes(), kind=KINDS[name])


def render_run(review: Review, *, base: str | None) -> str:
    """The page of one run. ``base`` is where the app is mounted; ``None`` makes one file without scripts and links."""
    facts = review.facts
    plots, left_out = plots_of(review)
    return _render(
        "run.html",
        base=base,
        title=f"{facts.service}: {facts.blue} → {facts.green}",
        live=base is not None and not review.row.state.ended,
        review=review,
        facts=facts,
        rules=rules(review),
        standing=standing(accepted_now(review)),
        departed=departed(facts.departures),
        steps=steps(review),
        movers=movers(review),
        plots=plots,
        not_recorded=[*review.missing, *left_out],
        events=facts.events[-MOST_EVENTS:],
        actions=actions(review, base),
    )


def render_list(
    found: Page,
    *,
    base: str,
    service: str,
    state: str,
    ledger: str,
    ledgers: Sequence[str],
    services: Collection[str],
) -> str:
    """The list of switchovers."""
    return _render(
        "list.html",
        base=base,
        title="Switchovers",
        live=False,
        found=found,
        rows=[list_row(row, found.now) for row in found.rows],
        service=service,
        state=state,
        ledger=ledger,
        ledgers=ledgers,
        states=[each.value for each in State],
        services=sorted({*found.services, *services}),
    )


def render_message(title: str, text: str, *, base: str, live: bool = False) -> str:
    """A page that says one thing. ``live``: it asks again whether there is more to say."""
    return _render("message.html", base=base, title=title, text=text, live=live)


def _render(template: str, *, base: str | None, **values: object) -> str:
    css = None if base is not None else (files(__package__) / "static" / "review.css").read_text("utf-8")
    return shown(_environment().get_template(template).render(base=base, css=css, version=__version__, **values))


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(words.FILTERS)
    return environment
