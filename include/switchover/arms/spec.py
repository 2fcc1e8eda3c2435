"""The plan's part: how an arm and a reader are asked, and what their answers mean. See docs/your-own-service.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from switchover.arms.presets import PRESETS
from switchover.edge.functions import FunctionName
from switchover.edge.paths import PathText
from switchover.encoders import ArmEncoder
from switchover.indexes import AnyIndex
from switchover.part import ConnectionId, Part, at_most
from switchover.pins import check_pin_names

Path_ = Annotated[str, Field(pattern=r"^/")]
Word = str | int | float | bool


class Request(Part):
    """One question as an HTTP request. Texts may hold `{question}`, `{k}`, `{seed}` and `{arm}`."""

    method: Literal["GET", "POST", "PUT"] | None = Field(None, description="`POST` unless the preset says another.")
    path: Path_ | None = Field(None, description="Path on the arm's connection.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers; a login belongs in the connection.")
    query: dict[str, Word] = Field(default_factory=dict, description="What stands behind the `?`.")
    body: dict[str, Any] | list[Any] | None = Field(
        None, description="JSON as a template; a text that is `{k}` or `{seed}` and nothing else becomes a number."
    )


class HitPaths(Part):
    """Where, within one hit, its fields stand."""

    id: PathText | None = Field(None, description="Id of the piece in the index.")
    doc: PathText | None = Field(None, description="Id of the source document, as the gold set names it.")
    text: PathText | None = Field(None, description="The piece's text.")
    score: PathText | None = Field(None, description="The store's own score; shown, never judged.")
    start: PathText | None = Field(None, description="Where the text begins in its document.")
    end: PathText | None = Field(None, description="Where it ends.")
    section: PathText | None = Field(None, description="What a citation names; without it the document.")
    url: PathText | None = Field(None, description="Address for people.")
    index_hash: PathText | None = Field(None, description="INDEX_HASH of the build that the hit is from.")


class Answer(Part):
    """Where, in an answer, things stand. Each is a JMESPath."""

    stream: Literal["sse", "ndjson"] | None = Field(
        None, description="The answer is a stream of events; the paths see the list of their JSON."
    )
    root: PathText | None = Field(None, description="Where the other paths begin; without it at the top.")
    hits: PathText | None = Field(None, description="The list of hits, best first.")
    hit: HitPaths = Field(default_factory=HitPaths, description="The fields of one hit.")
    offsets: Literal["characters", "utf16", "bytes"] | None = Field(
        None, description="What `start` and `end` count: characters (default), UTF-16 units or bytes of UTF-8."
    )
    text: PathText | None = Field(None, description="The answer that a user reads.")
    cited: PathText | None = Field(None, description="The section that is cited; of a list the first.")
    arm: PathText | None = Field(None, description="The arm that answered; needed in each answer once given.")
    index_hash: PathText | None = Field(None, description="Its INDEX_HASH; needed in each answer once given.")
    stages_ms: PathText | None = Field(
        None, description="An object with some of `retrieve`, `rerank`, `reason`, `total` in milliseconds."
    )
    tool_calls: PathText | None = Field(
        None, description="A list of objects with `tool`, and `arguments` or `arguments_digest`."
    )
    cache: PathText | None = Field(None, description="`hit`, `miss` or `off`.")


class Poll(Part):
    """An answer behind a job's id: the first answer says the job, which is then asked until it is done."""

    job: PathText = Field(description="The job's id in the first answer.")
    path: Path_ = Field(description="Asked with GET; `{job}` stands for the id.")
    done: PathText = Field(description="True once the answer is whole, as `status == 'succeeded'`.")
    every_s: float = Field(0.5, ge=0.05, json_schema_extra=at_most(60), description="Seconds between two asks.")


