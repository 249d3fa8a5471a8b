"""Columns of any kind as inputs of a network: standardised numbers, and one place for each category.

Fitted on the rows that train, applied to any. What is missing is 0, which is the mean of a standardised column, and
where the training rows miss values a further input marks it. A category that training has not seen is all zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.sequences import Sequences
from statecast.data.values import described, is_missing, real
from statecast.errors import DataError, WrongType

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped

SMALLEST = 1e-305  # deviation below which the values of a column are as good as constant


@dataclass(frozen=True)
class ColumnEncoding:
    """How one column becomes inputs.

    Attributes:
        mean, scale: of its numbers.
        change: mean square root of its changes from step to step; 0 where changes are no input.
        categories: its strings; None for numbers.
        marked: whether an input tells that the value is missing.
    """

    mean: float = 0.0
    scale: float = 1.0
    change: float = 0.0
    categories: tuple[str, ...] | None = None
    marked: bool = False

    @property
    def width(self) -> int:
        """Number of inputs."""
        return (len(self.categories) if self.categories is not None else 1 + (self.change > 0)) + self.marked


@dataclass(frozen=True)
class Encoding:
    """How the columns of a table, or the channels of sequences, become inputs."""

    columns: tuple[ColumnEncoding, ...]

    @property
    def width(self) -> int:
        """Number of inputs of a step."""
        return sum(column.width for column in self.columns)

    @classmethod
    def fit(cls, source: Sequences, differences: bool) -> Encoding:
        """The encoding of the columns of these rows; with `differences`, sequences give their changes as inputs.

        Raises:
            DataError: a value is neither a number nor a string, or not finite.
        """
        changes = differences and source.recurrent
        return cls(tuple(_fitted(source, n, changes) for n in range(source.channels)))

    def apply(self, source: Sequences) -> Float[np.ndarray, "steps inputs"]:
        """The inputs of every step.

        Raises:
            DataError: as `fit`.
        """
        parts = [part for n, column in enumerate(self.columns) for part in _inputs(source, n, column)]
        return np.stack(parts, axis=1) if parts else np.zeros((len(source.values), 0))

    def to_json(self) -> list[dict[str, Any]]:
        """As lists and mappings."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, columns: list[Mapping[str, Any]]) -> Encoding:
        """From what `to_json` gave."""
        arguments = ({**c, "categories": None if c["categories"] is None else tuple(c["categories"])} for c in columns)
        return cls(tuple(ColumnEncoding(**column) for column in arguments))


def _fitted(source: Sequences, n: int, changes: bool) -> ColumnEncoding:
    values = source.values[:, n]
    if is_text(values):
        texts, missing = _texts(values)
        return ColumnEncoding(categories=tuple(sorted(set(texts[~missing]))), marked=bool(missing.any()))
    numbers = _numbers(source, n)
    missing = np.isnan(numbers)
    mean, scale = _moments(numbers[~missing])
    change = _size(_changes(source, numbers)) if changes else 0.0
    return ColumnEncoding(mean, scale, change, None, bool(missing.any()))


def _inputs(source: Sequences, n: int, column: ColumnEncoding) -> list[np.ndarray]:
    if column.categories is not None:
        texts, missing = _texts(source.values[:, n])
        parts = [(texts == category).astype(np.float64) for category in column.categories]
    else:
        numbers = _numbers(source, n)
        missing = np.isnan(numbers)
        parts = [np.where(missing, 0.0, (numbers - column.mean) / column.scale)]
        if column.change > 0:
            parts.append(np.nan_to_num(_changes(source, numbers)) / column.change)
    return parts + ([missing.astype(np.float64)] if column.marked else [])


def is_text(values: Shaped[np.ndarray, " steps"]) -> bool:
    """Whether a column holds categories: any text makes it so, true and false do not."""
    return values.dtype.kind in "US" or (values.dtype == object and any(isinstance(v, str) for v in values))


def _texts(values: Shaped[np.ndarray, " steps"]) -> tuple[np.ndarray, Bool[np.ndarray, " steps"]]:
    """Strings of a column, and where it has none; numbers among strings are categories by their text."""
    missing = np.array([is_missing(v) for v in values], bool)
    return np.array(["" if gone else str(v) for v, gone in zip(values, missing, strict=True)], object), missing


def _numbers(source: Sequences, n: int) -> Float[np.ndarray, " steps"]:
    values = source.values[:, n]
    if values.dtype == object:
        numbers = np.array([_number(source, n, i, v) for i, v in enumerate(values)], np.float64)
    elif values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    else:
        raise WrongType(f"column {n} holds {values.dtype}: expected numbers or strings")
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(
            f"{source.where(int(infinite[0]))}, column {n} holds infinity: expected finite numbers; NaN is missing"
        )
    return numbers


def _number(source: Sequences, n: int, i: int, value: Any) -> float:
    number = real(value)
    if number is None:
        raise WrongType(
            f"{source.where(i)}, column {n} holds {described(value)}: argument must be a string or a real number, "
            f"not {type(value).__name__!r}"
        )
    return number


def _changes(source: Sequences, numbers: np.ndarray) -> Float[np.ndarray, " steps"]:
    """Changes since the step before; 0 at the first step of a sequence."""
    change = np.diff(numbers, prepend=numbers[:1])
    change[source.offsets[:-1]] = 0
    return change


def _moments(numbers: np.ndarray) -> tuple[float, float]:
    if not len(numbers):
        return 0.0, 1.0
    return float(np.mean(numbers)), deviation(numbers)


def deviation(column: Float[np.ndarray, " n"]) -> float:
    """Standard deviation of the values that are not missing; 1 where they have none but rounding."""
    values = column[~np.isnan(column)]
    largest = float(np.max(np.abs(values), initial=0.0))
    if len(values) < 2 or largest < SMALLEST:
        return 1.0
    share = float(
        np.std(values / largest)
    )  # the squares of very small values would be 0, those of large ones no number
    return share * largest if share > 1e-12 and share * largest > SMALLEST else 1.0


def _size(change: np.ndarray) -> float:
    known = change[~np.isnan(change)]
    largest = float(np.max(np.abs(known), initial=0.0))
    return largest * float(np.sqrt(np.mean((known / largest) ** 2))) if largest > 0 else 0.0
