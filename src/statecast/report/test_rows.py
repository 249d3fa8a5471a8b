"""The test rows as two tables of the same columns: the actual values, and their forecasts.

Forecasts start from origins one horizon apart and lie end to end, so each row's forecast is 1 to H steps old.
"""

from __future__ import annotations

import numpy as np

from statecast.data.checks import columns_of
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import channels
from statecast.forecast.roll import Origins
from statecast.model.inputs import from_working
from statecast.model.trained import Model

Columns = dict[str, np.ndarray]


def columns(model: Model, panel: Panel, split: Split, origins: Origins) -> tuple[Columns, Columns]:
    """(forecast, actual): id and time where the table has them, then one column for each target; one line a row."""
    points = _points(model, panel, split, origins)
    series = panel.series_of_row()
    keep = np.arange(panel.rows) - panel.offsets[series] >= split.val[series]
    names = [name for name in (model.schema.id, model.schema.time) if name] + list(model.schema.target)
    actual = {name: values[keep] for name, values in columns_of(panel, model.schema).items() if name in names}
    return actual | {name: points[keep, d] for d, name in enumerate(model.schema.target)}, actual


def _points(model: Model, panel: Panel, split: Split, origins: Origins) -> np.ndarray:
    """The point forecast of every row of the panel [rows, D]; NaN where there is none."""
    folded, width, horizon = channels.fold(model, panel), channels.rows_each(model), model.config.horizon
    first = (
        np.repeat(panel.offsets[:-1] + split.val - 1, width)
        - np.repeat(panel.offsets[:-1], width)
        + folded.offsets[:-1]
    )
    series = np.searchsorted(folded.offsets, origins.rows, side="right") - 1
    on_grid = (origins.rows - first[series]) % horizon == 0
    values = from_working(model.constants, origins.values[on_grid])
    ahead = origins.rows[on_grid][:, None] + np.arange(1, horizon + 1)
    inside = ahead < folded.offsets[series[on_grid] + 1][:, None]
    points = np.full((folded.rows, model.network.front.targets), np.nan)
    points[ahead[inside]] = values[..., model.network.head.middle][inside]
    if width == 1:
        return points
    channel_points = [points[folded.span(s), 0] for s in range(folded.series)]
    return np.concatenate([np.stack(channel_points[s : s + width], axis=1) for s in range(0, folded.series, width)])
