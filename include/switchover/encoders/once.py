"""Each text is encoded once: a wrapper that remembers vectors by the digest of their text."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from switchover.encoders.base import Encoder, Vectors
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = lazy("numpy")

KEPT = 32 << 20  # bytes of vectors; the longest unused go first


class Once:
    """An encoder that asks another one for each different text once, as long as it is kept."""

    def __init__(self, encoder: Encoder, *, kept: int = KEPT) -> None:
        self.name, self.revision, self.dimension = encoder.name, encoder.revision, encoder.dimension
        self.exact = encoder.exact
        self.tokens, self.count_tokens = encoder.tokens, encoder.count_tokens
        self.tokenizer_version, self.read_back = encoder.tokenizer_version, encoder.read_back
        self._encoder = encoder
        self._most = max(1, kept // (4 * encoder.dimension))
        self._kept: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """See :class:`Encoder`."""
        keys = [_key(text, query) for text in texts]
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if new:
            found |= zip(new, self._encoder.encode(list(new.values()), query=query), strict=True)
        with self._lock:
            for key in dict.fromkeys(keys):
                self._kept[key] = found[key]
                self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return np.stack([found[key] for key in keys]) if keys else self._encoder.encode([])


def _key(text: str, query: bool) -> bytes:
    return hashlib.sha256(b"q" * query + b":" + text.encode("utf-8", "surrogatepass")).digest()
