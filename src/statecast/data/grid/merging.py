"""Merging rows: several for the same time, and events that fall into one step.

Both reduce runs of sorted rows to one number for each column. Missing values never count: the first of a run is its
first known value, and a run without any is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from statecast.config import Config

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

Part = Literal["target", "number", "category"]


@dataclass(frozen=True)
class Merging:
    """How rows are merged: the settings of these names.

    Attributes:
        duplicates: the rule for rows of one series and time; "error" refuses them.
        aggregate: the rule for rows that fall into one step; with "none" every row has to be on a step.
    """

    duplicates: str = "error"
    aggregate: str = "none"

    @classmethod
    def of(cls, config: Config) -> Merging:
        """From the settings."""
        return cls(config.duplicates, config.aggregate)

    @property
    def gathers(self) -> bool:
        """Whether the rows of a step become one."""
        return self.aggregate != "none"

    @property
    def known(self) -> str:
        """The rule for rows known ahead, which only hold covariates."""
        return self.aggregate if self.gathers else self.duplicates

    @property
    def first(self) -> str:
        """The rule for rows of the same time before steps are aggregated; "keep" leaves them to that."""
        return "keep" if self.duplicates == "error" and self.gathers else self.duplicates

    @property
    def empty(self) -> float:
        """The target of a step in which there are no rows: nothing is known of it, but no events add up to 0."""
        return 0.0 if self.aggregate == "sum" else np.nan


STRICT = Merging()


@dataclass(frozen=True, eq=False)
class Runs:
    """Consecutive rows that are merged into one.

    Attributes:
        starts: [runs] where each begins among the rows.
        rule: "first", "last", "mean", "sum", "min" or "max" of a target's values.
    """

    starts: Int64[np.ndarray, " runs"]
    rule: str

    def reduced(self, values: Float64[np.ndarray, " rows"], part: Part) -> Float64[np.ndarray, " runs"]:
        """One value for each run; NaN if all of its values are missing.

        Args:
            values: in the order of the rows.
            part: what they are. Sums and extremes are meant of targets: other numbers are averaged, and categories
                cannot be, so their last one counts.
        """
        rule = self.rule
        if part != "target" and rule not in ("first", "last"):
            rule = "mean" if part == "number" else "last"
        return _reduced(values, self.starts, rule)


def _reduced(
    values: Float64[np.ndarray, " rows"], starts: Int64[np.ndarray, " runs"], rule: str
) -> Float64[np.ndarray, " runs"]:
    missing = np.isnan(values)
    if rule in ("first", "last"):
        rows = np.arange(len(values))
        if rule == "first":
            place = np.minimum.reduceat(np.where(missing, len(values), rows), starts)
        else:
            place = np.maximum.reduceat(np.where(missing, -1, rows), starts)
        return np.append(values, np.nan)[np.where(place < 0, len(values), place)]
    if rule in ("min", "max"):
        result: Float64[np.ndarray, " runs"] = (np.fmin if rule == "min" else np.fmax).reduceat(values, starts)
        return result
    count = np.add.reduceat((~missing).astype(np.float64), starts)
    total = np.add.reduceat(np.where(missing, 0.0, values), starts)
    return np.where(count > 0, total / np.maximum(count, 1) if rule == "mean" else total, np.nan)
