"""How one arm is asked and what its answers mean: the plan's words, its preset and the arm's own, put together.

Behind a shape every service is alike: a question becomes a request, and a JSON answer a ``Reply`` with typed fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from switchover.arms.presets import OURS, PRESETS
from switchover.arms.spec import Answer, Arm, Asking, HitPaths, Poll, ReportPaths, Request
from switchover.edge.answers import MOST_HITS, Offsets, Reply, Report, reply_of, report_of
from switchover.edge.body import BadAnswer, kind_of, parse_json
from switchover.edge.events import parse_events
from switchover.edge.fields import Fields
from switchover.edge.paths import Find, compile_path
from switchover.part import Part

WORDS = re.compile(r"\{(question|k|seed|arm)\}")
NUMBERS = ("k", "seed")
IDENTITY = ("arm", "index_hash")  # once a plan says where they stand, each answer must have them


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP request, without its connection: keyword arguments of ``httpx.AsyncClient.request``."""

    method: str
    url: str
    headers: Mapping[str, str]
    params: Mapping[str, Any]
    json: Any = None


class Shape:
    """How one arm is asked; see :meth:`of`."""

    def __init__(self, *, arm: str, asking: Asking, own: frozenset[str]) -> None:
        self.arm = arm
        self.function = asking.function
        self.request = asking.request or Request()
        self.poll: Poll | None = asking.poll
        self.report_paths = asking.report or None
        answer = asking.answer or Answer()
        self.offsets: Offsets = answer.offsets or "characters"
        self.stream = answer.stream
        self._own = own
        self._root = _found(answer.root)
        self._root_path = answer.root
        self._paths = _texts(answer, ("hits", "text", "cited", "stages_ms", "tool_calls", "cache", *IDENTITY))
        self._hit_paths = _texts(answer.hit, HitPaths.model_fields)
        self._find = [(name, compile_path(path)) for name, path in self._paths.items() if name != "hits"]
        self._find_hits = _found(answer.hits)
        self._find_hit = [(name, compile_path(path)) for name, path in self._hit_paths.items()]
        self._needed = [name for name in IDENTITY if name in self._paths]
        self._job, self._done = (
            _found(path) for path in ((asking.poll.job, asking.poll.done) if asking.poll else "  ")
        )
        report = self.report_paths or ReportPaths()
        self._report_paths = _texts(report, [name for name in ReportPaths.model_fields if name != "path"])
        self._find_report = [(name, compile_path(path)) for name, path in self._report_paths.items()]

    @classmethod
    def of(cls, name: str, arm: Arm, defaults: Asking | None = None) -> Shape:
        """The shape of arm ``name``: its preset, changed by the plan's ``asking``, changed by the arm's own keys.

        ``ValueError``, which begins with the key, when the whole cannot be asked or read.
        """
        short: dict[str, Any] = {"request": {"headers": dict(arm.headers)}}
        if arm.ask is not None:
            short["request"]["path"] = arm.ask
        if arm.version is not None:
            short["report"] = {"path": arm.version}
        layers = [_said(defaults), short, _said(arm.asking)]
        presets = [layer["preset"] for layer in layers if layer.get("preset")]
        whole = any("answer" in layer for layer in layers)
        preset = presets[-1] if presets else "" if whole else OURS
        merged: dict[str, Any] = PRESETS[preset].asking if preset else {}
        for layer in layers:
            merged = _over(merged, layer)
        try:
            asking = Asking.model_validate({**merged, "preset": preset or None})
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"asking: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        _check(asking)
        headers = asking.request.headers.values() if asking.request is not None else ()
        if arm.ready is not None and "{arm}" not in arm.ready and not {name, "{arm}"} & {*headers}:
            raise ValueError(
                f"ready: found {arm.ready!r}, which no other arm's name can be put into; allowed: `{{arm}}` in it, or"
                " a header whose value is the arm's name"
            )
        own = frozenset(path for layer in layers for path in _leaves(layer.get("answer", {}), ""))
        return cls(arm=name, asking=asking, own=own)

    @property
    def cites(self) -> bool:
        """Whether answers say what they cite."""
        return "cited" in self._paths

    @property
    def says_arm(self) -> bool:
        """Whether each answer says which arm gave it."""
        return bool(self._needed)

    @property
    def says_tools(self) -> bool:
        """Whether answers say which tools were called."""
        return "tool_calls" in self._paths

    @property
    def says_cache(self) -> bool:
        """Whether answers say if they came from a cache."""
        return "cache" in self._paths

    def call(self, question: str, *, seed: int, k: int) -> Call:
        """The request that asks one question."""
        words = {"question": question, "seed": seed, "k": k, "arm": self.arm}
        request = self.request
        return Call(
            method=request.method or "POST",
            url=filled(request.path or "/", _in_a_path(words)),
            headers={name: filled(value, {**words, "question": ""}) for name, value in request.headers.items()},
            params=filled(dict(request.query), words),
            json=None if request.body is None else filled(request.body, words),
        )

    def report_call(self) -> Call | None:
        """The request that asks the arm what it is; ``None``: it is not asked."""
        if self.report_paths is None or self.report_paths.path is None:
            return None
        words = {"question": "", "seed": 0, "k": 1, "arm": self.arm}
        return Call(
            method="GET",
            url=filled(self.report_paths.path, _in_a_path(words)),
            headers={name: filled(value, words) for name, value in self.request.headers.items()},
            params={},
        )

    def ready_call(self, path: str, arm: str) -> Call:
        """The request that asks whether an arm is ready: of this address, by that name."""
        headers = self.call("", seed=0, k=1).headers
        named = {name: arm if value == self.arm else value for name, value in headers.items()}
        return Call(method="GET", url=filled(path, _in_a_path({"arm": arm})), headers=named, params={})

    def job_call(self, first: Any) -> Call:
        """The request that asks how far a job is; ``BadAnswer`` when the first answer names none."""
        assert self.poll is not None and self._job is not None
        job = Fields({"job": self._job(first)}, paths={"job": self.poll.job}).id("job")
        return Call(
            method="GET",
            url=filled(self.poll.path, _in_a_path({"arm": self.arm})).replace("{job}", quote(job, safe="")),
            headers=self.call("", seed=0, k=1).headers,
            params={},
        )

    def done(self, answer: Any) -> bool:
        """Whether a job's answer is whole."""
        return self._done is None or self._done(answer) is True

    def parse(self, body: bytes) -> Any:
        """The JSON of an answer; of a stream the list of its events. ``BadAnswer``."""
        return parse_events(body, self.stream) if self.stream is not None else parse_json(body)

    def reply(self, answer: Any, *, status: int, elapsed_ms: float) -> Reply:
        """The reply in an answer's JSON; ``BadAnswer`` says in one sentence what is not as agreed."""
        answer = self._begin(answer)
        found: dict[str, Any] = {name: find(answer) for name, find in self._find}
        found["hits"] = self._hits_of(answer)
        return reply_of(
            Fields(found, paths=self._paths),
            status=status,
            elapsed_ms=elapsed_ms,
            needed=self._needed,
            cites=self.cites,
            offsets=self.offsets,
        )

    def report(self, body: Any) -> Report:
        """The report in a JSON body; ``BadAnswer``."""
        if not isinstance(body, dict):
            raise BadAnswer(f"answer is {kind_of(body)}; allowed: an object")
        found = {name: find(body) for name, find in self._find_report}
        return report_of(Fields(found, paths=self._report_paths))

    def pins(self, body: Any) -> Mapping[str, str]:
        """The pins in a report's JSON; ``BadAnswer``."""
        return self.report(body).pins

    def silent(self, answers: Iterable[Any]) -> list[str]:
        """The plan's own paths that find nothing in any of the answers, as ``answer.hit.text: a.b``.

        A preset's are left out: it names what a service may say.
        """
        silent = {f"hit.{name}": path for name, path in self._hit_paths.items()} | self._paths
        silent |= {"root": self._root_path} if self._root_path is not None else {}
        for answer in answers:
            begun = self._begin(answer)
            silent = {name: path for name, path in silent.items() if name != "root" or begun is None}
            heard = {name for name, find in self._find if _says(name, find(begun))}
            hits = self._find_hits(begun) if self._find_hits is not None else None
            if isinstance(hits, list) and hits:
                heard |= {"hits"}
                heard |= {f"hit.{n}" for n, find in self._find_hit if any(_says(n, find(hit)) for hit in hits)}
            silent = {name: path for name, path in silent.items() if name not in heard}
        return [f"answer.{name}: {path}" for name, path in silent.items() if name in self._own]

    def _begin(self, answer: Any) -> Any:
        if self._root is None:
            if answer is None or not isinstance(answer, dict | list):
                raise BadAnswer(f"answer is {kind_of(answer)}; allowed: an object")
            return answer
        return self._root(answer)

    def _hits_of(self, answer: Any) -> list[Fields] | None:
        hits = self._find_hits(answer) if self._find_hits is not None else None
        if hits is None:
            return None
        if not isinstance(hits, list):
            raise BadAnswer(f"hits: found {kind_of(hits)}; allowed: a list")
        if len(hits) > MOST_HITS:
            raise BadAnswer(f"hits: found {len(hits):,} entries; allowed: up to {MOST_HITS:,}")
        return [self._hit_of(number, hit) for number, hit in enumerate(hits)]

    def _hit_of(self, number: int, hit: Any) -> Fields:
        found = {name: find(hit) for name, find in self._find_hit}
        if found.get("id") is None and found.get("doc") is None and found.get("text") is None:
            what = "has neither" if isinstance(hit, dict) else f"is {kind_of(hit)}, which has neither"
            raise BadAnswer(f"hits[{number}] {what} id, doc nor text; is `answer.hit` right?")
        return Fields(found, f"hits[{number}]", paths=self._hit_paths)


