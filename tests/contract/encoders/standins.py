"""Stand-ins for servers of vectors, written after the vendors' API documents and backed by the bundled embedding.

``OpenAiStandIn``: ``POST /v1/embeddings`` (the OpenAI API reference; an error is ``{"error": {...}}``).
``TeiStandIn``: ``POST /embed`` and ``GET /info`` of text-embeddings-inference 1.x (its OpenAPI page; 413 for a text
that is too long or a batch that is too large, 429 when it is overloaded).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from switchover.encoders.wordllama import WordLlamaEncoder

MODEL, SHA, KEY = "sentence/model", "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a", "a-key"
LIMIT = 512  # tokens that the models read
LARGEST_BATCH = 32


class StandIn:
    """A server on this machine; what it does wrong is set between calls.

    ``busy``: so many calls are answered 429 first. ``cuts``: a text that is too long is cut without a word.
    ``noise``: cosine of what comes to what it would be; each call draws anew. ``turned``: another model answers.
    ``instead``: status and body of every answer.
    """

    def __init__(self) -> None:
        self.model, self.busy, self.cuts, self.noise, self.turned = MODEL, 0, False, 1.0, False
        self.instead: tuple[int, Any] | None = None
        self.texts: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self._models = [WordLlamaEncoder(), WordLlamaEncoder(revision="256.1-rotated")]
        self._random = np.random.default_rng(1)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
                status, answer = outer.answer(self.path, body, self.headers.get("Authorization", ""))
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Retry-After": "0"}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, body: Any, authorization: str) -> tuple[int, Any]:
        """Status and body."""
        if self.instead is not None:
            return self.instead
        if self.busy:
            self.busy -= 1
            return 429, self.error("overloaded", "busy")
        if authorization != f"Bearer {KEY}":
            return 401, self.error("no key", "auth")
        self.bodies.append(body)
        return self.served(path, body)

    def served(self, path: str, body: Any) -> tuple[int, Any]:
        """What a well server answers."""
        raise NotImplementedError

    def error(self, message: str, kind: str) -> Any:
        """The body of an error."""
        raise NotImplementedError

    def too_long(self, texts: list[str]) -> int | None:
        """How many tokens the first text has that is too long."""
        model = self._models[0]
        return next((count for count in model.count_tokens(texts) if count > LIMIT), None)

    def vectors(self, texts: list[str], dimension: int = 256) -> list[list[float]]:
        """What the model gives."""
        model = self._models[self.turned]
        self.texts += texts
        if self.cuts:
            texts = [text[: model.tokens(text)[LIMIT][0]] if self.too_long([text]) else text for text in texts]
        found = model.encode(texts).astype(np.float64)[:, :dimension]
        if self.noise < 1:
            found = noisy(found, self.noise, self._random)
        return found.tolist()


class OpenAiStandIn(StandIn):
    """The API of OpenAI, as its reference describes it."""

    def served(self, path: str, body: Any) -> tuple[int, Any]:
        texts = body["input"]
        assert body["encoding_format"] == "float", body
        if path != "/v1/embeddings":
            return 404, self.error(f"Invalid URL (POST {path})", "invalid_request_error")
        if body["model"] != self.model:
            return 404, self.error(f"The model `{body['model']}` does not exist", "invalid_request_error")
        found = None if self.cuts else self.too_long(texts)
        if found:
            said = f"This model's maximum context length is {LIMIT} tokens, however you requested {found} tokens"
            return 400, self.error(said, "invalid_request_error")
        rows = self.vectors(texts, body.get("dimensions", 256))
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
        return 200, {"object": "list", "data": data[::-1], "model": MODEL, "usage": {"prompt_tokens": 8}}

    def error(self, message: str, kind: str) -> Any:
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class TeiStandIn(StandIn):
    """The API of text-embeddings-inference. ``sha``: the revision that it reports."""

    sha: str | None = SHA

    def served(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/info":
            info = {"model_id": self.model, "model_sha": self.sha, "model_dtype": "float16", "max_input_length": LIMIT}
            return 200, {**info, "max_client_batch_size": LARGEST_BATCH, "version": "1.8.0"}
        texts, found = body["inputs"], self.too_long(body["inputs"])
        if len(texts) > LARGEST_BATCH:
            return 413, self.error(
                f"batch size {len(texts)} > maximum allowed batch size {LARGEST_BATCH}", "Validation"
            )
        if found and not self.cuts:
            assert body["truncate"] is False, body
            said = f"Input validation error: `inputs` must have less than {LIMIT} tokens. Given: {found}"
            return 413, self.error(said, "Validation")
        return 200, self.vectors(texts)

    def error(self, message: str, kind: str) -> Any:
        return {"error": message, "error_type": kind}


def noisy(vectors: Any, cosine: float, random: np.random.Generator) -> Any:
    """Unit vectors, each turned away from its own by a random direction so that ``cosine`` is left between them."""
    away = random.standard_normal(vectors.shape)
    away -= np.einsum("ij,ij->i", away, vectors)[:, None] * vectors
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    return cosine * vectors + np.sqrt(1 - cosine**2) * away
