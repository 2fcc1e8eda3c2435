"""Integer codes in numpy: which values a column has, and whether all rows of a cell say the same.

A cell is a combination of codes as one number, such as (question, paraphrase): question * 3 + paraphrase.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

NOT_ASKED, FICKLE = -2, -3  # instead of what a cell cited


def distinct(values: Ints) -> Ints:
    """Sorted distinct values (np.unique hashes first, which takes longer)."""
    if len(values) and values.min() >= 0 and values.max() < len(values):
        return np.flatnonzero(np.bincount(values))
    ranked: Ints = np.sort(values)
    return ranked[starts(ranked)]


def places(values: Ints, ranked: Ints) -> Ints:
    """Position of each of the values (n,) in the sorted distinct ones."""
    if len(ranked) and ranked[0] == 0 and ranked[-1] == len(ranked) - 1:
        return values  # 0, 1, 2 ...: they are their own positions
    position: Ints = np.searchsorted(ranked, values)
    return position


def agreed(cell: Ints, cited: Ints, n_cells: int) -> Ints:
    """What all runs of each cell (n_cells,) cited: ``NOT_ASKED`` without runs, ``FICKLE`` where they differ."""
    table = np.full(n_cells, NOT_ASKED)
    table[cell] = cited
    table[cell[np.flatnonzero(table[cell] != cited)]] = FICKLE
    return table


def together(table: Ints, axis: tuple[int, ...]) -> Ints:
    """What cells agree on (see ``agreed``) that are taken as one along some axes."""
    most = table.max(axis=axis, keepdims=True)
    least = np.where(table == NOT_ASKED, most, table).min(axis=axis)
    return np.where(least < most.reshape(least.shape), FICKLE, least)


def starts(ranked: npt.NDArray[np.signedinteger[Any]]) -> Ints:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, np.int64)