class ReportPaths(Part):
    """What an arm says that it is: asked with GET and the request's headers. Each but `path` is a JMESPath."""

    path: Path_ | None = Field(None, description="Path on the arm's connection.")
    arm: PathText | None = Field(None, description="The arm's name.")
    pins: PathText | None = Field(None, description="An object of pins: name and value.")
    encoder: PathText | None = Field(None, description="An object with the query encoder's `name`, `revision`, ….")
    secrets: PathText | None = Field(None, description="An object of secrets: name and `true` where it is present.")
    count: PathText | None = Field(None, description="Documents in the arm's index.")
    cache_namespace: PathText | None = Field(None, description="Namespace of the arm's cached answers.")


class Asking(Part):
    """How an arm is asked, and what its answer means."""

    preset: str | None = Field(
        None,
        json_schema_extra={"enum": [*PRESETS, None]},
        description="A known shape, which the other keys change; see docs/your-own-service.md.",
    )
    function: FunctionName | None = Field(
        None, description="`module:name` that asks instead; its package must stand in SWITCHOVER_FUNCTIONS."
    )
    request: Request | None = Field(None, description="The request that asks one question.")
    answer: Answer | None = Field(None, description="Where in the answer things stand.")
    poll: Poll | None = Field(None, description="The answer comes later, behind a job's id.")
    report: ReportPaths | Literal[False] | None = Field(None, description="What the arm says it is; `false`: nothing.")

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in PRESETS:
            raise ValueError(f"found {value!r}; allowed: {', '.join(PRESETS)}")
        return value


class Arm(Part):
    """How one complete stack is asked, whether it is live or not."""

    connection: ConnectionId = Field(description="HTTP connection of the retrieval service.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers that address this arm instead of the live one."
    )
    ask: Path_ | None = Field(None, description="Short for `asking.request.path`.")
    version: Path_ | None = Field(None, description="Short for `asking.report.path`.")
    ready: Path_ | None = Field(
        None,
        description="Readiness path. It must say no for an arm that is not there, so `{arm}` stands in it, or the arm's"
        " name in a header; see docs/readiness.md.",
    )
    asking: Asking | None = Field(None, description="What of the plan's `asking` is different for this arm.")
    index: AnyIndex | None = Field(
        None, description="The arm's own index, where it is of another kind or in another store than the plan's."
    )
    encoder: ArmEncoder | None = Field(
        None, description="The encoder that the arm queries with, where its report cannot say it; see docs/encoders.md."
    )
    promised: dict[str, str] = Field(
        default_factory=dict, description="Pins that neither manifest nor report says, by your word."
    )

    @field_validator("promised")
    @classmethod
    def _known_pins(cls, value: dict[str, str]) -> dict[str, str]:
        check_pin_names(value)
        return value


class Reader(Part):
    """Something that follows the pointer and can be asked which arm it would serve now."""

    name: str = Field(description="How the reader is called in tables and errors.")
    connection: ConnectionId = Field(description="HTTP connection of the reader.")
    path: Path_ = Field("/version", description="Asked with GET; answers JSON.")
    arm: PathText = Field("arm", description="JMESPath of the arm that the reader serves now.")
    index_hash: PathText | None = Field(
        "pins.INDEX_HASH", description="JMESPath of its INDEX_HASH; null: the reader cannot say, its arm must do."
    )


class Probes(Part):
    """How the arms are asked."""

    k: int = Field(5, ge=1, le=100, description="Hits per question, as production uses.")
    seeds: int = Field(2, ge=1, le=8, description="Seeds per paraphrase in the warm phase.")
    concurrency: int = Field(4, ge=1, le=64, description="Questions in flight; each is asked of both arms.")
    timeout_s: float = Field(
        10, gt=0, json_schema_extra=at_most(300), description="A probe without an answer by then has failed."
    )
    max_tool_depth: int = Field(
        4, ge=1, json_schema_extra=at_most(1000), description="More tool calls than this in one request are a loop."
    )
    context: Literal["joined", "top1", "mean"] = Field(
        "joined", description="How the vectors of the hits become one context vector."
    )
