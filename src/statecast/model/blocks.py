"""Rows of states in blocks, so that room for more rows is made without moving those that are there.

A stream holds one row or a few for each of perhaps millions of series. In one array, room for the next series would
mean a copy of all of them, as would a snapshot; in blocks nothing that is done to some rows costs more than those rows.
The native kernel takes the blocks where they lie and steps rows in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


class Blocks:
    """A table of `size` numbers a row, in C-ordered arrays of `block` rows each.

    Args:
        size: numbers of a row.
        dtype: of the numbers.
        block: rows of a block.

    Attributes:
        arrays: the blocks [block, size]; every row of each may be written to.
        rows: how many rows there is room for.
        spans: [≥ blocks, 2] where each block begins in memory, and how many bytes it has; the rest is room for more.
        span: where the blocks' own `spans` begin, and how many bytes they have.
    """

    def __init__(self, size: int, dtype: Any, block: int) -> None:
        self.size, self.dtype, self.block = size, np.dtype(dtype), block
        self.arrays: list[Float[np.ndarray, "block size"]] = []
        self.spans: Int64[np.ndarray, "n 2"] = np.zeros((8, 2), np.int64)
        self.rows, self.span = 0, (0, 0)

    @classmethod
    def of(cls, array: Float[np.ndarray, "rows size"]) -> Blocks:
        """A table that is one block: the array itself, not a copy."""
        table = cls(array.shape[1], array.dtype, max(len(array), 1))
        table._append(array)
        return table

    def reserve(self, rows: int) -> None:
        """Make room for at least so many rows in all. New rows hold nothing in particular."""
        while len(self.arrays) * self.block < rows:
            self._append(np.empty((self.block, self.size), self.dtype))

    def take(self, index: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n size"]:
        """A copy of the rows of these numbers."""
        rows = np.empty((len(index), self.size), self.dtype)
        for array, inside, places in self._by_block(index):
            rows[places] = array[inside]
        return rows

    def places(self, index: Int64[np.ndarray, " n"]) -> list[tuple[np.ndarray, Any, Any]]:
        """For each block that holds some of these rows: the block, which of its rows, and where they are in `index`.

        With `rows` in the order of `index`, `block[inside] = rows[where]` replaces them.
        """
        return list(self._by_block(index))

    def _by_block(self, index: Int64[np.ndarray, " n"]) -> Iterator[tuple[np.ndarray, Any, Any]]:
        if len(self.arrays) == 1:
            yield self.arrays[0], index, slice(None)
            return
        order = np.argsort(index, kind="stable")
        numbers = index[order] // self.block
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(index)] if len(index) else [0]
        for begin, end in pairwise(cuts):
            where, number = order[begin:end], int(numbers[begin])
            yield self.arrays[number], index[where] - number * self.block, where

    def _append(self, array: np.ndarray) -> None:
        if len(self.arrays) == len(self.spans):
            self.spans = np.concatenate([self.spans, np.zeros_like(self.spans)])
        self.spans[len(self.arrays)] = _begin(array), array.nbytes
        self.arrays.append(array)
        self.rows = (len(self.arrays) - 1) * self.block + len(array)
        self.span = _begin(self.spans), len(self.arrays) * self.spans.itemsize * 2


def _begin(array: np.ndarray) -> int:
    """Where an array begins in memory."""
    begin: int = array.__array_interface__["data"][0]
    return begin
