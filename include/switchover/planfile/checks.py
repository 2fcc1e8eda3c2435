"""What a plan's file may say beyond its shape: what Airflow will check, bounds, and no secrets.

Only files are held against this. What a ledger keeps of an older plan stays readable, so that its run can be ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from croniter import CroniterError, croniter
from pydantic import BaseModel

from switchover.planfile.departures import floors

if TYPE_CHECKING:
    from switchover.arms.spec import Asking
    from switchover.plan import Plan
from switchover.signals import sources_of

Problem = tuple[tuple[int | str, ...], str]

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@once", "@continuous")
MAX_CRON = 100
MAX_ASSET = 1_500
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
SECRET_NAME = re.compile(
    r"(^|[-_])(authorization|cookie|auth)$|^(x-)?auth\b|(token|secret|password|passwd|credentials?|jwt|session([-_]?id)?"
    r"|signature|(api|access|auth|private|secret|subscription)[-_]?key)$",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"^(bearer|basic|digest|token|apikey|negotiate|ssws|aws4-hmac-sha256)\s+\S|^eyJ[\w-]+\.[\w-]+\."
    r"|^(sk-|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|AKIA[0-9A-Z]{12})",
    re.IGNORECASE,
)
SECRET_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s?#@:]*:[^/\s?#@]+@|https?://[^/\s?#@]+@"
    r"|[?&](token|access_token|api_?key|key|password|passwd|secret|sig|signature)=[^&\s]",
    re.IGNORECASE,
)
IN_CLEAR = "looks like a credential, and ledger and page keep what a plan says; put it into the connection"
WORD = re.compile(r"\{(question|k|seed|arm)\}")
TEMPLATE = re.compile(r"{[{%#]")


def problems(plan: Plan, data: Any) -> Iterator[Problem]:
    """Each problem of a plan whose shape is right, with the place of its key. ``data``: the file's values."""
    yield from _secrets(data, ())
    yield from _bounds(plan, ())
    yield from _cron(("schedule",), plan.schedule)
    yield from _cron(("rehearsal", "schedule"), plan.rehearsal.schedule)
    yield from _asset(plan.asset)
    yield from _evidence(plan.evidence)
    for name, arm in plan.arms.items():
        yield from _headers(("arms", name, "headers"), arm.headers, arm.connection)
        yield from _asking(("arms", name, "asking"), arm.asking, arm.connection)
    yield from _asking(("asking",), plan.asking, "of the arm")
    if not plan.sandbox:
        yield from floors(plan)
    yield from _fed(plan)
    yield from _led(plan)
    if plan.hold.tick_s > 60 * plan.hold.minutes:
        yield ("hold", "tick_s"), f"found {plan.hold.tick_s:g}; allowed: up to the hold's {plan.hold.minutes:g} minutes"


def _fed(plan: Plan) -> Iterator[Problem]:
    """Each look must bring a new figure, and a hold must see some windows of them."""
    for source in sources_of(plan.signals):
        told = f"signals of kind {source.kind} have a new figure every {source.step_s:g} s"
        needs = 4 * source.step_s + source.lag_s
        if plan.hold.tick_s < source.step_s:
            yield ("hold", "tick_s"), f"found {plan.hold.tick_s:g}, but {told}; allowed: at least {source.step_s:g}"
        if 60 * plan.hold.minutes < needs:
            yield (
                ("hold", "minutes"),
                f"found {plan.hold.minutes:g}, but {told}, {source.lag_s:g} s late; allowed: at least {needs / 60:.3g}",
            )


def _led(plan: Plan) -> Iterator[Problem]:
    """An alias leads to indexes of its own store alone. Connections are not compared: two may lead to one server."""
    alias = plan.pointer
    parts = {
        ("index", "kind") if arm.index is None else ("arms", name, "index", "kind"): plan.index_of(name)
        for name, arm in plan.arms.items()
    }
    for place, index in parts.items():
        if alias.names_indexes_of and index.store and index.store != alias.names_indexes_of:
            yield (
                place,
                f"found {index.kind!r}, but a pointer of kind {alias.kind!r} leads to indexes in"
                f" {alias.names_indexes_of} alone; allowed: an index there, or a pointer that is a value"
                " or a route, as kv_sql",
            )


