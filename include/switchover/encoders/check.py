"""Whether an encoder made some stored vectors, and whether it is still what it was. Two encoders of one dimension
answer alike and retrieve nonsense: only their vectors tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchover.encoders.base import Encoder, Vectors
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = lazy("numpy")

FLOOR = 0.999  # cosine that an exact encoder reaches to its own vectors, also where they are stored as half floats
LOWEST_FLOOR = 0.99  # no noise excuses less: revisions of one model come near each other
ROOM = 4  # how far beyond the largest noise of a sample another sample's may lie
CHANCE = 5  # standard deviations of the cosine between vectors that have nothing to do with each other

#: What a fingerprint is taken of: languages, a number, code, a question, something long.
PROBES = (
    "The pointer decides which arm serves the users.",
    "How long may a rollback take before people notice?",
    "Ein Wechsel ohne Rückweg ist kein Wechsel.",
    "数据库在凌晨三点停止响应。",
    "قرأ المهندس السجل قبل أن يضغط الزر.",
    "for row in rows: total += row['price'] * 1.19  # 42,195 rows in 3.5 s",
    "A long sentence that says little, then says it again in other words, so that whatever weighs words against each"
    " other has something to weigh, and ends, after all, with a lighthouse.",
)


@dataclass(frozen=True, kw_only=True)
class Match:
    """Cosines of vectors to those that an encoder gives now: the lowest, and the floor that it must reach.

    ``noise``: how far (1 - cosine) the encoder lies from itself, at most, when it is asked twice.
    """

    lowest: float
    floor: float
    noise: float
    of: int

    @property
    def ok(self) -> bool:
        """Whether all reach the floor; nothing compared is no match."""
        return self.of > 0 and self.lowest >= self.floor

    @property
    def found(self) -> str:
        """For people."""
        own = f", asked twice it reaches {1 - self.noise:.4f}" if self.noise else ""
        return f"lowest cosine {self.lowest:.4f}{own}"

    @property
    def expected(self) -> str:
        """For people."""
        return f"cosine >= {self.floor:.4g}"


def match(encoder: Encoder, texts: Sequence[str], stored: npt.ArrayLike) -> Match:
    """Hold ``stored`` (n, d) against what the encoder gives for ``texts``. ``ValueError``: other dimensions.

    An encoder that is not exact is asked twice: what it differs from itself is forgiven, four times over, but no
    more than ``LOWEST_FLOOR`` and never what unrelated vectors of so few dimensions reach by chance.
    """
    there = np.asarray(stored, dtype=np.float64)
    now = encoder.encode(texts).astype(np.float64)
    if now.shape != there.shape:
        raise ValueError(f"{now.shape[-1]} dimensions queried, {there.shape[-1]} stored")
    noise = 0.0 if encoder.exact else float((1 - cosines(now, encoder.encode(texts))).max(initial=0.0))
    lowest = float(cosines(now, there).min()) if len(there) else 0.0
    return Match(lowest=lowest, floor=floor_of(noise, now.shape[-1]), noise=noise, of=len(texts))


def floor_of(noise: float, dimension: int) -> float:
    """The lowest cosine that is still the same encoder, from the largest distance of its own."""
    by_chance = CHANCE / math.sqrt(max(1, dimension))
    return min(FLOOR, max(1 - ROOM * noise, LOWEST_FLOOR, by_chance))


def cosines(a: Any, b: Any) -> npt.NDArray[np.float64]:
    """Cosine of each row of ``a`` (n, d) to the same row of ``b`` (n, d); 0 for a zero vector."""
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    found: npt.NDArray[np.float64] = np.divide(
        np.einsum("ij,ij->i", left, right), norms, out=np.zeros(len(left)), where=norms > 0
    )
    return found


def fingerprint(encoder: Encoder) -> Vectors:
    """Vectors (probes, d) by which an encoder is known again that nothing can be read back of."""
    return encoder.encode(PROBES)
