"""Rolling windows: the stretches of time, before the test rows, by which settings are compared.

A window is what a fit sees, at an earlier time: training rows, validation rows that tell it when to stop, and behind
these rows that score it. Windows lie end to end, and the last ends where the test rows begin, so every setting is
scored by several stretches, none of which the network had learned from. All windows share one table and differ in their
split alone: what is compiled for one serves the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split, split
from statecast.errors import TooFewRows
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import origin_rows
from statecast.forecast.scores.metrics import seasonal_scale
from statecast.model.inputs import from_working
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

WINDOWS = 3
LEAST_BLOCKS = 6  # blocks of time that make units of evidence; with fewer, series do
MOST_UNITS = 240  # of all windows together: more of them tell the same


@dataclass(frozen=True, eq=False)
class TuningWindow:
    """A stretch of time that scores settings.

    Attributes:
        parts: training and validation rows of each series.
        stop: [S] the row behind the last that scores.
    """

    parts: Split
    stop: Int64[np.ndarray, " S"]

    @property
    def scored(self) -> int:
        """Rows that score."""
        return int((self.stop - self.parts.val).sum())


def windows_of(
    panel: Panel, horizon: int, val_size: float, test_size: float, count: int = WINDOWS
) -> tuple[Panel, tuple[TuningWindow, ...]]:
    """The table before its test rows, and `count` windows of it, the earliest first; fewer where rows do not suffice.

    Validation and scored rows are as many as a fit's validation rows, one horizon at least. A series that is too short
    for a window is trained on, and has no rows in it that score.

    Args:
        panel: the whole table.
        horizon: steps ahead.
        val_size: the setting of the fit.
        test_size: likewise.
        count: windows that are wanted.

    Raises:
        TooFewRows: not even one window has enough rows.
    """
    whole = split(panel.lengths, horizon, val_size, test_size)
    size = np.maximum(whole.val - whole.train, horizon)
    for number in range(count, 0, -1):
        windows = tuple(_window(whole.val, size, horizon, back) for back in range(number - 1, -1, -1))
        if all(window.scored for window in windows):
            return panel.cut(whole.val), windows
    longest = int(whole.val.max(initial=0))
    raise TooFewRows(
        f"the longest series has {longest} rows before its test rows: tuning needs at least {3 * horizon + 2} there, "
        "for training, validation and scores; give more rows, or a smaller horizon or test_size"
    )


def _window(end: Int64[np.ndarray, " S"], size: Int64[np.ndarray, " S"], horizon: int, back: int) -> TuningWindow:
    """The window that ends `back` windows before the test rows."""
    stop = end - back * size
    enough = stop - 2 * size >= horizon + 2
    val = np.where(enough, stop - size, np.maximum(stop, 0))
    train = np.where(enough, stop - 2 * size, np.maximum(stop, 0))
    return TuningWindow(Split(train, val), np.where(enough, stop, val))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Errors of forecasts by units of evidence, each of which belongs to a window.

    Attributes:
        sums: of scaled errors.
        counts: how many they are.
    """

    sums: Float64[np.ndarray, " U"]
    counts: Float64[np.ndarray, " U"]

    @property
    def score(self) -> float:
        """The mean scaled error."""
        return float(self.sums.sum() / max(self.counts.sum(), 1.0))


@dataclass(frozen=True, eq=False)
class Yardstick:
    """How errors are counted, the same for all trials.

    Attributes:
        scales: [S, D] what the errors of each series and target are divided by.
        squared: whether errors are squared, as the loss does it.
        blocks: whether the units of evidence are blocks of time, or series.
        units: of each window.
    """

    scales: Float64[np.ndarray, "S D"]
    squared: bool
    blocks: bool
    units: int

    @classmethod
    def of(cls, panel: Panel, windows: tuple[TuningWindow, ...], horizon: int, season: int, squared: bool) -> Yardstick:
        """Errors in units of the mean change over a season in the rows before the first window's scored rows."""
        first = windows[0].parts.val
        pairs = zip(panel.offsets[:-1], first, strict=True)
        scales = np.array([seasonal_scale(panel.y[begin : begin + size], season) for begin, size in pairs])
        sound = np.isfinite(scales) & (scales > 0)
        typical = np.median(scales[sound]) if sound.any() else 1.0
        length = max(int((window.stop - window.parts.val).max()) for window in windows)
        blocks = -(-length // horizon)
        in_time = blocks * len(windows) >= LEAST_BLOCKS
        units = min(blocks if in_time else panel.series, max(MOST_UNITS // len(windows), 1))
        return cls(np.where(sound, scales, typical), squared, in_time, units)

    def errors(self, model: Model, feed: Feed, window: TuningWindow) -> Evidence:
        """Those of a model in a window.

        Args:
            model: trained on the window's training rows.
            feed: the table.
            window: the window.
        """
        panel, folded, horizon = feed.panel, feed.folded, model.network.head.horizon
        origins = feed.forecasts(model, origin_rows(panel, window.parts.val, horizon, window.stop))
        row = np.searchsorted(folded.offsets, origins.rows, side="right") - 1  # of the folded panel's series
        width = folded.series // panel.series
        series, place = row // width, origins.rows - folded.offsets[row]
        ahead = place[:, None] + np.arange(1, horizon + 1)
        inside = ahead < window.stop[series][:, None]
        actual = folded.y[folded.offsets[row][:, None] + np.where(inside, ahead, place[:, None])]
        middle = model.network.head.middle
        point = from_working(model.constants, origins.values[..., middle, None])[..., 0]
        scales = self.scales[series] if width == 1 else self.scales[series, row % width][:, None]
        errors = np.where(inside[..., None], np.abs(actual - point) / scales[:, None, :], np.nan)
        errors = (errors**2 if self.squared else errors).reshape(len(row), -1)
        number = (place + 1 - window.parts.val[series]) // horizon if self.blocks else series
        return self._by_unit(errors, number, -(-int((window.stop - window.parts.val).max()) // horizon), panel.series)

    def _by_unit(self, errors: np.ndarray, number: np.ndarray, blocks: int, series: int) -> Evidence:
        unit = number * self.units // max(blocks if self.blocks else series, 1)
        unit = np.clip(unit, 0, self.units - 1)
        sums = np.bincount(unit, np.nansum(errors, axis=1), self.units)
        counts = np.bincount(unit, (~np.isnan(errors)).sum(axis=1), self.units)
        return Evidence(sums, counts.astype(np.float64))
