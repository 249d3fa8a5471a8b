"""Rows of a table, or sequences of unequal lengths, as one value: flat values and offsets, like a Panel's.

A table is the case of one step for each sequence. What comes in may be an array [n, columns], an array
[n, T, channels], or a list of arrays [T_i, channels]; no padded copy is ever made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import offsets_of, rows_of_spans
from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, Shaped


@dataclass(frozen=True, eq=False)
class Sequences:
    """Rows or sequences.

    Attributes:
        values: the steps of all sequences, one after the other; numbers with NaN where missing, or objects.
        offsets: sequence i is `values[offsets[i]:offsets[i + 1]]`.
        recurrent: whether steps form sequences; false for a table, whose rows are single steps.
    """

    values: Shaped[np.ndarray, "steps F"]
    offsets: Int64[np.ndarray, " n+1"]
    recurrent: bool

    @property
    def count(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1

    @property
    def channels(self) -> int:
        """Columns of a step."""
        return int(self.values.shape[1])

    @property
    def lengths(self) -> Int64[np.ndarray, " n"]:
        """Steps of each sequence."""
        return np.diff(self.offsets)

    def take(self, rows: Int64[np.ndarray, " m"]) -> Sequences:
        """The sequences of these numbers, in this order."""
        lengths = self.lengths[rows]
        return Sequences(self.values[rows_of_spans(self.offsets[rows], lengths)], offsets_of(lengths), self.recurrent)

    def as_table(self) -> Sequences:
        """Sequences of one length as rows of a table: every channel of every step is a column of its own."""
        return of_table(self.values.reshape(self.count, -1))

    def where(self, step: int) -> str:
        """The name of a flat step for messages, counted from 0."""
        if not self.recurrent:
            return f"row {step}"
        sequence = int(np.searchsorted(self.offsets, step, side="right")) - 1
        return f"sequence {sequence}, step {step - int(self.offsets[sequence])}"


def is_sequences(source: Any) -> bool:
    """Whether X holds sequences rather than a table: an array of three axes, or a list of arrays of two."""
    if isinstance(source, np.ndarray) and source.dtype != object:
        return source.ndim == 3
    if isinstance(source, list | tuple) or (isinstance(source, np.ndarray) and source.ndim == 1):
        return len(source) > 0 and any(_axes(item) >= 2 for item in source)
    return getattr(source, "ndim", 0) == 3


def of_table(values: np.ndarray) -> Sequences:
    """Rows [n, F] as sequences of one step."""
    return Sequences(values, np.arange(len(values) + 1, dtype=np.int64), False)


def of_sequences(source: Any) -> Sequences:
    """An array [n, T, F] or a list of arrays [T_i, F].

    Raises:
        DataError: an item has not two axes, no step, or other channels than the first.
    """
    items: Sequence[np.ndarray] = [unmasked(item) for item in source]
    width = items[0].shape[-1] if items and items[0].ndim == 2 else None
    for number, item in enumerate(items):
        _require(number, item, width)
    values = np.concatenate(items) if items else np.zeros((0, 0))
    return Sequences(values, offsets_of(np.array([len(item) for item in items], np.int64)), True)


def unmasked(values: Any) -> np.ndarray:
    """An array of what may be a masked one; what its mask hides is missing, as NaN is."""
    if not np.ma.isMaskedArray(values) or not np.ma.is_masked(values):
        return np.asarray(values)
    plain = np.asarray(values.astype(np.float64 if values.dtype.kind in "biuf" else object))
    plain[np.ma.getmaskarray(values)] = np.nan
    return plain


def patched(
    inputs: Float[np.ndarray, "steps I"], offsets: Int64[np.ndarray, " n+1"], size: int
) -> tuple[Float[np.ndarray, "patches J"], Int64[np.ndarray, " n+1"]]:
    """Inputs with `size` steps of a sequence side by side as one, the end of its last one filled up with 0.

    Returns:
        The inputs of every patch, J = size · I, and where the sequences' patches begin.
    """
    if size == 1:
        return inputs, offsets
    lengths = np.diff(offsets)
    counts = -(-lengths // size)
    begins = offsets_of(counts)
    patches = np.zeros((int(begins[-1]) * size, inputs.shape[1]))
    patches[rows_of_spans(begins[:-1] * size, lengths)] = inputs
    return patches.reshape(int(begins[-1]), -1), begins


def _require(number: int, item: np.ndarray, width: int | None) -> None:
    if item.ndim != 2:
        raise DataError(
            f"sequence {number} has the shape {item.shape}: expected [steps, channels]; one channel is a[:, None]"
        )
    if not len(item) or not item.shape[1]:
        what = "steps" if not len(item) else "channels"
        raise DataError(f"sequence {number} has no {what} (shape {item.shape}): leave it out")
    if item.shape[1] != width:
        raise DataError(f"sequence {number} has {item.shape[1]} channels, and sequence 0 has {width}: expected as many")


def _axes(item: Any) -> int:
    if hasattr(item, "shape"):
        return len(item.shape)
    if isinstance(item, list | tuple):
        return 1 + (_axes(item[0]) if item else 0)
    return 0