def filled(template: Any, words: Mapping[str, Any]) -> Any:
    """The template with its words; a text that is one number's word and nothing else becomes the number."""
    if isinstance(template, dict):
        return {name: filled(each, words) for name, each in template.items()}
    if isinstance(template, list):
        return [filled(each, words) for each in template]
    if not isinstance(template, str):
        return template
    for name in NUMBERS:
        if template == f"{{{name}}}":
            return words[name]
    return WORDS.sub(lambda word: str(words.get(word[1], word[0])), template)


def _says(name: str, value: Any) -> bool:
    """Whether a path has found something. JMESPath makes empty values, and ``"null"``, of what is not there."""
    if isinstance(value, dict):
        return bool(value) and all(inner is not None for inner in value.values())
    return value == [] if name == "tool_calls" and not value else value not in (None, "", "null", [])


def _in_a_path(words: Mapping[str, Any]) -> dict[str, str]:
    """Words as they may stand in a path. An arm's name is the plan's own: its slashes are those of the path."""
    return {word: quote(str(value), safe="/" if word == "arm" else "") for word, value in words.items()}


def _check(asking: Asking) -> None:
    """``ValueError`` for what cannot be asked, or whose answer says nothing that could be measured."""
    answer = asking.answer or Answer()
    if asking.function is None and (asking.request is None or asking.request.path is None):
        raise ValueError("asking.request.path: missing; a plan without a preset says the whole request")
    if answer.hits is None:
        raise ValueError("asking.answer.hits: missing; it says where in the answer the hits stand")
    if not any((answer.hit.id, answer.hit.doc, answer.hit.text)):
        raise ValueError("asking.answer.hit: says neither id, doc nor text; allowed: at least one of them")
    if answer.hit.start is not None and answer.hit.doc is None:
        raise ValueError("asking.answer.hit.start: means nothing without `doc`, in which it counts")
    if asking.report and asking.report.path is None:
        raise ValueError("asking.report.path: missing; `report: false` says that the arm is not asked what it is")
    for name, value in (asking.request.headers if asking.request else {}).items():
        if "{question}" in value:
            raise ValueError(f"asking.request.headers: {name} holds the question; allowed in a header: {{arm}}")
    if asking.function is not None and (asking.poll or answer.stream):
        raise ValueError("asking.function: asks by itself; allowed: without `poll` and `answer.stream`")


def _found(path: str | None) -> Find | None:
    return compile_path(path) if path and path.strip() else None


def _texts(part: Part, names: Iterable[str]) -> dict[str, str]:
    return {name: getattr(part, name) for name in names if getattr(part, name) is not None}


def _said(part: Part | None) -> dict[str, Any]:
    """The keys of a part that say something."""
    found: dict[str, Any] = {}
    for name in type(part).model_fields if part is not None else ():
        value = getattr(part, name)
        value = _said(value) if isinstance(value, Part) else value
        if value is not None and value != {}:
            found[name] = value
    return found


def _over(below: Any, above: Any) -> Any:
    """The one laid over the other: objects key by key, all else whole."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{name: _over(below.get(name), value) for name, value in above.items()}}


def _leaves(value: Any, place: str) -> Iterable[str]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{place}{name}.")
        else:
            yield f"{place}{name}"
