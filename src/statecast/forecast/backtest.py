"""What the forecasts would have been: rolling origins over the last rows of a table, beside what then happened.

One run of the network over the table gives the forecasts of all origins, since none of them looks ahead; a refit trains
a model for each origin from the rows before it. The baselines forecast from the same origins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.errors import DataError, SettingError
from statecast.forecast import channels, evaluate, predict
from statecast.forecast.baselines import BASELINES
from statecast.forecast.roll import Scan
from statecast.model.inputs import rows_of
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

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
        scan: another execution of `Network.scan`.

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
        return _columns(model, panel, list(_forecasts(model, panel, origins, scan)))
    each = [[at[w : w + 1] for at in origins] for w in range(windows)]
    runs = [_forecasts(refit(panel.cut(_after(one))), panel, one, scan) for one in each]
    return _columns(model, panel, [_joined(blocks) for blocks in zip(*runs, strict=True)])


@dataclass(frozen=True, eq=False)
class _Block:
    """The forecasts of one series from some of its rows, by column: [D, n, H] each, in the order of the result."""

    series: int
    rows: Int64[np.ndarray, " n"]
    columns: dict[str, Float64[np.ndarray, "D n H"]]


def _joined(blocks: Sequence[_Block]) -> _Block:
    """What several models said of one series, each from its own origin."""
    columns = {name: np.concatenate([block.columns[name] for block in blocks], axis=1) for name in blocks[0].columns}
    return _Block(blocks[0].series, np.concatenate([block.rows for block in blocks]), columns)


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
) -> Iterator[_Block]:
    """The forecasts of each series from its origins, in one run over the table."""
    folded, width = channels.fold(model, panel), channels.rows_each(model)
    rows = rows_of(model.network, model.constants, model.schema, folded, model.dtype)
    wanted = np.zeros(folded.rows, bool)
    for s, at in enumerate(origins):
        for k in range(s * width, (s + 1) * width):
            wanted[folded.offsets[k] + at] = True
    made = evaluate.tested(model.network, model.p, rows, wanted, scan=scan)
    if model.adaptive is not None:
        made, _ = predict.through(model, panel, rows, made, scan)
    horizon, season = model.network.head.horizon, model.config.season or calendar.season(model.schema.frequency)
    for s, at, part in evaluate.by_series(model, panel, made):
        columns = {"statecast": part["point"]}
        for level in sorted(part["lower"]):
            columns[f"statecast-lo-{level:g}"] = part["lower"][level]
            columns[f"statecast-hi-{level:g}"] = part["upper"][level]
        y = panel.y[panel.span(s)]
        columns |= {name: guess(y, at, horizon, season) for name, guess in BASELINES.items()}
        yield _Block(
            s, at, {name: np.ascontiguousarray(np.moveaxis(values, -1, 0)) for name, values in columns.items()}
        )


def _columns(model: Model, panel: Panel, blocks: list[_Block]) -> dict[str, np.ndarray]:
    """The forecasts of all origins as columns, a row for each series, target, origin and step."""
    from statecast.data.checks import columns_for

    schema, horizon, size = model.schema, model.network.head.horizon, panel.targets
    origin = np.concatenate([np.tile(panel.offsets[block.series] + block.rows, size) for block in blocks])
    target = np.concatenate([np.repeat(np.arange(size), len(block.rows)) for block in blocks])
    series = np.repeat([block.series for block in blocks], [size * len(block.rows) for block in blocks])
    names = np.array([*predict.output_ids(schema, panel.ids), None], object)[:-1]
    ahead = origin[:, None] + np.arange(1, horizon + 1)
    cutoff = np.repeat(panel.time[origin], horizon)
    extra = {"cutoff": calendar.to_datetime64(cutoff, schema.time_kind, schema.frequency, schema.tz)}
    extra["y"] = panel.y[ahead, target[:, None]].reshape(-1)
    for name in blocks[0].columns:
        parts = [block.columns[name].reshape(-1) for block in blocks]
        extra[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return columns_for(schema, np.repeat(names[series * size + target], horizon), panel.time[ahead].reshape(-1), extra)
