"""The limits of the targets, such as a capacity or 0 and 100 percent: what the settings `lower` and `upper` mean.

A value beyond a limit is refused rather than moved to it: either it is wrong or the limit is, and only the user knows
which. A gauge that passes its mark by a hair is let in by a limit a little wider, and a wrong value by an empty cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.errors import DataError, SettingError, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True, eq=False)
class Limits:
    """Of each of D targets.

    Attributes:
        lower: [D], −∞ where there is none.
        upper: [D], ∞ where there is none.
        names: of the targets.
    """

    lower: Float64[np.ndarray, " D"]
    upper: Float64[np.ndarray, " D"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, config: Config, names: Sequence[str]) -> Limits:
        """Those that the settings state for targets of these names.

        Raises:
            SettingError: there is no target of such a name, or the lower limit of one is not below its upper one.
        """
        lower, upper = (_each(setting, getattr(config, setting), names) for setting in ("lower", "upper"))
        if (lower >= upper).any():
            d = int(np.argmax(lower >= upper))
            raise SettingError(f"lower = {lower[d]:g} is not below upper = {upper[d]:g} for the target {names[d]!r}")
        return cls(lower, upper, tuple(names))

    @property
    def any(self) -> bool:
        """Whether a target has one."""
        return bool((np.isfinite(self.lower) | np.isfinite(self.upper)).any())

    @property
    def alike(self) -> bool:
        """Whether all targets have the same."""
        return bool((self.lower == self.lower[0]).all() and (self.upper == self.upper[0]).all())

    @property
    def near(self) -> float:
        """The absolute value up to which no value lies beyond a limit; below 0 where there is none such."""
        return float(min(self.upper.min(), -self.lower.max()))

    def of_channel(self, targets: int) -> Limits:
        """Those of a network of so many targets: of all, or of one that stands for each, as all are alike."""
        names = self.names if targets == len(self.names) else ("the value",)
        return Limits(self.lower[:targets], self.upper[:targets], names)

    def require(self, y: Float64[np.ndarray, "rows D"], name: str) -> None:
        """Refuse values beyond the limits.

        Raises:
            DataError: there is one; `name` says whose it is.
        """
        if (place := self._beyond(y)) is not None:
            raise DataError(f"{name}: {self._complaint(y, place)}")

    def require_table(self, panel: Panel) -> None:
        """Refuse a table with a value beyond the limits.

        Raises:
            DataError: there is one; says in which row of which series.
        """
        if (place := self._beyond(panel.y)) is not None:
            s = int(panel.series_of_row()[place[0]])
            row = f"row {place[0] - int(panel.offsets[s]) + 1} of series {panel.ids[s]!r}"
            raise DataError(f"{row}: {self._complaint(panel.y, place)}")

    def _beyond(self, y: Float64[np.ndarray, "rows D"]) -> tuple[int, int] | None:
        beyond = (y < self.lower) | (y > self.upper)
        if not beyond.any():
            return None
        row, target = np.argwhere(beyond)[0]
        return int(row), int(target)

    def _complaint(self, y: Float64[np.ndarray, "rows D"], place: tuple[int, int]) -> str:
        value, target = float(y[place]), place[1]
        below = value < self.lower[target]
        place_of, setting, limit = ("below", "lower", self.lower) if below else ("above", "upper", self.upper)
        return (
            f"{self.names[target]} is {value:.10g}, {place_of} the limit {setting} = {limit[target]:.10g}: "
            "leave the cell empty if the value is wrong, or fit with a wider limit"
        )


def _each(setting: str, value: Any, names: Sequence[str]) -> Float64[np.ndarray, " D"]:
    """The limit of each target."""
    none = -np.inf if setting == "lower" else np.inf
    if not isinstance(value, dict):
        return np.full(len(names), none if value is None else float(value))
    unknown = next((name for name in value if name not in names), None)
    if unknown is not None:
        raise SettingError(f"{setting} names {unknown!r}, which is not a target; {nearest(unknown, names)}")
    return np.array([float(value.get(name, none)) for name in names])
