"""The key of an effect: what is done to which revision of what. Never when."""

from __future__ import annotations

import hashlib
import re

from switchover.errors import BadInput

_HEX = re.compile(r"[0-9a-f]{64}")


class FenceKey(str):
    """A fence key, 64 hex digits, that still knows the kind of its source."""

    __slots__ = ("source_type",)
    source_type: str

    def __new__(cls, text: str, *, source_type: str = "") -> FenceKey:
        """Raises ``BadInput`` unless ``text`` is what ``fence_key`` makes."""
        if not isinstance(text, str) or not _HEX.fullmatch(text):
            raise BadInput(f"fence key {str(text)[:80]!r}: allowed: the 64 hex digits that fence_key() returns")
        key = super().__new__(cls, text)
        key.source_type = source_type
        return key


def fence_key(
    *, source_type: str, source_id: str, revision: str | int, action: str, index_hash: str | None = None
) -> FenceKey:
    """SHA-256 in hex over the parts, each as ``<bytes of its UTF-8>:<UTF-8>``, in the order of the signature.

    ``index_hash`` only when the effect depends on the index build; without it the key has four parts. Any
    language can make the same key: ``("kafka", "orders/0", "42", "upsert")`` is the SHA-256 of
    ``5:kafka8:orders/02:426:upsert``.

    Raises ``BadInput`` for a part that is empty or is no text (a revision may be an integer): a timestamp or a
    float would make every attempt a new effect.
    """
    parts: dict[str, object] = {
        "source_type": source_type,
        "source_id": source_id,
        "revision": revision,
        "action": action,
    }
    if index_hash is not None:
        parts["index_hash"] = index_hash
    hasher = hashlib.sha256()
    for name, part in parts.items():
        text = _text(name, part).encode()
        hasher.update(b"%d:%b" % (len(text), text))
    return FenceKey(hasher.hexdigest(), source_type=source_type)


def _text(name: str, part: object) -> str:
    if name == "revision" and isinstance(part, int) and not isinstance(part, bool):
        return str(part)
    if not isinstance(part, str) or not part:
        allowed = "text or an integer, never a timestamp" if name == "revision" else "text that is not empty"
        raise BadInput(f"fence_key: {name}: found {type(part).__name__} {str(part)[:80]!r}; allowed: {allowed}")
    return part
