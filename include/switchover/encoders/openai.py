"""Encoders behind ``POST /v1/embeddings`` as OpenAI has it: Azure, vLLM, Ollama, LiteLLM's proxy, llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.encoders.base import Encoder
from switchover.encoders.http import HttpEncoder, HttpEncoderSpec, numbers
from switchover.encoders.outside import Reads
from switchover.errors import BadInput


class OpenAiSpec(HttpEncoderSpec):
    """A server with OpenAI's `/v1/embeddings`: also Azure, vLLM, Ollama, LiteLLM's proxy, llama.cpp."""

    kind: Literal["openai"]
    path: Annotated[str, Field(pattern=r"^/")] = Field("/v1/embeddings", description="Path that gives vectors.")
    send_dimension: bool = Field(False, description="Ask for `dimension` dimensions (`dimensions` in the request).")

    def build(self, edge: Edge) -> Encoder:
        """See :class:`EncoderSpec`."""
        return OpenAiEncoder(self, edge)


class OpenAiEncoder(HttpEncoder):
    """Asks for floats, never for base64, whose byte order and width differ from server to server."""

    def __init__(self, spec: OpenAiSpec, edge: Edge) -> None:
        super().__init__(spec, edge)
        self._path = spec.path
        self._always: dict[str, Any] = {"model": spec.name, "encoding_format": "float"}
        if spec.send_dimension:
            self._always["dimensions"] = spec.dimension

    def call(self, texts: Sequence[str], how: Reads) -> Any:
        """See :class:`OutsideEncoder`. Vectors are put in order by their ``index``."""
        body = {**self._always, "input": list(texts)}
        if how.input_type is not None:
            body["input_type"] = how.input_type
        answer = self.ask("POST", self._path, body)
        try:
            rows = sorted(((row["index"], numbers(row["embedding"])) for row in answer["data"]), key=lambda row: row[0])
            if [index for index, _ in rows] != list(range(len(texts))):
                raise ValueError("other indices")
        except (KeyError, TypeError, ValueError):
            raise BadInput(
                f"{self._what} at {self._connection!r}: {self._path} did not answer as OpenAI does:"
                " `data` with an `index` and an `embedding` of numbers for each text"
            ) from None
        return [vector for _, vector in rows]
