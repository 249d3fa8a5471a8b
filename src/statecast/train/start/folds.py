"""Rows to learn from and rows held out, for the choices of the linear start.

Validation rows are held out where they tell of every step of the horizon. Those of short series are too few, or end
before the last step: training and validation rows together are then cut into stretches of time, each of which is
forecast by what the others taught; rows whose forecasts share a value with the stretch are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from statecast.train.start.design import Design
from statecast.train.start.evidence import HeldOut, units_of

SHORT = 30_000_000  # last values of all rows, at most, of a table that is cut into stretches
LEAST = 12  # units of evidence for the last step of the horizon from which on validation rows are enough
STRETCHES = 3
VALIDATION = 8192  # validation rows that are forecast at most, and fewer where each takes long
PRODUCTS = 1.5e9  # multiplications, at most, of a forecast of all of them


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to learn from, and rows that are forecast.

    Attributes:
        train: the rows to learn from.
        held_out: the rows that are forecast.
    """

    train: Design
    held_out: Design


@dataclass(frozen=True, eq=False)
class Folds:
    """All folds of a table.

    Attributes:
        folds: one with the validation rows, or several stretches.
        evidence: the values of the rows held out, fold after fold.
        short: whether the folds are stretches.
    """

    folds: tuple[Fold, ...]
    evidence: HeldOut
    short: bool

    @classmethod
    def of(cls, design: Design) -> Folds:
        """The folds of a table.

        Args:
            design: its front, target, horizon and size; of any rows.
        """
        most = int(PRODUCTS / (design.size + 1) / design.horizon)
        train, val = design.training(), design.validation(min(VALIDATION, most))
        evidence = _evidence(val)
        far = evidence.of(~np.isnan(evidence.actual[:, -1])).count
        if far >= LEAST or (len(train.rows) + len(val.rows)) * (design.size + 1) > SHORT:
            return cls((Fold(train, val),), evidence, short=False)
        folds = tuple(_stretches(design.all_before_test()))
        parts = [_evidence(fold.held_out) for fold in folds]
        actual = np.concatenate([part.actual for part in parts]) if parts else evidence.actual[:0]
        units = np.concatenate([part.units for part in parts]) if parts else evidence.units[:0]
        return cls(folds, HeldOut(actual, units), short=True)


def _evidence(design: Design) -> HeldOut:
    return HeldOut(design.actual(), units_of(design.series, design.places, design.horizon))


def _stretches(design: Design) -> list[Fold]:
    """A fold for each stretch of time, counted from the start of each series."""
    places, horizon = design.places, design.horizon
    length = design.stop[design.series]
    stretch = np.minimum(places * STRETCHES // np.maximum(length, 1), STRETCHES - 1)
    folds = []
    for number in range(STRETCHES):
        first, last = -(-number * length // STRETCHES), -(-(number + 1) * length // STRETCHES) - 1
        apart = (places + horizon <= first) | (places >= last + horizon)
        folds.append(Fold(design.of(design.rows[apart]), design.of(design.rows[stretch == number])))
    return folds
