"""What an arm is: its pins, its manifest and the digests that bind them (SPEC section 6)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PIN_NAMES = (
    "INDEX_HASH",
    "EMBED_SCHEMA",
    "RERANK_CONF",
    "PROMPT_VER",
    "MODEL_VER",
    "TOK_VER",
    "ANALYZER_CONF",
    "CHUNK_SCHEMA_VER",
    "CONSUMER_VER",
    "BUILD_ID",
    "GIT_SHA",
)
REQUIRED = ("INDEX_HASH", "EMBED_SCHEMA")  # of every arm that has an index


def check_pin_names(names: Iterable[str], allowed: Sequence[str] = PIN_NAMES) -> None:
    """Raise ``ValueError`` for a name that is no pin, or none of the pins that are ``allowed`` there."""
    for name in names:
        if name not in allowed:
            problem = "cannot be given" if name in PIN_NAMES else "is not a pin"
            raise ValueError(f"{name!r} {problem}; allowed: {', '.join(allowed)}")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: the same value always gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 in hex over the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def content_digest(text: str) -> str:
    """SHA-256 in hex of one stored text."""
    return hashlib.sha256(text.encode()).hexdigest()


def pairs_digest(pairs: Iterable[tuple[str, str]], *, in_order: bool = False) -> str:
    """Digest of all (id, content digest) pairs: one line ``id<TAB>digest`` each, by id in code-point order.

    ``in_order`` says that they come so already; then any number of them is read in constant memory.
    """
    hasher = hashlib.sha256()
    for identifier, content in pairs if in_order else sorted(pairs):
        hasher.update(f"{identifier}\t{content}\n".encode())
    return hasher.hexdigest()


def embed_schema(*, name: str, revision: str, dimension: int, normalised: bool, metric: str) -> str:
    """The EMBED_SCHEMA pin of an encoder."""
    return digest(
        {
            "name": name,
            "revision": revision,
            "dimension": dimension,
            "normalised": normalised,
            "metric": metric,
        }
    )


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """What INDEX_HASH is made of; ``pairs`` is the digest of all (id, content digest) pairs.

    ``pairs`` has one of two forms: a sum that no order changes (``receipt.FORM`` and 64 hex digits), or, of builds of
    before there was one, 64 hex digits over the pairs in order (:func:`pairs_digest`).
    """

    embed_schema: str
    tok_ver: str
    chunk_schema_ver: str
    analyzer_conf: str
    metric: str
    store: Mapping[str, Any]
    corpus_revision: int
    count: int
    pairs: str

    def index_hash(self) -> str:
        """The INDEX_HASH pin: SHA-256 over the canonical JSON of these facts."""
        return digest({**asdict(self), "store": dict(self.store)})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One arm's manifest as it is stored beside its index.

    ``encoder`` is what a reader needs to build the query encoder:
    ``{"name", "revision", "dimension", "normalised", "metric"}``. ``receipt``: what the build found in the store when
    it was done (``indexes.receipt.Proof``, without the rows kept); builds of before there was one have none.
    """

    target: str
    pins: Mapping[str, str]
    facts: IndexFacts
    encoder: Mapping[str, Any]
    secrets: tuple[str, ...] = field(default=())
    receipt: Mapping[str, Any] | None = None

    @property
    def index_hash(self) -> str:
        """The INDEX_HASH this manifest claims."""
        return self.pins["INDEX_HASH"]

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        return {
            "target": self.target,
            "pins": dict(self.pins),
            "facts": {**asdict(self.facts), "store": dict(self.facts.store)},
            "encoder": dict(self.encoder),
            "secrets": list(self.secrets),
            **({"receipt": dict(self.receipt)} if self.receipt is not None else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Read a manifest that ``to_json`` wrote."""
        return cls(
            target=data["target"],
            pins=dict(data["pins"]),
            facts=IndexFacts(**data["facts"]),
            encoder=dict(data["encoder"]),
            secrets=tuple(data.get("secrets", ())),
            receipt=data.get("receipt"),
        )


def changed_pins(blue: Mapping[str, str], green: Mapping[str, str]) -> list[str]:
    """Names of the pins whose values differ, in the order of ``PIN_NAMES``; a missing pin differs."""
    return [name for name in PIN_NAMES if blue.get(name) != green.get(name)]


@dataclass(frozen=True, kw_only=True)
class ArmPins:
    """What each source says: ``manifest`` beside the index, ``reported`` by the arm, ``promised`` in the plan."""

    manifest: Mapping[str, str] = field(default_factory=dict)
    reported: Mapping[str, str] = field(default_factory=dict)
    promised: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """Each pin that is known, in the order of ``PIN_NAMES``; a manifest counts more than a report or a promise."""
        known = {**self.promised, **self.reported, **self.manifest}
        return {name: known[name] for name in PIN_NAMES if known.get(name)}

    def wrong(self, required: Iterable[str] = REQUIRED) -> list[str]:
        """What of the pins is missing or said in two ways, each in words."""
        found = []
        for name in PIN_NAMES:
            said = self._said(name)
            if len(set(said.values())) > 1:
                found.append(f"{name} " + ", ".join(f"{value[:16]} {where}" for where, value in said.items()))
            elif not said and name in required:
                found.append(f"{name} missing: neither in the manifest, reported, nor promised in the plan")
        return found

    def told(self) -> str:
        """Which pins are known from where: ``INDEX_HASH, BUILD_ID in the manifest, reported``."""
        by_source: dict[str, list[str]] = {}
        for name in self.values:
            by_source.setdefault(self.source(name), []).append(name)
        return "; ".join(f"{', '.join(names)} {where}" for where, names in by_source.items()) or "none is known"

    def source(self, name: str) -> str:
        """Where a pin is known from; empty when it is not known."""
        return ", ".join(self._said(name))

    def _said(self, name: str) -> dict[str, str]:
        """Source in words -> value."""
        sources = {"in the manifest": self.manifest, "reported": self.reported, "promised in the plan": self.promised}
        return {where: pins[name] for where, pins in sources.items() if pins.get(name)}
