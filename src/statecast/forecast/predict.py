"""Forecasts from a state: the next H values at once, and recursion beyond them.

A `Forecast` holds what the network said, in its own units; times, values in the table's units and intervals are worked
out when they are asked for, so that a stream pays for none of them. Beyond the horizon that the network was trained
for, its forecasts are fed back as if they had been observed, H at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.errors import DataError, SettingError, TimeOrderError
from statecast.forecast import calibrate, channels, follow, intake, steps
from statecast.forecast.roll import Origins, Scan
from statecast.model.inputs import Rows, from_working, rows_of
from statecast.model.state import UNSEEN, Layout, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

Future = Sequence["Float64[np.ndarray, 'n K']"]  # for each series, known covariates of the steps after its last


@dataclass(frozen=True, eq=False)
class Forecast:
    """The next values of some series.

    S series, H steps, D targets; where `single` is true, of one series, and the axis S is left out.

    Attributes:
        model: whose forecast it is.
        ids: the series.
        last: [S] time of the last row that was seen.
        first: [N, H, Dn, O] what the network said, in working units; N rows for the S series (see `channels`).
        later: [N, n, Dn] steps beyond the network's horizon; None where there are none.
        scale: [N, Dn] the front's scale.
        horizon: steps.
        levels: levels of the intervals, in percent.
        single: a forecast of one series, without the axis S.
        moved: [N, K, L, Dn] how far intervals are moved, see `Adaptive`; None where they do not move.
        known: [S, m, K] the covariates known ahead that it rests on, m ≥ horizon; None where the model has none.
    """

    model: Model
    ids: channels.Ids
    last: Int64[np.ndarray, " S"]
    first: Float[np.ndarray, "N H Dn O"]
    later: Float[np.ndarray, "N n Dn"] | None
    scale: Float[np.ndarray, "N Dn"]
    horizon: int
    levels: tuple[float, ...]
    single: bool = False
    moved: Float[np.ndarray, "N K L Dn"] | None = None
    known: Float64[np.ndarray, "S m K"] | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.model.schema.target

    @cached_property
    def values(self) -> Float64[np.ndarray, "S H D"]:
        """The point forecasts, in the units of the table."""
        return self._in_units(self._point)

    @cached_property
    def times(self) -> Int64[np.ndarray, "S H"]:
        """The times that the values are for, as numbers; see `Panel.time`."""
        found = steps.after(self.model, self.last, 1, self.horizon)
        return found[0] if self.single else found

    @property
    def stamps(self) -> Any:
        """The times as datetime64 (UTC instants where the table has a zone), or whole numbers where it has those."""
        schema = self.model.schema
        return calendar.to_datetime64(self.times, schema.time_kind, schema.frequency, schema.tz)

    @property
    def lower(self) -> dict[float, Float64[np.ndarray, "S H D"]]:
        """Lower bounds of the intervals, by level."""
        return {level: bounds[0] for level, bounds in self._bounds.items()}

    @property
    def upper(self) -> dict[float, Float64[np.ndarray, "S H D"]]:
        """Upper bounds of the intervals, by level."""
        return {level: bounds[1] for level, bounds in self._bounds.items()}

    def columns(self) -> dict[str, np.ndarray]:
        """The forecast as columns: id, time, `statecast`, `statecast-lo-80`, `statecast-hi-80`, …

        One row for each (series, target, step), in that order; several targets are told apart by the id (see
        `Schema.output_ids`).
        """
        from statecast.data.checks import columns_for

        size, schema = len(self.targets), self.model.schema
        names = output_ids(schema, self.ids)
        values = {"statecast": self.values}
        for level, (lower, upper) in self._bounds.items():
            values |= {f"statecast-lo-{level:g}": lower, f"statecast-hi-{level:g}": upper}
        flat = {name: np.moveaxis(value, -1, -2).reshape(-1) for name, value in values.items()}
        time = np.repeat(np.atleast_2d(self.times), size, axis=0).reshape(-1)
        return columns_for(schema, [name for name in names for _ in range(self.horizon)], time, flat)

    @property
    def _point(self) -> Float[np.ndarray, "N H Dn"]:
        near = self.first[..., self.model.network.head.middle][:, : self.horizon]
        return near if self.later is None else np.concatenate([near, self.later], axis=1)

    @cached_property
    def _bounds(self) -> dict[float, tuple[np.ndarray, np.ndarray]]:
        return {level: self._interval(level) for level in self.levels}

    def _interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The interval of a level; k steps ahead, beyond the network's H, its widest one times √(k/H)."""
        found = calibrate.spread(self.model, self.first, self.scale, level, self.moved)
        below, above = (_widened(part, self.horizon) for part in found)
        return self._in_units(self._point - below), self._in_units(self._point + above)

    def _in_units(self, working: Float[np.ndarray, "N H Dn"]) -> Float64[np.ndarray, "S H D"]:
        found = channels.join(self.model, from_working(self.model.constants, working[..., None])[..., 0])
        return found[0] if self.single else found


