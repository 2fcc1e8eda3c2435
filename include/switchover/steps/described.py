"""Whether a manifest is true in what can be read without it: its digests, and how the store holds the vectors."""

from __future__ import annotations

from switchover.indexes.base import Vectors
from switchover.pins import IndexFacts, Manifest, embed_schema
from switchover.steps.checks import Check

UNKNOWN = ("", "unknown")
#: Pins that INDEX_HASH is made of, by their name among the facts.
FACTS = {
    "EMBED_SCHEMA": "embed_schema",
    "TOK_VER": "tok_ver",
    "CHUNK_SCHEMA_VER": "chunk_schema_ver",
    "ANALYZER_CONF": "analyzer_conf",
}
ENCODER = ("name", "revision", "dimension", "normalised", "metric")


def described_checks(label: str, manifest: Manifest, held: Vectors) -> list[Check]:
    """``held``: what the store says. What neither can be computed nor read is shown as promised."""
    return [_manifest(label, manifest), _store(label, manifest, held)]


def _manifest(label: str, manifest: Manifest) -> Check:
    """Pins equal the facts; INDEX_HASH and EMBED_SCHEMA are worked out again from what they are made of."""
    pins, facts, encoder = manifest.pins, manifest.facts, manifest.encoder
    wrong = [
        f"{pin} is {pins[pin][:16]}, its facts say {value[:16]}"
        for pin, name in FACTS.items()
        if pin in pins and pins[pin] != (value := getattr(facts, name))
    ]
    if (made := facts.index_hash()) != pins.get("INDEX_HASH"):
        wrong.append(f"INDEX_HASH is {pins.get('INDEX_HASH', 'missing')[:16]}, its facts give {made[:16]}")
    whole = all(name in encoder for name in ENCODER)
    if whole and (schema := embed_schema(**{name: encoder[name] for name in ENCODER})) != facts.embed_schema:
        wrong.append(f"EMBED_SCHEMA is {facts.embed_schema[:16]}, its encoder gives {schema[:16]}")
    if "metric" in encoder and facts.metric not in (*UNKNOWN, encoder["metric"]):
        wrong.append(f"metric is {facts.metric}, its encoder's is {encoder['metric']}")
    worked = "INDEX_HASH and EMBED_SCHEMA worked out again" if whole else "INDEX_HASH worked out again"
    promised = _promised(facts, whole)
    found = "; ".join(wrong) or f"{worked}{f'; only promised: {promised}' if promised else ''}"
    return Check(name=f"{label} manifest", ok=not wrong, found=found, expected="pins as its own facts give them")


def _promised(facts: IndexFacts, whole: bool) -> str:
    """Facts that nothing here can read: they are the builder's word."""
    said = [pin for pin, name in FACTS.items() if pin != "EMBED_SCHEMA" and getattr(facts, name) not in UNKNOWN]
    return ", ".join(said if whole else ["EMBED_SCHEMA", *said])


def _store(label: str, manifest: Manifest, held: Vectors) -> Check:
    """The store's own metric and dimension beside those that the vectors were made for."""
    encoder = manifest.encoder
    metric = str(encoder.get("metric") or manifest.facts.metric)
    metric = "" if metric in UNKNOWN else metric
    dimension = encoder.get("dimension")
    wrong = []
    if held.metric and metric and not _same(held.metric, metric, normalised=encoder.get("normalised") is True):
        wrong.append(f"the store's metric is {held.metric}, the manifest's {metric}")
    if held.dimension is not None and dimension is not None and int(dimension) != held.dimension:
        wrong.append(f"the store's vectors have {held.dimension} dimensions, the encoder's {dimension}")
    read = [
        f"metric {held.metric}"
        if held.metric
        else f"metric {metric or 'unknown'}, only promised: the store names none",
        f"{held.dimension} dimensions" if held.dimension is not None else "dimensions not said by the store",
        *([held.parameters] if held.parameters else []),
    ]
    return Check(
        name=f"{label} store",
        ok=not wrong,
        found="; ".join(wrong or read),
        expected=f"metric {metric or 'any'}, {dimension or 'any'} dimensions",
    )


def _same(held: str, said: str, *, normalised: bool) -> bool:
    """Of normalised vectors all three metrics give one order."""
    known = {"cosine", "ip", "l2"}
    return held == said or (normalised and {held, said} <= known)
