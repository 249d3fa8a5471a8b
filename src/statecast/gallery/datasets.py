"""The classification tables of the gallery: rows or sequences, each with its class; all are read from files.

They are free to use but not to ship, so each says what file it wants; see `series.find`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from statecast.data.tsfile import read_ts
from statecast.errors import DataError
from statecast.gallery import series


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows or sequences with their classes.

    Attributes:
        X: array [n, columns], or a list of sequences [T, channels].
        y: classes [n].
        names: of the columns or channels.
        first: how many of them are the archive's own training part; 0 where splits are drawn.
        dummies: the rows as the tutorial codes them, where it does.
        complete: rows without missing values, which are all that the tutorial keeps; all if None.
    """

    X: Any
    y: np.ndarray
    names: tuple[str, ...]
    first: int = 0
    dummies: np.ndarray | None = None
    complete: np.ndarray | None = None


IRIS = ("sepal length", "sepal width", "petal length", "petal width")


def iris(folder: Path | None) -> Dataset:
    """Fisher's irises: four lengths in cm, three species."""
    file = series.find("iris", "iris.csv", folder)
    with file.open(newline="", encoding="utf-8") as text:
        rows = [row for row in csv.reader(text) if row]
    bad = next((n for n, row in enumerate(rows, 1) if len(row) != 5), None)
    if bad is not None:
        raise DataError(f"{file}, line {bad}: {len(rows[bad - 1])} cells; expected {series.FILES['iris']}")
    try:
        X = np.array([[float(cell) for cell in row[:4]] for row in rows])
    except ValueError as error:
        raise DataError(f"{file}: {error}; expected {series.FILES['iris']}") from error
    return Dataset(X, np.array([row[4].removeprefix("Iris-") for row in rows]), IRIS)


FACTORS = (
    *("Cl.thickness", "Cell.size", "Cell.shape", "Marg.adhesion", "Epith.c.size"),
    *("Bare.nuclei", "Bl.cromatin", "Normal.nucleoli", "Mitoses"),
)


def breast_cancer(folder: Path | None) -> Dataset:
    """Wisconsin's breast cancers: nine ordered factors, 16 rows with a missing one; benign or malignant."""
    read = series.columns_of(series.find("breast-cancer", "mlbench_BreastCancer.csv", folder), *FACTORS, "Class")
    X = np.stack([series.numbers(read[name]) for name in FACTORS], axis=1)
    levels = [np.unique(column[np.isfinite(column)]) for column in X.T]
    dummies = np.concatenate([column[:, None] == of for column, of in zip(X.T, levels, strict=True)], axis=1)
    whole = np.isfinite(X).all(axis=1)
    return Dataset(X, np.array(read["Class"]), FACTORS, dummies=dummies.astype(float), complete=whole)


def archive(problem: str, folder: Path | None) -> Dataset:
    """A problem of the UCR archive, its training part first."""
    train, test = (read_ts(series.find(KEYS[problem], f"{problem}_{part}.ts", folder)) for part in ("TRAIN", "TEST"))
    if train.labels is None or test.labels is None:
        raise DataError(f"{problem} has no classes (@classLabel true); expected {TS}")
    X = [*train.sequences, *test.sequences]
    names = tuple(f"channel {n + 1}" for n in range(X[0].shape[1]))
    return Dataset(X, np.concatenate([train.labels, test.labels]), names, len(train.sequences))


TS = (
    "a problem of the UCR archive in the .ts format: after the line @data one sequence a line, its channels and its "
    "class apart by colons"
)
KEYS = {
    "ItalyPowerDemand": "italy-power-demand",
    "GunPoint": "gun-point",
    "BasicMotions": "basic-motions",
    "JapaneseVowels": "japanese-vowels",
}

MAKERS: dict[str, Callable[[Path | None], Dataset]] = {
    "iris": iris,
    "breast-cancer": breast_cancer,
    **{key: partial(archive, problem) for problem, key in KEYS.items()},
}
series.FILES |= {
    "iris": "CSV without a header, five columns: four lengths in cm, and the species",
    "breast-cancer": f"CSV with a header, the columns {', '.join(FACTORS)} (1 to 10, NA where missing) and Class "
    "(benign, malignant), as BreastCancer of R's package mlbench",
    **dict.fromkeys(KEYS.values(), TS),
}