def output_ids(schema: Schema, ids: Sequence[str | int]) -> channels.Ids:
    """What the rows of results are called: `Schema.output_ids`, and a stream may hold several series without an id."""
    if schema.id is None and len(schema.target) > 1 and tuple(ids) != (channels.sole(schema),):
        return tuple(f"{item}/{target}" for item in ids for target in schema.target)
    return schema.output_ids(ids)


def _widened(spread: Float64[np.ndarray, "N H Dn"], horizon: int) -> Float64[np.ndarray, "N n Dn"]:
    """Distances for `horizon` steps. A random walk's error grows with √k, so that is how those beyond H are widened."""
    size = spread.shape[1]
    if horizon <= size:
        return spread[:, :horizon]
    growth = np.sqrt(np.arange(size + 1, horizon + 1) / size)
    return np.concatenate([spread, spread.max(axis=1)[:, None] * growth[:, None]], axis=1)


def forecast(
    model: Model,
    state: State | None = None,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
    future: Future | None = None,
) -> Forecast:
    """The next values of every series of a state; the state does not move.

    Beyond the network's horizon its forecasts are fed back as if observed, with the covariates known ahead of each
    step, and those of the past missing. Intervals there are the widest of the first H times √(k/H), k steps ahead.

    Args:
        model: the model.
        state: what it has seen; `model.state` where None.
        horizon: steps; the network's where None.
        levels: of the intervals, in percent; those of the settings where None.
        future: for each series in turn, the covariates known ahead [n, K] of at least `horizon` steps after its last
            row, encoded as in `Panel.ahead`, NaN where a value is not known. None where the model has no such columns.

    Raises:
        SettingError: a horizon below 1, or a level that is none or was not trained.
        DataError: known covariates do not reach to the horizon; a series has seen nothing, so that no time is known.
    """
    state = model.state if state is None else state
    horizon = checked_horizon(model, horizon)
    asked = calibrate.checked_levels(model, levels)
    ids = channels.series_ids(model, state.ids)
    width = channels.rows_each(model)
    last = _last_times(model, ids, state.time[::width])
    block = model.network.head.horizon
    known = _known(model, ids, last, horizon, -(-horizon // block) * block, future)
    size = max(steps.batch(model) // width, 1)
    found = [
        _ahead(model, state.data[b * width : (b + size) * width], last[b : b + size], horizon,
               None if known is None else known[b : b + size])
        for b in range(0, max(len(ids), 1), size)
    ]  # fmt: skip
    first, later, scale = (np.concatenate(part) for part in zip(*found, strict=True))
    beyond = later if horizon > block else None
    moved = state.layout.unpack(state.data)["moved"] if model.adaptive else None
    return Forecast(model, ids, last, first, beyond, scale, horizon, asked, moved=moved, known=known)


def from_table(
    model: Model,
    panel: Panel,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
    scan: Scan | None = None,
) -> Forecast:
    """Forecasts from a table alone: each series starts from the initial state and runs through its rows.

    A table that holds no observed target at all tells the future of the series that the model remembers: the known
    covariates of the rows after each series' last.

    Raises:
        DataError: as in `forecast`, and for values that are too large for the model.
        UnknownSeries: a table without targets has a series that the model does not remember.
    """
    state, future = after_table(model, panel, scan)
    return forecast(model, state, horizon, levels, future)


def after_table(model: Model, panel: Panel, scan: Scan | None = None) -> tuple[State, Future]:
    """What to forecast from where a table is given: the state of its series, and what is known ahead of them."""
    if np.isnan(panel.y).all():
        state = model.state.gather(channels.row_ids(model, panel.ids))
        return state, _rows_after(model, panel, state.time[:: channels.rows_each(model)])
    future = [panel.ahead[slice(*panel.ahead_offsets[s : s + 2])] for s in range(panel.series)]
    return state_after(model, panel, scan), future


def state_after(model: Model, panel: Panel, scan: Scan | None = None) -> State:
    """What is remembered of each series after its last row, starting from the initial state."""
    folded = channels.fold(model, panel)
    steps.require_near(model, folded.y, "the table")
    rows = rows_of(model.network, model.constants, model.schema, folded, model.dtype)
    return through(model, panel, rows, Origins.none(model.network.head), scan)[1]


def through(
    model: Model, panel: Panel, rows: Rows, origins: Origins, scan: Scan | None = None
) -> tuple[Origins, State]:
    """Run through a table, whose rows are prepared: `origins` with the moves of their intervals, and the last state."""
    folded = channels.fold(model, panel)
    data = follow.start(model, rows.numbers)
    origins = follow.followed(model, folded, rows, data, origins, scan)
    time = np.full(folded.series, UNSEEN)
    some = folded.lengths > 0
    time[some] = folded.time[folded.offsets[1:][some] - 1]
    return origins, State(model.layout, data, folded.ids, time)


def checked_horizon(model: Model, horizon: int | None) -> int:
    """The number of steps asked for.

    Raises:
        SettingError: it is no whole number of at least 1.
    """
    if horizon is None:
        return model.network.head.horizon
    if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
        raise SettingError(f"horizon = {horizon!r}: wanted a whole number of steps, at least 1")
    return int(horizon)


def missing_known(model: Model, series: str | int, time: int) -> DataError:
    """The error for known covariates that end before the horizon; `time` is the first that lacks them."""
    names = ", ".join(repr(item.name) for item in model.schema.known)
    return DataError(
        f"{names} of series {series!r} must be known ahead, and from {intake.shown(time, model.schema)} on is not "
        "given: give a row for each step to forecast, with the value left empty where it is not known"
    )


def _last_times(model: Model, ids: channels.Ids, time: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
    unseen = time == UNSEEN
    if unseen.any() and model.schema.time_kind != "row":
        name = ids[int(np.argmax(unseen))]
        raise DataError(f"series {name!r} has seen no row yet, so the time to forecast is not known: observe one first")
    return np.where(unseen, -1, time)


def _known(
    model: Model, ids: channels.Ids, last: Int64[np.ndarray, " S"], horizon: int, size: int, future: Future | None
) -> Float64[np.ndarray, "S size K"] | None:
    """The known covariates of `size` steps, of which `horizon` must be given."""
    count = model.network.front.known
    if not count:
        return None
    found = np.full((len(ids), size, count), np.nan)
    for s, name in enumerate(ids):
        rows = np.asarray(future[s], np.float64)[:size] if future is not None else np.zeros((0, count))
        if len(rows) < horizon:
            raise missing_known(model, name, int(model.schema.frequency.advance(int(last[s]), len(rows) + 1)))
        found[s, : len(rows)] = rows
    return found


def _ahead(
    model: Model,
    rows: Float[np.ndarray, "N size"],
    last: Int64[np.ndarray, " S"],
    horizon: int,
    known: Float64[np.ndarray, "S size K"] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The network's first H steps, the recursion's further ones and the scale, for a batch of series."""
    network, width = model.network, channels.rows_each(model)
    block = network.head.horizon
    last = np.repeat(last, width)
    known = None if known is None else np.repeat(known, width, axis=0)
    first = scale = None
    points = [np.zeros((len(last), 0, network.front.targets), model.dtype)]
    for begin in range(0, horizon, block):
        time = steps.after(model, last, begin + 1, block)
        part = None if known is None else known[:, begin : begin + block]
        raw, size = steps.emitted(model, rows, None if part is None else steps.ahead(model, part, time))
        if first is None:
            first, scale = raw, size
        else:
            points.append(raw[..., network.head.middle])
        if begin + block < horizon:
            rows = fed(model, rows, raw[..., network.head.middle], time, part)
    assert first is not None and scale is not None
    return first, np.concatenate(points, axis=1)[:, : max(horizon - block, 0)], scale


def fed(
    model: Model,
    rows: Float[np.ndarray, "N size"],
    point: Float[np.ndarray, "N H Dn"],
    time: Int64[np.ndarray, "N H"],
    known: Float64[np.ndarray, "N H K"] | None,
) -> Float[np.ndarray, "N size"]:
    """The states after the forecasts [N, H, Dn] came true."""
    layout = Layout.of(model.network.parts())
    parts, y = layout.unpack(rows), np.moveaxis(point, 1, 0)
    static = np.broadcast_to(parts["static"], (len(y), *parts["static"].shape)) if "static" in parts else None
    known = None if known is None else np.moveaxis(known, 1, 0)
    told = steps.covariates(model, time.T, None, known, static)
    after = np.empty_like(rows)
    layout.pack(steps.passed(model, parts, {"y": y, "m": np.ones_like(y), **told}), after)
    return after


def _rows_after(model: Model, panel: Panel, last: Int64[np.ndarray, " S"]) -> list[Float64[np.ndarray, "n K"]]:
    """The known covariates after each series' last time, from rows that have none of the targets."""
    found = []
    for s, span in enumerate(panel.spans()):
        rows = np.concatenate([panel.known[span], panel.ahead[slice(*panel.ahead_offsets[s : s + 2])]])
        if span.stop > span.start:
            begin = int(model.schema.frequency.steps_between(int(last[s]), int(panel.time[span][0])))
            if begin + len(rows) <= 1:
                raise TimeOrderError(
                    f"series {panel.ids[s]!r}: no row lies after the last one that the model has seen: "
                    "give the rows of the steps to forecast"
                )
            rows = rows[1 - begin :] if begin <= 1 else rows[:0]
        found.append(rows)
    return found
