"""Targets and covariates as numbers, and back: what is a number, what is a category, and what is neither.

Each column becomes one number a row, a value or the index of a category, and only at the end the features of a
network. So gaps are laid and statics are compared on single numbers, whatever the column holds.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.columns import Column, number
from statecast.data.schema import Covariate
from statecast.data.table import Table
from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

LARGEST = 1e18  # the square of a larger number leaves float32
MOST_CATEGORIES = 200
FLAG = ("false", "true")


def numbers(table: Table, column: Column) -> Float64[np.ndarray, " rows"]:
    """A numeric column [rows], NaN where missing; anything that is no number of a usable size is an error."""
    if column.kind in ("date", "datetime"):
        raise DataError(f"{table.where(column.name)} holds dates, but numbers were expected")
    values = column.values.astype(np.float64, copy=False)
    if column.kind == "text":
        parsed = [number(label) for label in column.labels]
        wrong = np.array([value is None for value in parsed] + [False])[column.values]
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{table.where(column.name, row)}: {column.labels[column.values[row]]!r} is not a number: "
                "correct it, or leave it empty if it is missing"
            )
        values = np.array([*parsed, np.nan], np.float64)[column.values]
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(np.argmax(large))
        value = float(values[row])
        remedy = "leave it empty if it is missing" if np.isinf(value) else f"values beyond {LARGEST:g} need rescaling"
        raise DataError(f"{table.where(column.name, row)}: {value:g} cannot be used: {remedy}")
    return values


def learn(table: Table, name: str) -> Covariate:
    """What a covariate is: text and flags are categorical, unless most of the texts are numbers."""
    column = table.column(name)
    if column.kind == "flag":
        return Covariate(name, "categorical", FLAG)
    if column.kind == "text" and column.labels:
        counts = np.bincount(column.values[column.values >= 0], minlength=len(column.labels))
        numeric = sum(int(n) for n, label in zip(counts, column.labels, strict=True) if number(label) is not None)
        if 2 * numeric <= counts.sum():
            return _categories(table, column, counts)
    if np.isnan(numbers(table, column)).all():
        raise DataError(f"{table.where(name)}: every value is missing: leave this column out")
    return Covariate(name)


def _categories(table: Table, column: Column, counts: np.ndarray) -> Covariate:
    labels = sorted(label for label, n in zip(column.labels, counts, strict=True) if n)
    if len(labels) > MOST_CATEGORIES:
        raise DataError(
            f"{table.where(column.name)} holds {len(labels):,} different texts, such as {labels[0]!r}: "
            f"at most {MOST_CATEGORIES} categories can be used; group them, or leave the column out"
        )
    if {label.lower() for label in labels} <= set(FLAG):
        return Covariate(column.name, "categorical", FLAG)
    return Covariate(column.name, "categorical", tuple(labels))


def values_of(table: Table, covariate: Covariate) -> Float64[np.ndarray, " rows"]:
    """A covariate as one number a row: its value, or the index of its category; NaN where missing or unknown."""
    column = table.column(covariate.name)
    if covariate.kind == "numeric":
        return numbers(table, column)
    codes, labels = _as_texts(table, column)
    if covariate.categories == FLAG:
        labels = [{"0": "false", "1": "true"}.get(label, label.lower()) for label in labels]
    index = {category: float(number) for number, category in enumerate(covariate.categories)}
    found = np.array([*(index.get(label, np.nan) for label in labels), np.nan])
    used = np.bincount(codes[codes >= 0], minlength=len(labels))
    unknown = sorted(label for label, n in zip(labels, used, strict=True) if n and label not in index)
    if unknown:
        shown = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        warnings.warn(
            f"{table.where(covariate.name)}: categories that the model has not seen are treated as missing: {shown}",
            UserWarning,
            stacklevel=2,
        )
    result: Float64[np.ndarray, " rows"] = found[codes]
    return result


def _as_texts(table: Table, column: Column) -> tuple[Int64[np.ndarray, " rows"], list[str]]:
    """A categorical column as codes and texts, whatever its type in this table."""
    if column.kind == "text":
        return column.values, list(column.labels)
    if column.kind in ("date", "datetime"):
        raise DataError(f"{table.where(column.name)} holds dates, but the model was fitted with texts")
    missing = np.isnan(column.values) if column.kind != "integer" else np.zeros(len(column.values), bool)
    known, inverse = np.unique(column.values[~missing], return_inverse=True)
    codes = np.full(len(column.values), -1)
    codes[~missing] = inverse
    return codes, [str(int(value)) if value % 1 == 0 else str(value) for value in known.tolist()]


def one_hot(values: Float64[np.ndarray, " n"], covariate: Covariate) -> Float64[np.ndarray, "n features"]:
    """The features of a covariate; a missing category is NaN in all of them."""
    if covariate.kind == "numeric":
        return values[:, None]
    result: Float64[np.ndarray, "n features"] = (values[:, None] == np.arange(len(covariate.categories))).astype(
        np.float64
    )
    result[np.isnan(values)] = np.nan
    return result


def decoded(values: Float64[np.ndarray, "n features"], covariate: Covariate) -> np.ndarray:
    """The column that `one_hot` turned into features, [n]."""
    if covariate.kind == "numeric":
        return values[:, 0]
    texts = np.array([*covariate.categories, None], dtype=object)
    return texts[np.where(np.isnan(values[:, 0]), len(covariate.categories), np.argmax(values, axis=1))]
