"""Targets and covariates as numbers, and back: what is a number, what is a category, and what is neither.

Each column becomes one number a row, a value or the index of a category, and only at the end the features of a
network. So gaps are laid and statics are compared on single numbers, whatever the column holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import values
from statecast.data.grid.keys import Grid
from statecast.data.grid.merging import Part
from statecast.data.grid.records import Record
from statecast.data.panel import Panel
from statecast.data.schema import Covariate, Schema
from statecast.data.tabular.columns import Column
from statecast.data.tabular.table import Table
from statecast.data.values import FLAG, LARGEST, number_of
from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

MOST_CATEGORIES = 200


def numbers(table: Table, column: Column) -> Float64[np.ndarray, " rows"]:
    """A numeric column [rows], NaN where missing; anything but a number of usable size is an error."""
    if column.kind in ("date", "datetime"):
        raise DataError(f"{table.where(column.name)} holds dates, but numbers were expected")
    result = column.values.astype(np.float64, copy=False)
    if column.kind == "text":
        stated = [values.real(label) for label in column.labels]
        wrong = np.array([value is None for value in stated] + [False])[column.values]
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{table.where(column.name, row)}: {column.labels[column.values[row]]!r} is not a number: "
                "correct it, or leave it empty if it is missing"
            )
        result = np.array([*stated, np.nan], np.float64)[column.values]
    large = np.abs(result) > LARGEST
    if large.any():
        row = int(np.argmax(large))
        raise values.too_large(table.where(column.name, row), float(result[row]))
    return result


def learn(table: Table, column: Column) -> Covariate:
    """What a covariate is: text and flags are categorical, unless most of the strings are numbers."""
    name = column.name
    if column.kind == "flag":
        return Covariate(name, "categorical", FLAG)
    if column.kind == "text" and column.labels:
        counts = np.bincount(column.values[column.values >= 0], minlength=len(column.labels))
        numeric = sum(int(n) for n, label in zip(counts, column.labels, strict=True) if number_of(label) is not None)
        if 2 * numeric <= counts.sum():
            return _categories(table, column, counts)
    if np.isnan(numbers(table, column)).all():
        raise DataError(f"{table.where(name)}: every value is missing: leave this column out")
    return Covariate(name)


def _categories(table: Table, column: Column, counts: np.ndarray) -> Covariate:
    labels = sorted(label for label, n in zip(column.labels, counts, strict=True) if n)
    if len(labels) > MOST_CATEGORIES:
        raise DataError(
            f"{table.where(column.name)} holds {len(labels):,} different strings, such as {labels[0]!r}: "
            f"at most {MOST_CATEGORIES} categories can be used; group them, or leave the column out"
        )
    if {label.lower() for label in labels} <= set(FLAG):
        return Covariate(column.name, "categorical", FLAG)
    return Covariate(column.name, "categorical", tuple(labels))


def values_of(table: Table, column: Column, covariate: Covariate) -> Float64[np.ndarray, " rows"]:
    """A covariate as one number a row: its value, or the index of its category; NaN where missing or unknown."""
    if covariate.kind == "numeric":
        return numbers(table, column)
    codes, labels = _as_texts(table, column)
    index = [values.category_of(label, covariate.categories) for label in labels]
    used = np.bincount(codes[codes >= 0], minlength=len(labels))
    unknown = sorted(label for label, at, n in zip(labels, index, used, strict=True) if n and at != at)
    if unknown:
        examples = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        warnings.warn(
            f"{table.where(covariate.name)}: categories that the model has not seen are treated as missing: {examples}",
            UserWarning,
            stacklevel=2,
        )
    result: Float64[np.ndarray, " rows"] = np.array([*index, np.nan])[codes]
    return result


def _as_texts(table: Table, column: Column) -> tuple[Int64[np.ndarray, " rows"], list[str]]:
    """A categorical column as codes and strings, whatever its type in this table."""
    if column.kind == "text":
        return column.values, list(column.labels)
    if column.kind in ("date", "datetime"):
        raise DataError(f"{table.where(column.name)} holds dates, but the model was fitted with strings")
    missing = np.isnan(column.values) if column.kind != "integer" else np.zeros(len(column.values), bool)
    distinct, inverse = np.unique(column.values[~missing], return_inverse=True)
    codes = np.full(len(column.values), -1)
    codes[~missing] = inverse
    items = distinct.astype(bool).tolist() if column.kind == "flag" else distinct.tolist()
    return codes, [values.label(item) for item in items]


def one_hot(numbers: Any, covariate: Covariate) -> Any:
    """The features [..., n] of a covariate [...] of any array library; a missing category is NaN in all of them."""
    if covariate.kind == "numeric":
        return numbers[..., None]
    xp = numbers.__array_namespace__()
    places = xp.asarray(np.arange(float(len(covariate.categories))))
    features = xp.astype(numbers[..., None] == places, numbers.dtype)
    return xp.where(xp.isnan(numbers)[..., None], np.nan, features)


def part_of(covariate: Covariate) -> Part:
    """What the numbers of a covariate are, for merging rows."""
    return "number" if covariate.kind == "numeric" else "category"


def encoded(record: Record, schema: Schema, grid: Grid) -> Panel:
    """The Panel of a table: its columns as numbers, laid on the grid, and there as features.

    Raises:
        DataError: a value is not a number of usable size, a static column changes within a series, or no target has any
            value.
    """
    table, moving = record.table, (*schema.past, *schema.known)
    columns: dict[str, tuple[Float64[np.ndarray, " rows"], Part]]
    columns = {column.name: (numbers(table, column), "target") for column in record.targets}
    for item in (*moving, *schema.static):
        # Of a static column any value of a step will do: those of a series have to be alike.
        part: Part = part_of(item) if item in moving else "category"
        columns[item.name] = values_of(table, record.covariates[item.name], item), part

    if record.weight is not None:
        columns[""] = _weights(table, record.weight), "number"
    laid = {name: grid.put(values, part) for name, (values, part) in columns.items()}
    y = np.stack([laid[name] for name in schema.target], axis=1)
    if np.isnan(y).all():
        series = f"the only series, {grid.ids[0]!r}," if schema.id and len(grid.ids) == 1 else table.origin
        raise DataError(f"{series} has no value of {', '.join(schema.target)}: every one is missing")
    laid |= {item.name: _constant(table, item.name, laid[item.name], grid) for item in schema.static}
    past, known = (_features(group, laid, len(grid.time)) for group in (schema.past, schema.known))
    return Panel(
        y=y,
        time=grid.time,
        offsets=grid.offsets,
        ids=grid.ids,
        past=past,
        known=known,
        static=_features(schema.static, laid, len(grid.ids)),
        ahead=known[:0],
        ahead_offsets=np.zeros(len(grid.ids) + 1, np.int64),
        weight=np.nan_to_num(laid[""]) if record.weight is not None else None,
    )


def _weights(table: Table, column: Column) -> Float64[np.ndarray, " rows"]:
    """How much each row counts; none is missing, and some row counts.

    Raises:
        DataError: a weight is missing or below 0, or all are 0.
    """
    weights = numbers(table, column)
    wrong = ~(weights >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        state = "is missing" if np.isnan(weights[row]) else f"is {weights[row]:g}"
        raise DataError(f"{table.where(column.name, row)}: the weight {state}: expected a number of at least 0")
    if not weights.any():
        raise DataError(f"{table.where(column.name)}: every weight is 0, so there is nothing to learn from")
    return weights


def _features(
    covariates: Sequence[Covariate], laid: Mapping[str, Float64[np.ndarray, " n"]], rows: int
) -> Float64[np.ndarray, "n features"]:
    parts = [one_hot(laid[item.name], item) for item in covariates]
    return np.concatenate([np.empty((rows, 0)), *parts], axis=1)


def _constant(
    table: Table, name: str, values: Float64[np.ndarray, " total"], grid: Grid
) -> Float64[np.ndarray, " series"]:
    """The one value of each series."""
    low: Float64[np.ndarray, " series"] = np.fmin.reduceat(values, grid.offsets[:-1])
    high = np.fmax.reduceat(values, grid.offsets[:-1])
    if (low < high).any():
        series = grid.ids[int(np.argmax(low < high))]
        raise DataError(
            f"{table.where(name)} changes within the series {series!r}, but a static column holds one value "
            "a series: name it past or known instead"
        )
    return low


def decoded(features: Float64[np.ndarray, "n features"], covariate: Covariate) -> np.ndarray:
    """The column that `one_hot` turned into features, [n]."""
    if covariate.kind == "numeric":
        return features[:, 0]
    texts = np.array([*covariate.categories, None], dtype=object)
    return texts[np.where(np.isnan(features[:, 0]), len(covariate.categories), np.argmax(features, axis=1))]
