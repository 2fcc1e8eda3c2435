"""The measures of SPEC section 3 as numpy kernels: arrays in, arrays out, no loop over rows.

Shapes: ``n`` rows of evidence, ``h`` hits, ``d`` dimensions, ``t`` gold tokens, ``s`` retrieved spans.
Arrays that belong together and differ in length are a ``ValueError``. What an edge case gives stands in
each docstring; where something could not be measured, the worst value stands in for it, never the best.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from switchover.judge.groups import FICKLE, Ints, agreed, distinct, places, starts

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Mode = Literal["joined", "top1", "mean"]

CONVERGENT, SPLIT, DIVERGENT, CHAOTIC = 0, 1, 2, 3
STATE_SYMBOLS = ("→", "<>", "←", "×")
STAGES = ("retrieve", "rerank", "reason", "total")

_CHUNK = 4096  # rows of vectors that are widened to float64 at a time: stays in the processor's cache


def delta_s(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """ΔS = clip(1 - cos(a, b), 0, 1) of each row of ``a`` (n, d) and ``b`` (n, d); sums in float64.

    ``b`` may also be one vector (d,). The vectors need not be normalised. A zero vector, and a vector with
    NaN or infinity, gives 1: nothing was retrieved that could be near.
    """
    left, right = np.atleast_2d(np.asarray(a)), np.atleast_2d(np.asarray(b))
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1] or len(right) not in (1, len(left)):
        raise ValueError(f"delta_s: shapes {left.shape} and {right.shape} do not belong together")
    out = np.empty(len(left))
    odd = np.zeros(len(left), np.bool_)
    for start in range(0, len(left), _CHUNK):
        part = slice(start, start + _CHUNK)
        x = left[part].astype(np.float64)
        y = right.astype(np.float64) if len(right) == 1 else right[part].astype(np.float64)
        with np.errstate(all="ignore"):
            square = np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y)
            cosine = np.einsum("ij,ij->i", x, np.broadcast_to(y, x.shape)) / np.sqrt(square)
            odd[part] = ~((square > 0) & (square < np.inf) & np.isfinite(cosine))
        out[part] = 1.0 - cosine
    rows = np.flatnonzero(odd)
    for start in range(0, len(rows), _CHUNK):
        at = rows[start : start + _CHUNK]
        x, y = left[at].astype(np.float64), (right if len(right) == 1 else right[at]).astype(np.float64)
        out[at] = 1.0 - _careful_cosine(x, np.broadcast_to(y, x.shape))
    return np.clip(out, 0.0, 1.0, out=out)


def _careful_cosine(x: Floats, y: Floats) -> Floats:
    """Cosines of rows whose plain sums overflowed, underflowed or were not numbers; 0 where undefined."""
    with np.errstate(all="ignore"):
        x = x / np.max(np.abs(x), axis=1, keepdims=True)
        y = y / np.max(np.abs(y), axis=1, keepdims=True)
        cosine = np.einsum("ij,ij->i", x, y) / np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
    return np.where(np.isfinite(cosine), cosine, 0.0)


def context_vectors(
    vectors: npt.ArrayLike, tokens: npt.ArrayLike, row: npt.ArrayLike, n_rows: int, mode: Mode = "joined"
) -> Floats:
    """The vector (n_rows, d) of what each row retrieved, from its hits' vectors (h, d).

    ``row`` (h,) says whose hit it is; within a row the hits come in rank order. Each hit's vector is
    normalised, then ``joined`` sums them weighted by ``tokens`` (h,), ``mean`` sums them alike, ``top1``
    takes the first; the result is normalised. A row without hits, or whose hits cancel out or have no
    tokens, gets the zero vector, so that its ΔS is 1.
    """
    hits, weights, owner = np.asarray(vectors, dtype=np.float64), np.asarray(tokens, dtype=np.float64), _ints(row)
    _same_length(vectors=hits, tokens=weights, row=owner)
    if hits.ndim != 2:
        raise ValueError(f"context_vectors: vectors of shape {hits.shape}; allowed: (hits, dimensions)")
    if len(owner) and (owner.min() < 0 or owner.max() >= n_rows):
        raise ValueError(f"context_vectors: a row outside 0..{n_rows - 1}")
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise ValueError("context_vectors: a token count is negative or not a number")
    out = np.zeros((n_rows, hits.shape[1]))
    order = np.argsort(owner, kind="stable")
    owner, unit = owner[order], _normalised(hits[order])
    first = starts(owner)
    if mode == "top1":
        out[owner[first]] = unit[first]
    elif len(first):
        weighted = unit * weights[order][:, None] if mode == "joined" else unit
        out[owner[first]] = np.add.reduceat(weighted, first, axis=0)
    return _normalised(out)


def _normalised(vectors: Floats) -> Floats:
    """Rows at length 1; zero rows and rows that are not numbers become zero."""
    with np.errstate(all="ignore"):
        scaled = vectors / np.max(np.abs(vectors), axis=1, keepdims=True, initial=0.0)
        unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.where(np.isfinite(unit).all(axis=1, keepdims=True), unit, 0.0)


def coverage(
    gold_tokens_question: npt.ArrayLike,
    gold_tokens_doc: npt.ArrayLike,
    gold_tokens_start: npt.ArrayLike,
    gold_tokens_end: npt.ArrayLike,
    span_row: npt.ArrayLike,
    span_doc: npt.ArrayLike,
    span_start: npt.ArrayLike,
    span_end: npt.ArrayLike,
    row_question: npt.ArrayLike,
    n_questions: int,
) -> Floats:
    """Covered gold tokens ÷ gold tokens of each row's question: (n,), in 0..1.

    The gold tokens (t,) and the retrieved spans (s,) are half-open source offsets [start, end) in a
    document code. A token is covered when it lies wholly inside the union of its row's spans of the same
    document; spans that overlap or touch are one, so overlapping hits count once. A gold token that is
    given twice counts once. A row whose question has no gold tokens (unanswerable) is NaN; a row without
    spans is 0.
    """
    tq, td = _ints(gold_tokens_question), _ints(gold_tokens_doc)
    ts, te = _ints(gold_tokens_start), _ints(gold_tokens_end)
    sr, sd, ss, se = _ints(span_row), _ints(span_doc), _ints(span_start), _ints(span_end)
    asked = _ints(row_question)
    _same_length(gold_tokens_question=tq, gold_tokens_doc=td, gold_tokens_start=ts, gold_tokens_end=te)
    _same_length(span_row=sr, span_doc=sd, span_start=ss, span_end=se)
    tq, td, ts, te = np.unique(np.stack([tq, td, ts, te]), axis=1)
    per_question = np.bincount(tq, minlength=n_questions)
    wanted = per_question[asked]
    # Every gold token once for every row that asks its question.
    row_of = np.repeat(np.arange(len(asked)), wanted)
    within = np.arange(len(row_of)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    token = np.repeat((np.cumsum(per_question) - per_question)[asked], wanted) + within

    documents = int(max(td.max(initial=0), sd.max(initial=0))) + 1
    reach = int(max(te.max(initial=0), se.max(initial=0))) + 1
    group, start, end = _merged(sr * documents + sd, ss, se, reach)
    token_group = row_of * documents + td[token]
    at = np.searchsorted(group * reach + start, token_group * reach + ts[token], side="right") - 1
    inside = at >= 0
    inside[inside] = (group[at[inside]] == token_group[inside]) & (end[at[inside]] >= te[token[inside]])
    covered = np.bincount(row_of[inside], minlength=len(asked))
    return np.where(wanted > 0, covered / np.maximum(wanted, 1), np.nan)


def _merged(group: Ints, start: Ints, end: Ints, reach: int) -> tuple[Ints, Ints, Ints]:
    """Spans of each group with overlapping and touching ones made one, ordered by group and start."""
    order = np.lexsort((start, group))
    group, start, end = group[order], start[order], end[order]
    far = np.maximum.accumulate(group * reach + end)  # the groups lie apart, so no end reaches into the next
    opens = (group[1:] * reach + start[1:] > far[:-1]) | (group[1:] != group[:-1])
    first = np.flatnonzero(np.r_[len(group) > 0, opens])
    last = np.r_[first[1:], len(group)][: len(first)] - 1
    return group[first], start[first], far[last] - group[first] * reach


def inert_seeds(question: npt.ArrayLike, paraphrase: npt.ArrayLike, seed: npt.ArrayLike, cited: npt.ArrayLike) -> Ints:
    """The seeds (codes) that changed nothing, of n runs.

    A seed is inert when it gave, question by question and paraphrase by paraphrase, the one citation that
    the lowest seed always gave.
    """
    seeds, q, p, c = _ints(seed), _ints(question), _ints(paraphrase), _ints(cited)
    _same_length(question=q, paraphrase=p, seed=seeds, cited=c)
    depth = int(p.max(initial=0)) + 1
    return inert(*citations(q * depth + p, seeds, c, depth * (int(q.max(initial=0)) + 1)))


def citations(cell: Ints, seed: Ints, cited: Ints, n_cells: int) -> tuple[Ints, Ints]:
    """The seeds (s,), and what each of them cited in each cell (s, n_cells), of n runs.

    A cell is a question in one wording. ``NOT_ASKED`` where a seed has no run, ``FICKLE`` where its runs differ.
    """
    seeds = distinct(seed)
    at = places(seed, seeds) * n_cells
    at += cell
    return seeds, agreed(at, cited, len(seeds) * n_cells).reshape(len(seeds), n_cells)


def inert(seeds: Ints, table: Ints) -> Ints:
    """The inert ones of the seeds (s,), from what they cited (s, cells)."""
    if len(seeds) < 2 or (table[0] == FICKLE).any():  # a lowest seed that contradicts itself is chance, no seed
        return seeds[:0]
    same: Ints = seeds[1:][(table[1:] == table[0]).all(axis=1)]
    return same


def lambda_states(
    question: npt.ArrayLike, paraphrase: npt.ArrayLike, seed: npt.ArrayLike, cited: npt.ArrayLike, n_questions: int
) -> npt.NDArray[np.int8]:
    """λ state of each question (n_questions,) on one arm: 0 ``→``, 1 ``<>``, 2 ``←``, 3 ``×``.

    Each of the n rows is a run; ``cited`` (n,) is the code of the cited section, -1 when the run failed or
    cited none. m = runs that cite the most cited section ÷ runs. ``→`` m ≥ 0.8, ``<>`` m ≥ 0.5, ``←`` below,
    ``×`` when no section is cited for two of the paraphrases (or for none at all). A question without
    runs is ``×``. Inert seeds are not counted as runs (with two seeds that leaves every m as it was).
    """
    q, p, s, c = _ints(question), _ints(paraphrase), _ints(seed), _ints(cited)
    _same_length(question=q, paraphrase=p, seed=s, cited=c)
    if len(s) and s.max() - s.min() > 1:
        counts = ~np.isin(s, inert_seeds(q, p, s, c))
        q, p, c = q[counts], p[counts], c[counts]
    return states_from(agreed(q, c, n_questions), q, p, c)


def states_from(known: Ints, q: Ints, p: Ints, c: Ints) -> npt.NDArray[np.int8]:
    """λ states as above, where it is known what the runs of each question agree on (n_questions,)."""
    states = np.where(known >= 0, CONVERGENT, CHAOTIC).astype(np.int8)
    split = known == FICKLE  # most questions are of one mind and need no counting
    rows = np.flatnonzero(split[q])
    if not len(rows):
        return states
    n_split = np.count_nonzero(split)
    number = np.cumsum(split) - 1
    q, p, c = number[q[rows]], p[rows], c[rows]
    runs = np.bincount(q, minlength=n_split)
    bits, width = int(p.max(initial=0)).bit_length(), int(c.max(initial=-1)) + 2  # section 0: cited none
    key = q.astype(np.int32 if (n_split * width) << bits < 2**31 else np.int64)  # half the size sorts faster
    key *= width
    key += c
    key += 1
    key <<= bits
    key |= p
    key.sort()
    pair = starts(key)  # one section under one paraphrase
    section, under = key[pair] >> bits, key[pair] & ((1 << bits) - 1)
    group = starts(section)  # one section
    owner, none = section[group] // width, section[group] % width == 0
    question = starts(owner)  # every one of them is there
    asked = np.zeros((1 << bits, n_split), np.bool_)
    cites, spread = np.diff(np.r_[pair[group], len(key)]), np.diff(np.r_[group, len(pair)])
    top = np.maximum.reduceat(np.where(none, 0, cites), question)
    wide = np.maximum.reduceat(np.where(none, 0, spread), question)
    asked[under, section // width] = True
    counted = np.where(5 * top >= 4 * runs, CONVERGENT, np.where(2 * top >= runs, SPLIT, DIVERGENT))
    counted[(top == 0) | ((asked.sum(axis=0) >= 2) & (wide < 2))] = CHAOTIC
    states[split] = counted
    return states


def most_cited(question: npt.ArrayLike, cited: npt.ArrayLike, n_questions: int) -> tuple[Ints, Ints]:
    """(runs that cite the most cited section, all runs) of each question (n_questions,); -1 cites none."""
    q, c = _ints(question), _ints(cited)
    _same_length(question=q, cited=c)
    width, cites = int(c.max(initial=0)) + 1, np.flatnonzero(c >= 0)
    pair, count = np.unique(q[cites] * width + c[cites], return_counts=True)
    top = np.zeros(n_questions, np.int64)
    np.maximum.at(top, pair // width, count)
    return top, np.bincount(q, minlength=n_questions)


def flip_rate(states: npt.ArrayLike) -> float:
    """Share of the questions that are not ``→``; NaN without questions."""
    values = np.asarray(states)
    return float(np.mean(values != CONVERGENT)) if len(values) else float("nan")


def quantile(values: npt.ArrayLike, q: float | npt.ArrayLike, *, reorder: bool = False) -> Floats:
    """Quantiles of ``values`` (n,) at ``q`` in 0..1, by linear interpolation; shape of ``q``.

    Infinity is a value like others (a request that never ended). NaN anywhere, or no values, gives NaN.
    With ``reorder`` an array of float64 is worked on in place and left in another order: no copy.
    """
    data, at = np.array(values, dtype=np.float64, copy=None if reorder else True), np.asarray(q, dtype=np.float64)
    out, done = np.full(at.size, np.nan), 0
    for index in np.argsort(at, axis=None) if len(data) else ():  # a few quantiles, never rows
        place = min(max(float(at.flat[index]), 0.0), 1.0) * (len(data) - 1)
        low = int(place)
        data[done:].partition(low - done)  # one position at a time: several at once cost as much as sorting
        done = low
        below, above = data[low], data[low + 1 :].min(initial=np.inf)  # NaN comes last, so it would be seen here
        exact = (place == low or below == above) and not np.isnan(above)
        out[index] = below if exact else below + (above - below) * (place - low)
    return out.reshape(at.shape)


def failed(status: npt.ArrayLike) -> Bools:
    """Which HTTP statuses (n,) are no success: everything outside 200..299, and 0 for no answer."""
    codes = np.asarray(status)
    return (codes < 200) | (codes > 299)


def server_errors(status: npt.ArrayLike) -> Bools:
    """Which HTTP statuses (n,) are 5xx."""
    codes = np.asarray(status)
    return (codes >= 500) & (codes <= 599)


def _ints(values: npt.ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64).reshape(-1)


def _same_length(**arrays: npt.NDArray[np.generic]) -> None:
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("unequal lengths: " + ", ".join(f"{name} {len(array)}" for name, array in arrays.items()))
