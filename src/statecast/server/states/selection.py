"""Forecasts of several steps put together, and taken apart again for those who asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.forecast import calibrate, channels
from statecast.forecast.answer import Forecast
from statecast.model.inputs import from_working
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

REPORT = ("shifts", "watch")  # what a forecast tells of each row beside its numbers


def joined(forecasts: Sequence[Forecast]) -> Forecast:
    """Forecasts of one model and one horizon, one after another; a series may come several times."""
    if len(forecasts) == 1:
        return forecasts[0]
    first = forecasts[0]
    report: dict[str, Any] = {name: _stacked([getattr(part, name) for part in forecasts]) for name in REPORT}
    return replace(
        first,
        ids=tuple(name for part in forecasts for name in part.ids),
        last=np.concatenate([part.last for part in forecasts]),
        first=np.concatenate([part.first for part in forecasts]),
        scale=np.concatenate([part.scale for part in forecasts]),
        **report,
    )


def picked(forecast: Forecast, series: Int64[np.ndarray, " M"]) -> Forecast:
    """The forecast of some of its series, in this order."""
    if len(series) == len(forecast.ids) and (series == np.arange(len(series))).all():
        return forecast
    width = channels.rows_each(forecast.model)
    rows = series if width == 1 else (series[:, None] * width + np.arange(width)).reshape(-1)
    parts = {name: getattr(forecast, name) for name in REPORT}
    report: dict[str, Any] = {name: None if part is None else part[rows] for name, part in parts.items()}
    return replace(
        forecast,
        ids=tuple(forecast.ids[s] for s in series.tolist()),
        last=forecast.last[series],
        first=forecast.first[rows],
        scale=forecast.scale[rows],
        **report,
    )


def _stacked(parts: Sequence[Any]) -> Any:
    """What forecasts tell of their rows; None where one of them does not."""
    return None if any(part is None for part in parts) else np.concatenate(parts)


def changes(forecast: Forecast | None, count: int) -> tuple[Bool[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """Whether each series' last row says that one of its targets has changed, and when the earliest change began.

    Args:
        forecast: from after these rows; None where there is none.
        count: S.
    """
    if forecast is None or forecast.watch is None or not count:
        return np.zeros(count, bool), np.zeros(count, np.int64)
    return np.asarray(forecast.changed.any(axis=1)), forecast.since.min(axis=1)


def scores(forecast: Forecast | None, count: int) -> tuple[Float64[np.ndarray, " S"], Bool[np.ndarray, " S"]]:
    """How unusual each series' last row was, by the target that was most so, and whether it is called unusual.

    Args:
        forecast: from after these rows; None where there is none.
        count: S.

    Returns:
        NaN and False where nothing was forecast of a row.
    """
    if forecast is None or forecast.watch is None or not count:
        return np.full(count, np.nan), np.zeros(count, bool)
    each = forecast.score
    most = np.argmax(np.where(np.isnan(each), -1, np.abs(each)), axis=1)
    return np.asarray(each[np.arange(count), most]), np.asarray(forecast.unusual.any(axis=1))


def narrowed(model: Model) -> Model:
    """The model as its forecasts one step ahead have it: what is calibrated for later steps is left out."""
    head = replace(model.network.head, horizon=1)
    return replace(
        model,
        network=replace(model.network, head=head),
        residuals=None if model.residuals is None else model.residuals[:, :1],
        typical=None if model.typical is None else model.typical[:1],
        paths=None,
    )


def next_step(
    forecast: Forecast, narrow: Model
) -> tuple[Float64[np.ndarray, "S D"], Float64[np.ndarray, "S D"], Float64[np.ndarray, "S D"]]:
    """The point forecasts of the next step in the units of the table, and the bounds of their narrowest interval.

    They are not finite where the network has no forecast. Where there are no levels the bounds are NaN.

    Args:
        forecast: from after a row of each series.
        narrow: its model, see `narrowed`.
    """
    model = forecast.model
    raw = forecast.first[:, :1]
    point = raw[..., model.network.head.middle].astype(np.float64)
    values = channels.join(model, from_working(model.constants, point[..., None])[..., 0])[:, 0]
    if not forecast.levels:
        return values, np.full_like(values, np.nan), np.full_like(values, np.nan)
    shifts = None if forecast.shifts is None else forecast.shifts[:, :1]
    phase = None if model.phases is None else channels.repeat(model, calibrate.phase_of(model, forecast.last))
    below, above = calibrate.Spread(narrow, raw, forecast.scale, shifts, phase).at(min(forecast.levels))
    lower, upper = (channels.join(model, part)[:, 0] for part in calibrate.around(narrow, point, below, above))
    return values, lower, upper
