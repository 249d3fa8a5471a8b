"""Residuals, actual values minus forecasts: each by its origin and step ahead, and those of a series over time."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.errors import SettingError
from statecast.forecast import answer
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.scores.evaluate import by_series
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64, Shaped


@dataclass(frozen=True, eq=False)
class Residuals:
    """Actual minus forecast of one target, one step ahead and `horizon` steps ahead, in the units of the target.

    Attributes:
        target: its name.
        time: of the value one step ahead.
        one_step: residuals one step ahead, NaN where a value is missing.
        last_step: `horizon` steps ahead, from the same origins; NaN beyond the end of the table, too.
        series: its name; empty where there is one alone.
    """

    target: str
    time: Shaped[np.ndarray, " n"]
    one_step: Float[np.ndarray, " n"]
    last_step: Float[np.ndarray, " n"]
    series: str = ""


def of_series(
    model: Model, panel: Panel, origins: Origins, most: int, series: Container[int] | None = None
) -> tuple[Residuals, ...]:
    """The residuals of the first targets of the first series that have some.

    Args:
        model: whose forecasts they are.
        panel: the table, one series a series.
        origins: forecasts at rows of the folded panel, see `channels.fold`.
        most: how many targets of series.
        series: the numbers of those that are wanted; all if None.
    """
    numbers = range(panel.series) if series is None else series
    return tuple(islice(_of_series(model, panel, origins, numbers), most))


def _of_series(model: Model, panel: Panel, origins: Origins, numbers: Container[int]) -> Iterator[Residuals]:
    schema = model.schema
    for s, rows, forecasts in by_series(model, panel, origins):
        if s not in numbers or not len(rows):
            continue
        errors = _actual(panel, s, rows, forecasts.point.shape[1]) - forecasts.point
        time = panel.time[panel.offsets[s] + np.minimum(rows + 1, panel.lengths[s] - 1)]
        stamps = calendar.to_datetime64(time, schema.time_kind, schema.frequency, schema.tz)
        name = str(panel.ids[s]) if panel.series > 1 else ""
        for d, target in enumerate(schema.target):
            yield Residuals(target, stamps, errors[:, 0, d], errors[:, -1, d], name)


def _actual(panel: Panel, s: int, rows: Int64[np.ndarray, " n"], horizon: int) -> Float64[np.ndarray, "n H D"]:
    """The values after each of some rows of a series; NaN beyond its end."""
    y, ahead = panel.y[panel.span(s)], rows[:, None] + np.arange(1, horizon + 1)
    return np.where((ahead < len(y))[..., None], y[np.minimum(ahead, len(y) - 1)], np.nan)


def columns(model: Model, panel: Panel, origins: Origins, steps: Sequence[int] | None = None) -> dict[str, np.ndarray]:
    """A row for each value that was forecast and came: id, time, cutoff, steps_ahead, y, statecast, residual.

    They are in the order of series, target, origin and step. `cutoff` is the time of the origin, the last row that the
    forecast knew; values that are missing, or beyond the end of the table, have no row.

    Args:
        model: whose forecasts they are.
        panel: the table, one series a series.
        origins: forecasts at rows of the folded panel, see `channels.fold`.
        steps: steps ahead that are wanted; all if None.

    Raises:
        SettingError: there is no such step.
    """
    from statecast.data.checks import columns_for

    ahead = _steps(steps, model.config.horizon)
    schema, parts = model.schema, list[tuple[np.ndarray, ...]]()
    for s, rows, forecasts in by_series(model, panel, origins):
        actual = _actual(panel, s, rows, model.config.horizon)
        for d in range(len(schema.target)):
            y, point = (values[:, ahead - 1, d] for values in (actual, forecasts.point))
            n, k = np.nonzero(np.isfinite(y))
            at = panel.offsets[s] + rows[n]
            name = np.full(len(n), s * len(schema.target) + d)
            parts.append((name, panel.time[at + ahead[k]], panel.time[at], ahead[k], y[n, k], point[n, k]))
    if not parts:
        none, values = np.zeros(0, np.int64), np.zeros(0)
        parts = [(none, none, none, none, values, values)]
    name, time, cutoff, step, y, point = map(np.concatenate, zip(*parts, strict=True))
    names = np.array([*answer.output_ids(schema, panel.ids), None], object)[:-1]
    stamps = calendar.to_datetime64(cutoff, schema.time_kind, schema.frequency, schema.tz)
    extra = {"cutoff": stamps, "steps_ahead": step, "y": y, "statecast": point, "residual": y - point}
    return columns_for(schema, names[name], time, extra)


def _steps(steps: Sequence[int] | None, horizon: int) -> Int64[np.ndarray, " K"]:
    if steps is None:
        return np.arange(1, horizon + 1)
    chosen = np.unique(np.asarray(steps if np.iterable(steps) else [steps]))
    if chosen.dtype.kind not in "iu" or not len(chosen) or chosen[0] < 1 or chosen[-1] > horizon:
        raise SettingError(f"steps = {steps!r}: expected some of the steps ahead from 1 to {horizon}")
    return chosen.astype(np.int64)
