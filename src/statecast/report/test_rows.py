"""The test rows as two tables of the same columns: the actual values, and their forecasts.

Forecasts start from origins one horizon apart and lie end to end, so each row's forecast is 1 to H steps old.
"""

from __future__ import annotations

import numpy as np

from statecast.data.checks import columns_of
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.scores.evaluate import by_series
from statecast.model.trained import Model


def columns(
    model: Model, panel: Panel, split: Split, origins: Origins
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The test rows: id and time where the table has them, then one column for each target; one line a row.

    Args:
        model: whose forecasts they are.
        panel: the table as it came, one series a series.
        split: of the table.
        origins: forecasts at the test origins, as rows of the folded panel.

    Returns:
        The forecasts, NaN where there is none, and the actual values.
    """
    points = _points(model, panel, split, origins)
    series = panel.series_of_row()
    keep = np.arange(panel.rows) - panel.offsets[series] >= split.val[series]
    names = [name for name in (model.schema.id, model.schema.time) if name] + list(model.schema.target)
    actual = {name: values[keep] for name, values in columns_of(panel, model.schema).items() if name in names}
    return actual | {name: points[keep, d] for d, name in enumerate(model.schema.target)}, actual


def _points(model: Model, panel: Panel, split: Split, origins: Origins) -> np.ndarray:
    """The point forecast of every row of the panel [rows, D]; NaN where there is none."""
    points, horizon = np.full(panel.y.shape, np.nan), model.config.horizon
    for s, origin_rows, forecasts in by_series(model, panel, origins):
        end_to_end = (origin_rows - (split.val[s] - 1)) % horizon == 0
        ahead = origin_rows[end_to_end][:, None] + np.arange(1, horizon + 1)
        inside = ahead < panel.lengths[s]
        points[panel.offsets[s] + ahead[inside]] = forecasts.point[end_to_end][inside]
    return points
