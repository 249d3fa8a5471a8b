"""What the forecasts would have been: rolling origins over the last rows of a table, beside what then happened.

One run of the network over the table gives the forecasts of all origins, since none of them looks ahead; a refit trains
a model for each origin from the rows before it. The baselines forecast from the same origins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.errors import DataError, SettingError
from statecast.forecast import channels, evaluate, predict
from statecast.forecast.baselines import BASELINES
from statecast.forecast.roll import Scan
from statecast.model.archive import Model
from statecast.model.inputs import rows_of

if TYPE_CHECKING:
    from jaxtyping import Int64

Refit = Callable[[Panel], Model]


def backtest(
    model: Model,
    panel: Panel,
    windows: int,
    step: int | None = None,
    refit: Refit | None = None,
    scan: Scan | None = None,
) -> dict[str, np.ndarray]:
    """Forecasts from the last `windows` origins of each series that have a whole horizon after them.

    A series that is too short for all of them takes part in as many as it has rows for; with `refit` every series must
    have all.

    Args:
        model: the model.
        panel: the table.
        windows: number of origins.
        step: rows between two of them; the horizon where None.
        refit: trains a model on the rows up to an origin. The model as it is forecasts from all origins where None.
        scan: another execution of `network.scan`.

    Returns:
        Columns: id, time, cutoff (the origin), y, statecast, statecast-lo-80, statecast-hi-80, …, and one for each
        baseline. Rows: series, target, origin, step ahead.

    Raises:
        SettingError: windows or step is below 1.
        DataError: no series (with `refit`: not every series) has enough rows.
    """
    horizon = model.network.head.horizon
    windows, step = _whole("windows", windows), _whole("step", horizon if step is None else step)
    origins = _origins(panel, windows, step, horizon, every=refit is not None)
    if refit is None:
        parts = [_forecasts(model, panel, origins, scan)]
    else:
        each = [[at[w : w + 1] for at in origins] for w in range(windows)]
        parts = [_forecasts(refit(panel.cut(_after(one))), panel, one, scan) for one in each]
    return _columns(model, panel, parts)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise SettingError(f"{name} = {value!r}: wanted a whole number of at least 1")
    return int(value)


def _origins(panel: Panel, windows: int, step: int, horizon: int, every: bool) -> list[Int64[np.ndarray, " n"]]:
    """For each series, the rows within it that are origins, ascending."""
    need = horizon + 1 + (windows - 1) * step
    lengths = panel.lengths
    short = lengths.min() if every else lengths.max()
    if short < need:
        name = panel.ids[int(np.argmin(lengths) if every else np.argmax(lengths))]
        raise DataError(
            f"series {name!r} has {short:,} rows: {windows} windows, {step} rows apart, with a horizon of {horizon} "
            f"need {need:,}; ask for fewer windows or a smaller step"
        )
    back = step * np.arange(windows)[::-1]
    found = [int(n) - 1 - horizon - back for n in lengths]
    return [at[at >= 0] for at in found]


def _after(origins: list[Int64[np.ndarray, " n"]]) -> Int64[np.ndarray, " S"]:
    """How many rows each series has up to its only origin."""
    return np.array([at[0] + 1 for at in origins], np.int64)


def _forecasts(
    model: Model, panel: Panel, origins: list[Int64[np.ndarray, " n"]], scan: Scan | None
) -> dict[tuple[int, int], dict[str, np.ndarray]]:
    """For each series and origin: point, bounds and baselines, each [H, D]."""
    folded, width = channels.fold(model, panel), channels.rows_each(model)
    rows = rows_of(model.network, model.constants, model.schema, folded, model.dtype)
    wanted = np.zeros(folded.rows, bool)
    for s, at in enumerate(origins):
        for k in range(s * width, (s + 1) * width):
            wanted[folded.offsets[k] + at] = True
    made = evaluate.tested(model.network, model.p, rows, wanted, scan=scan)
    season = model.config.season or calendar.season(model.schema.frequency)
    found: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    for s, at, part in evaluate.by_series(model, panel, made):
        columns = {"statecast": part["point"]}
        for level in sorted(part["lower"]):
            columns |= {
                f"statecast-lo-{level:g}": part["lower"][level],
                f"statecast-hi-{level:g}": part["upper"][level],
            }
        y = panel.y[panel.span(s)]
        columns |= {name: guess(y, at, model.network.head.horizon, season) for name, guess in BASELINES.items()}
        found |= {(s, int(row)): {name: values[n] for name, values in columns.items()} for n, row in enumerate(at)}
    return found


def _columns(
    model: Model, panel: Panel, parts: list[dict[tuple[int, int], dict[str, np.ndarray]]]
) -> dict[str, np.ndarray]:
    """The forecasts of all origins as columns, a row for each series, target, origin and step."""
    from statecast.data.checks import columns_for

    schema, horizon = model.schema, model.network.head.horizon
    places = {place: found for part in parts for place, found in part.items()}
    made: dict[int, list[int]] = {}
    for s, row in sorted(places):
        made.setdefault(s, []).append(row)
    keys = [(s, d, row) for s, rows in made.items() for d in range(panel.targets) for row in rows]
    names = predict.output_ids(schema, panel.ids)
    ids = [names[s * panel.targets + d] for s, d, _ in keys for _ in range(horizon)]
    origin = np.array([panel.offsets[s] + row for s, _, row in keys], np.int64)
    ahead = origin[:, None] + np.arange(1, horizon + 1)
    target = np.array([d for _, d, _ in keys], np.int64)
    cutoff = np.repeat(panel.time[origin], horizon)
    extra = {"cutoff": calendar.to_datetime64(cutoff, schema.time_kind, schema.frequency, schema.tz)}
    extra["y"] = panel.y[ahead, target[:, None]].reshape(-1)
    extra |= {
        name: np.concatenate([places[s, row][name][:, d] for s, d, row in keys]) for name in next(iter(places.values()))
    }
    return columns_for(schema, ids, panel.time[ahead].reshape(-1), extra)
