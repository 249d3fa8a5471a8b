"""The test rows as two tables that begin with the same columns: the actual values, and their forecasts.

Forecasts start from origins one horizon apart and lie end to end, so each row's forecast is 1 to H steps old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from statecast.data.checks import columns_of
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.scores.evaluate import by_series
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64

STEPS_AHEAD = "steps_ahead"


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
        The forecasts, NaN where there is none, and the actual values. After the forecasts follow `steps_ahead`, how
        many rows before each row its forecast was made, and for each target the bounds of its intervals, such as
        `load-lo-80` and `load-hi-80`.
    """
    forecasts = _end_to_end(model, panel, split, origins)
    series = panel.series_of_row()
    row = np.arange(panel.rows) - panel.offsets[series] - split.val[series]
    keep = row >= 0
    names = [name for name in (model.schema.id, model.schema.time) if name] + list(model.schema.target)
    actual = {name: values[keep] for name, values in columns_of(panel, model.schema).items() if name in names}
    targets = list(enumerate(model.schema.target))
    points = {name: forecasts[""][keep, d] for d, name in targets}
    bounds = {f"{name}{end}": values[keep, d] for d, name in targets for end, values in forecasts.items() if end}
    return actual | points | {STEPS_AHEAD: row[keep] % model.config.horizon + 1} | bounds, actual


def _end_to_end(model: Model, panel: Panel, split: Split, origins: Origins) -> dict[str, Float64[np.ndarray, "rows D"]]:
    """What was forecast of every row of the panel, NaN where nothing was: "" for the point, "-lo-80" for a bound, …"""
    horizon = model.config.horizon
    ends = [f"-{side}-{level:g}" for level in model.config.levels for side in ("lo", "hi")]
    values = {end: np.full(panel.y.shape, np.nan) for end in ["", *ends]}
    for s, origin_rows, forecasts in by_series(model, panel, origins):
        chosen = (origin_rows - (split.val[s] - 1)) % horizon == 0
        ahead = origin_rows[chosen][:, None] + np.arange(1, horizon + 1)
        inside = ahead < panel.lengths[s]
        pairs = ((forecasts.lower[level], forecasts.upper[level]) for level in model.config.levels)
        parts = [forecasts.point, *(bound for pair in pairs for bound in pair)]
        for end, part in zip(values, parts, strict=True):
            values[end][panel.offsets[s] + ahead[inside]] = part[chosen][inside]
    return values
