"""What a picture of a series shows, as plain numbers: the values that were, and curves of forecasts with intervals.

A chart knows neither where its numbers come from nor how it is drawn, so a forecast, a backtest and a comparison of
futures are drawn by the same lines: by matplotlib (`axes`), by plotly (`interactive`), or as a sketch (`sketch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from statecast.display.units import with_unit
from statecast.errors import SettingError

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

BACKENDS = ("matplotlib", "plotly")


@dataclass(frozen=True, eq=False)
class Curve:
    """Forecasts of n steps.

    Attributes:
        time: datetime64 or integers.
        values: in the target's unit.
        lower, upper: bounds by level in percent.
        name: curves of one name look alike.
    """

    time: Shaped[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]
    lower: Mapping[float, Float[np.ndarray, " n"]] = field(default_factory=dict)
    upper: Mapping[float, Float[np.ndarray, " n"]] = field(default_factory=dict)
    name: str = "forecast"


@dataclass(frozen=True, eq=False)
class Chart:
    """One target of one series.

    Attributes:
        target: the name of its column.
        time: datetime64 or integers.
        actual: the values, NaN where missing.
        curves: forecasts.
        series: its name; empty where there is one alone.
        origins: the last times that forecasts knew of, where they are worth marking.
    """

    target: str
    time: Shaped[np.ndarray, " m"]
    actual: Float[np.ndarray, " m"]
    curves: tuple[Curve, ...]
    series: str = ""
    origins: Sequence[object] = ()

    @property
    def title(self) -> str:
        """The target, with its unit where its name says one, and the series where there are several."""
        target = with_unit(self.target)
        return f"{target} · {self.series}" if self.series else target

    @property
    def names(self) -> tuple[str, ...]:
        """Of the curves, each once."""
        return tuple(dict.fromkeys(curve.name for curve in self.curves))

    @property
    def span(self) -> Shaped[np.ndarray, " n"]:
        """All times."""
        return np.concatenate([self.time, *(curve.time for curve in self.curves)])


def side_by_side(charts: Mapping[str, Sequence[Chart]]) -> tuple[Chart, ...]:
    """Charts of the same series under several names as one for each series, whose curves have these names."""
    joined = []
    for row in zip(*charts.values(), strict=True):
        curves = [
            Curve(curve.time, curve.values, curve.lower, curve.upper, name)
            for name, chart in zip(charts, row, strict=True)
            for curve in chart.curves
        ]
        first = row[0]
        joined.append(Chart(first.target, first.time, first.actual, tuple(curves), first.series, first.origins))
    return tuple(joined)


def require_backend(backend: str) -> None:
    """Refuse a drawing library that is none of ours.

    Raises:
        SettingError: names those that there are.
    """
    if backend not in BACKENDS:
        raise SettingError(f"backend = {backend!r}: expected {' or '.join(repr(name) for name in BACKENDS)}")