def _bounds(part: BaseModel, place: tuple[int | str, ...]) -> Iterator[Problem]:
    """Numbers above, and texts longer than what their key's part of the schema says."""
    for name, field in type(part).model_fields.items():
        value, extra = getattr(part, name), field.json_schema_extra
        if isinstance(extra, dict) and value is not None:
            high, longest = extra.get("maximum"), extra.get("maxLength")
            if isinstance(high, int | float) and value > high:
                yield (*place, name), f"found {value:g}; allowed: up to {high:g}"
            if isinstance(longest, int) and len(value) > longest:
                yield (*place, name), f"has {len(value)} characters; allowed: up to {longest}"
        for step, each in _parts(value):
            yield from _bounds(each, (*place, name, *step))


def _parts(value: Any) -> Iterator[tuple[tuple[int | str, ...], BaseModel]]:
    if isinstance(value, BaseModel):
        yield (), value
    elif isinstance(value, dict | list):
        for step, each in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(each, BaseModel):
                yield (step,), each


def _cron(place: tuple[str, ...], text: str | None) -> Iterator[Problem]:
    """As Airflow reads it; and the next time must exist, which the scheduler will ask for."""
    if text is None or text in PRESETS:
        return
    told = f"allowed: a cron expression with five fields, as '0 3 * * 1', or {', '.join(PRESETS)}"
    if not text.isascii() or len(text) > MAX_CRON:
        yield place, f"is no cron expression; {told}"
        return
    try:
        cron = croniter(text)
    except (CroniterError, ValueError, KeyError, TypeError, IndexError, ArithmeticError):
        yield place, f"found {text!r}; {told}"
        return
    try:
        cron.get_next(float)
    except (CroniterError, ValueError, KeyError, TypeError, IndexError, ArithmeticError):
        yield place, f"found {text!r}, which no date fits; {told}"


def _asset(name: str | None) -> Iterator[Problem]:
    """As Airflow reads it."""
    if name is None:
        return
    told = f"allowed: the name of an Airflow asset, 1 to {MAX_ASSET} printable characters of ASCII"
    try:
        scheme = urlsplit(name).scheme
    except ValueError:
        yield ("asset",), f"found what looks like an address and is none; {told}"
        return
    if not name.strip() or len(name) > MAX_ASSET or not (name.isascii() and name.isprintable()):
        yield ("asset",), f"found {len(name)} characters that are no name; {told}"
    elif name in ("self", "context") or scheme == "airflow":
        yield ("asset",), f"found {name!r}, which Airflow keeps for itself; {told}"


def _evidence(place: str) -> Iterator[Problem]:
    if TEMPLATE.search(place):
        yield ("evidence",), "holds a template, which nothing renders; allowed: a folder or an object prefix as it is"
    if ".." in place.split("/") or not place.strip():
        yield ("evidence",), "leads out of its folder, or nowhere; allowed: a folder or an object prefix without `..`"


def _headers(place: tuple[str, ...], headers: dict[str, str], connection: str) -> Iterator[Problem]:
    for name, value in headers.items():
        if SECRET_NAME.search(name) or SECRET_VALUE.search(value):
            yield (
                (*place, name),
                f"{IN_CLEAR} {connection!r} (login and password, or extra `headers`);"
                " allowed: headers that address an arm",
            )
        elif not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            yield (*place, name), "is no header; allowed: a name and a value in printable characters of ASCII"


def _asking(place: tuple[str, ...], asking: Asking | None, connection: str) -> Iterator[Problem]:
    """What of a request would be kept in clear; a body is looked at in all its depth."""
    request = asking.request if asking is not None else None
    if request is None:
        return
    place = (*place, "request")
    yield from _headers((*place, "headers"), request.headers, connection)
    for key, value in (("query", request.query), ("body", request.body)):
        for inner in _credentials(value, ()):
            yield (*place, key, *inner), f"{IN_CLEAR} {connection!r}; allowed: none in a plan"


def _credentials(value: Any, place: tuple[int | str, ...]) -> Iterator[tuple[int | str, ...]]:
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            named = isinstance(step, str) and isinstance(inner, str) and SECRET_NAME.search(step)
            if named and not WORD.fullmatch(inner):
                yield (*place, step)
            else:
                yield from _credentials(inner, (*place, step))
    elif isinstance(value, str) and SECRET_VALUE.search(value):
        yield place


def _secrets(data: Any, place: tuple[int | str, ...]) -> Iterator[Problem]:
    """Addresses with a login, and secrets behind a question mark; what was found is not quoted."""
    if isinstance(data, dict | list):
        for step, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _secrets(value, (*place, step))
    elif isinstance(data, str) and SECRET_URL.search(data):
        yield place, "holds an address with a credential; put the credential into a connection; allowed: none in a plan"
