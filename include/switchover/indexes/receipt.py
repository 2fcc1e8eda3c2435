"""What an index holds, as a sum over its rows that no order, batch or shard changes (SPEC section 6).

A row's digest is SHA-256 of (length of its id, id, SHA-256 of its text), its id in UTF-8 and the length in 8 bytes,
big-endian. With its vector: SHA-256 of (that digest, the vector's bytes as the store gives them back). Both are added
up as 256-bit numbers: so batches and shards are added to each other, a row that goes is subtracted, and two indexes
have one sum only if they hold the same rows. (An XOR would forget a row that is there twice.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

MODULUS = 1 << 256
FORM = "sum256:"  # how the digest of pairs begins that is such a sum; the bare one is of the pairs in order
AUDITED = 1_000  # rows, at least, that an audit looks at again
_KEPT = 1_300  # as many are kept of a whole reading on average, so that hardly ever fewer than AUDITED are
_RANGE = 1 << 32


def row_digest(id: str, text: str) -> bytes:
    """32 bytes that stand for one row without its vector."""
    return id_and_content(id, hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def id_and_content(id: str, content: bytes) -> bytes:
    """The same of a text whose SHA-256 is known."""
    raw = id.encode("utf-8", "surrogatepass")
    return hashlib.sha256(len(raw).to_bytes(8, "big") + raw + content).digest()


def vector_digest(row: bytes, vector: bytes) -> bytes:
    """32 bytes that stand for a row with its vector; ``row``: see :func:`row_digest`."""
    return hashlib.sha256(row + vector).digest()


@dataclass(frozen=True, kw_only=True)
class Sum:
    """How many rows there are and what they hold. ``bare``: rows without a vector; they are in ``texts`` only."""

    count: int = 0
    texts: int = 0
    vectors: int = 0
    bare: int = 0

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            count=self.count + other.count,
            texts=(self.texts + other.texts) % MODULUS,
            vectors=(self.vectors + other.vectors) % MODULUS,
            bare=self.bare + other.bare,
        )

    def __sub__(self, other: Sum) -> Sum:
        return Sum(
            count=self.count - other.count,
            texts=(self.texts - other.texts) % MODULUS,
            vectors=(self.vectors - other.vectors) % MODULUS,
            bare=self.bare - other.bare,
        )

    @classmethod
    def of_row(cls, id: str, text: str, vector: bytes | None = None) -> Sum:
        """The sum of one row."""
        row = row_digest(id, text)
        found = 0 if vector is None else int.from_bytes(vector_digest(row, vector), "big")
        return cls(count=1, texts=int.from_bytes(row, "big"), vectors=found, bare=int(vector is None))

    @property
    def pairs(self) -> str:
        """The digest of (id, content) pairs as ``IndexFacts`` keeps it; its beginning says which form it has."""
        return f"{FORM}{self.texts:064x}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        return {**asdict(self), "texts": f"{self.texts:064x}", "vectors": f"{self.vectors:064x}"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sum:
        """Read what ``to_json`` wrote."""
        numbers = {name: int(data[name], 16) for name in ("texts", "vectors")}
        return cls(count=data["count"], bare=data["bare"], **numbers)


def pairs_sum(pairs: Iterable[tuple[str, str]]) -> str:
    """The digest of (id, content digest in hex) pairs as ``IndexFacts`` keeps it, in any order."""
    found = (id_and_content(id, bytes.fromhex(content)) for id, content in pairs)
    return Sum(texts=sum(int.from_bytes(row, "big") for row in found) % MODULUS).pairs


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which rows a reading keeps for a later audit: at random, by a key that each new reading draws."""

    key: int
    below: int

    @classmethod
    def among(cls, rows: int, key: int) -> Choice:
        """About 1,300 of ``rows``; all of fewer. ``key``: 32 random bits."""
        return cls(key=key, below=_RANGE if rows <= _KEPT else _RANGE * _KEPT // rows)

    def takes(self, row: bytes) -> bool:
        """Whether the row of this digest is kept."""
        return int.from_bytes(row[28:], "big") ^ self.key < self.below


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a reading of a part has found: the sum of the build's rows, how many are of a later revision, rows kept.

    ``kept``: id -> digests in hex, without and with the vector ("" without one).
    """

    sum: Sum = field(default_factory=Sum)
    later: int = 0
    kept: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        return Tally(sum=self.sum + other.sum, later=self.later + other.later, kept={**self.kept, **other.kept})

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        return {
            "sum": self.sum.to_json(),
            "later": self.later,
            "kept": {id: list(two) for id, two in self.kept.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Read what ``to_json`` wrote."""
        kept = {id: (two[0], two[1]) for id, two in data["kept"].items()}
        return cls(sum=Sum.from_json(data["sum"]), later=data["later"], kept=kept)


class Adder:
    """Adds up rows that come one by one, and keeps some for the audit."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._count = self._texts = self._vectors = self._bare = 0
        self._kept: dict[str, tuple[str, str]] = {}
        self.later = 0

    def add(self, id: str, text: str, vector: bytes | None) -> None:
        """Take in one row of the build."""
        row = row_digest(id, text)
        self._count += 1
        self._texts += int.from_bytes(row, "big")
        both = b""
        if vector is None:
            self._bare += 1
        else:
            both = vector_digest(row, vector)
            self._vectors += int.from_bytes(both, "big")
        if self._choice.takes(row):
            self._kept[id] = (row.hex(), both.hex())

    def tally(self) -> Tally:
        """What was found."""
        found = Sum(count=self._count, texts=self._texts % MODULUS, vectors=self._vectors % MODULUS, bare=self._bare)
        return Tally(sum=found, later=self.later, kept=self._kept)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One reading of an index, whole or as far as it has come.

    ``creation``: the store's own id of this very index: one that was dropped and made again has another. ``change``:
    the store's change mark when the reading began; while it is the same, nothing was written since; "" where a store
    has none. ``done``: the parts that were read. ``pairs``: the digest in the manifest's form, once it is whole.
    ``first_vectors``: what the vectors added up to when this build of this index was first read whole, in hex.
    """

    target: str
    creation: str
    change: str
    index_hash: str
    key: int
    tally: Tally = field(default_factory=Tally)
    done: tuple[str, ...] = ()
    pairs: str | None = None
    first_vectors: str | None = None

    @property
    def whole(self) -> bool:
        """Whether everything was read."""
        return self.pairs is not None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form; ``from_json`` reads it back."""
        told = {name: value for name, value in vars(self).items() if name != "tally"}
        return {**told, "done": list(self.done), "tally": self.tally.to_json()}

    def receipt(self) -> dict[str, Any]:
        """What a build writes beside its index: all but the rows kept."""
        return replace(self, tally=replace(self.tally, kept={}), done=()).to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proof:
        """Read what ``to_json`` wrote."""
        return cls(**{**data, "done": tuple(data["done"]), "tally": Tally.from_json(data["tally"])})


def found_by_audit(*, altered: int, kept: int, rows: int) -> float:
    """The probability that an audit of ``kept`` rows finds at least one of ``altered`` among ``rows``."""
    if kept >= rows:
        return 1.0
    missed = 1.0
    for number in range(altered):
        missed *= max(rows - kept - number, 0) / (rows - number)
    return 1.0 - missed
