"""Residuals drawn on axes: over time, how many there are of each size, and their autocorrelation.

It only works on axes that are passed in, so that `plot` stays the one place that makes figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from statecast.display import palette
from statecast.forecast.residuals import Residuals
from statecast.report.correlation import autocorrelation
from statecast.report.summary import plural

DOTS = 6000  # points of a scatter plot; more would only make it darker
FEW = 200  # points that are drawn larger


class _Kind(NamedTuple):
    values: Any
    colour: str
    label: str


def _kinds(part: Residuals, horizon: int, step: str, look: palette.Palette) -> Iterator[_Kind]:
    if horizon > 1:
        yield _Kind(part.last_step, look.far, f"{plural(horizon, step)} ahead")
    yield _Kind(part.one_step, look.main, f"one {step} ahead")


def thinning(parts: Sequence[Residuals]) -> int:
    """Of how many points one is drawn, so that the longest of these is not a blot."""
    return max((math.ceil(len(part.time) / DOTS) for part in parts), default=1)


def over_time(axes: Any, part: Residuals, horizon: int, step: str, thin: int = 1) -> None:
    """A dot for each residual, one step and `horizon` steps ahead."""
    dots: dict[str, Any] = {"ls": "", "marker": ".", "ms": 5 if len(part.time) < FEW else 3, "alpha": 0.6, "mew": 0}
    look = palette.of(axes)
    for kind in _kinds(part, horizon, step, look):
        axes.plot(part.time[::thin], kind.values[::thin], color=kind.colour, label=kind.label, **dots)
    axes.axhline(0, color=look.ink, lw=0.8)


def sizes(axes: Any, part: Residuals, horizon: int, step: str) -> None:
    """Histograms of the residuals, one step and `horizon` steps ahead, in the same bins, one of them around zero."""
    kinds = list(_kinds(part, horizon, step, palette.of(axes)))
    finite = [kind.values[np.isfinite(kind.values)] for kind in kinds]
    reach = float(max(np.abs(values).max(initial=0.0) for values in finite)) or 1.0
    edges = np.linspace(-reach, reach, 2 * int(np.clip(math.sqrt(len(part.time)), 4, 24)) + 2).tolist()
    for kind, values in zip(kinds, finite, strict=True):
        axes.hist(values, bins=edges, color=kind.colour, alpha=0.25, histtype="stepfilled")
        axes.hist(values, bins=edges, color=kind.colour, histtype="step", lw=1.2)
    axes.locator_params(axis="y", integer=True, nbins=4)
    axes.locator_params(axis="x", nbins=4)


def correlogram(axes: Any, series: Any, lag: int, season: int) -> None:
    """Autocorrelation by lag, with the band in which 95 % of those of white noise lie."""
    correlation = autocorrelation(series, lag)
    look = palette.of(axes)
    axes.set_ylim(-1.05, 1.05)
    if np.isnan(correlation.values).all():
        middle: dict[str, Any] = {"ha": "center", "color": look.soft, "fontsize": 9}
        axes.text(0.5, 0.7, "constant or empty", transform=axes.transAxes, **middle)
        axes.tick_params(labelbottom=False)
        return
    lags = np.arange(len(correlation.values))
    axes.axhspan(-correlation.band, correlation.band, color=look.bands[1], lw=0, zorder=1)
    axes.vlines(lags[1:], 0, correlation.values[1:], color=look.ink, lw=max(0.8, min(2.4, 100 / len(lags))), zorder=2)
    axes.axhline(0, color=look.ink, lw=0.8)
    axes.set_xlim(0, max(len(lags) - 0.5, 1))
    unit = season if 1 < season < len(lags) else 1
    axes.set_xticks(np.arange(0, len(lags), unit * math.ceil(len(lags) / unit / 8)))
    if unit > 1:
        axes.grid(axis="x", color=look.grid, lw=1.2)
