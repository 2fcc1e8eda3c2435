"""Encoders behind Hugging Face's text-embeddings-inference; ``/info`` says which weights it serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.encoders.base import Encoder
from switchover.encoders.http import HttpEncoder, HttpEncoderSpec, numbers
from switchover.encoders.outside import Reads
from switchover.errors import BadInput


class TeiSpec(HttpEncoderSpec):
    """A text-embeddings-inference server. Its `/info` must report the model and the revision that are named here."""

    kind: Literal["tei"]
    name: str = Field(min_length=1, max_length=200, description="The model, as `/info` reports it: `model_id`.")
    revision: str = Field(
        min_length=1, max_length=200, description="Its commit, as `/info` reports it: `model_sha`; whole."
    )

    def build(self, edge: Edge) -> Encoder:
        """See :class:`EncoderSpec`."""
        return TeiEncoder(self, edge)


class TeiEncoder(HttpEncoder):
    """Asks with ``truncate: false``, so that a text which is too long is refused by the server."""

    def call(self, texts: Sequence[str], how: Reads) -> Any:
        """See :class:`OutsideEncoder`."""
        body: dict[str, Any] = {"inputs": list(texts), "truncate": False, "normalize": True}
        if how.input_type is not None:
            body["prompt_name"] = how.input_type
        answer = self.ask("POST", "/embed", body)
        try:
            return [numbers(vector) for vector in answer]
        except (TypeError, ValueError):
            raise BadInput(
                f"{self._what} at {self._connection!r}: /embed did not answer a list of vectors, one a text"
            ) from None

    def read_back(self) -> str:
        """See :class:`Encoder`. Empty where the server does not know its revision: it serves weights from a folder."""
        info = self.ask("GET", "/info")
        info = info if isinstance(info, dict) else {}
        wrong = [
            f"{key} is {info.get(key)!r}, the plan says {said!r}"
            for key, said in (("model_id", self.name), ("model_sha", self.revision))
            if info.get(key) != said and not (key == "model_sha" and info.get(key) is None and "model_id" in info)
        ]
        if wrong:
            raise BadInput(f"{self._what} at {self._connection!r}: /info: {'; '.join(wrong)}")
        return f"model_sha:{info['model_sha']}" if info.get("model_sha") else ""
