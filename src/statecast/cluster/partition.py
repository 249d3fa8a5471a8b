"""Rows put into buckets by the names of their series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from statecast.cluster.pieces import RowPiece
from statecast.data.buckets import buckets, name_of

if TYPE_CHECKING:
    from jaxtyping import Int64


@dataclass(frozen=True)
class Partition:
    """How rows are put into buckets.

    Attributes:
        column: whose values decide; None where all rows are of one series.
        count: number of buckets.
        columns: that are read; all if None.
    """

    column: str | None
    count: int
    columns: tuple[str, ...] | None

    def parts(self, *pieces: RowPiece) -> list[pa.Table]:
        """The rows of pieces by bucket, in each in their order."""
        table = pa.concat_tables([piece.read(self.columns) for piece in pieces])
        if self.column is None:
            return [table]
        numbers = self._numbers(table[self.column])
        order = np.argsort(numbers, kind="stable")
        cuts = np.searchsorted(numbers[order], np.arange(self.count + 1))
        ordered = table.take(pa.array(order))
        return [ordered.slice(cuts[k], cuts[k + 1] - cuts[k]) for k in range(self.count)]

    def _numbers(self, names: pa.ChunkedArray) -> Int64[np.ndarray, " rows"]:
        encoded = names.combine_chunks()
        if not pa.types.is_dictionary(encoded.type):
            encoded = pyarrow.compute.dictionary_encode(encoded, null_encoding="encode")
        of_name = buckets(encoded.dictionary.to_pylist(), self.count)
        codes = np.asarray(encoded.indices.fill_null(-1), np.int64)
        # A row whose series has no name is refused, and told of, by whoever works on its bucket.
        return np.where(codes < 0, 0, of_name[codes] if len(of_name) else 0)


def spellings(table: pa.Table, column: str) -> dict[Any, list[Any]]:
    """The names that a column holds, in the order in which they come, each with the values that stand for it."""
    result: dict[Any, list[Any]] = {}
    for value in pyarrow.compute.unique(table[column].combine_chunks()).to_pylist():
        result.setdefault(name_of(value), []).append(value)
    return result


def where(table: pa.Table, column: str, values: Sequence[Any]) -> pa.Table:
    """The rows whose value of a column is one of these."""
    names = pa.array(list(values), table[column].type)
    return table.filter(pyarrow.compute.is_in(table[column], value_set=names, skip_nulls=False))
