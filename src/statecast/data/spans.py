"""Many series in flat arrays: where each begins, and the rows of spans of them.

Series of unequal length lie one after another, without padding. Their offsets [S + 1] say where: the rows of series s
are `offsets[s]:offsets[s + 1]`, so the first offset is 0 and the last one the number of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int64, Integer


def offsets_of(lengths: Integer[np.ndarray, " S"]) -> Int64[np.ndarray, " S+1"]:
    """Where series of these lengths begin, and where the last one ends.

    Args:
        lengths: rows of each series; none is possible.
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_in_spans(count: Integer[np.ndarray, " n"]) -> Int64[np.ndarray, " rows"]:
    """The place of each row within its span, from 0 on: n spans of so many rows, one span after another."""
    offsets = offsets_of(count)
    places: Int64[np.ndarray, " rows"] = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], count)
    return places


def rows_of_spans(begin: Integer[np.ndarray, " n"], count: Integer[np.ndarray, " n"]) -> Int64[np.ndarray, " rows"]:
    """The rows `begin[i]` to `begin[i] + count[i]` − 1 of n spans, one span after another.

    Args:
        begin: the first row of each span; spans may lie anywhere, and overlap.
        count: how many rows each has; none is possible.
    """
    rows: Int64[np.ndarray, " rows"] = np.repeat(begin, count) + places_in_spans(count)
    return rows
