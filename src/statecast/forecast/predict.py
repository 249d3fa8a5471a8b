"""Forecasts from a state: the next H values at once, and recursion beyond them.

A `Forecast` holds the network's forecasts in its own units; times, values in the table's units and intervals are worked
out when they are asked for, so that a stream pays for none of them. Beyond the horizon that the network was trained
for, its forecasts are fed back as if they had been observed, H at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.values import described, lone_series
from statecast.errors import DataError, SettingError, TimeOrderError
from statecast.forecast import calibrate, channels, features, observation
from statecast.forecast.feed import Feed
from statecast.forecast.follow import through
from statecast.forecast.origins import Origins
from statecast.forecast.runner import Runner
from statecast.model.inputs import from_working
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

FARTHEST_STEP = 100_000  # steps ahead; each rests on all before it, so one so far ahead tells a mistake, not the future

GIVE = "give"

Future = Sequence["Float64[np.ndarray, 'n K']"]  # for each series, known covariates of the steps after its last


@dataclass(frozen=True, eq=False, repr=False)
class Forecast:
    """The next values of some series.

    S series, H steps, D targets; where `single` is true, of one series, and the axis S is left out.

    Attributes:
        model: whose forecast it is.
        ids: the series.
        last: [S] time of the last row that was observed.
        first: [N, H, Dn, O] the network's own steps, in working units; N rows for the S series (see `channels`).
        later: [N, n, Dn] steps beyond the network's horizon; None where there are none.
        scale: [N, Dn] the front's scale.
        horizon: steps.
        levels: levels of the intervals, in percent.
        single: a forecast of one series, without the axis S.
        shifts: [N, K, A, Dn] how far intervals are moved, see `Adaptive`; None where they do not move.
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
    shifts: Float[np.ndarray, "N K A Dn"] | None = None
    known: Float64[np.ndarray, "S m K"] | None = None

    def __repr__(self) -> str:
        names = ", ".join(described(name) for name in self.ids[:3]) + (", …" if len(self.ids) > 3 else "")
        what = f"{', '.join(self.targets[:5])}{', …' if len(self.targets) > 5 else ''} of {names or 'no series'}"
        steps = f"{self.horizon} step{'s' if self.horizon > 1 else ''}"
        ends = np.atleast_2d(self.times)[0, [0, -1]].tolist() if self.ids else []
        shown = [observation.shown(time, self.model.schema) for time in ends]
        span = f" from {' to '.join(shown)}" if shown else ""
        return f"<Forecast: {what}, {steps}{span}; levels {', '.join(f'{level:g}' for level in self.levels) or 'none'}>"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # What the model remembers of all its series is no part of a forecast of some.
        model = replace(self.model, state=State.empty(self.model.layout, self.model.dtype))
        return type(self), (model, *(getattr(self, item.name) for item in fields(self)[1:]))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.model.schema.target

    @cached_property
    def values(self) -> Float64[np.ndarray, "S H D"]:
        """The point forecasts, in the units of the table."""
        return self._joined(from_working(self.model.constants, self._point[..., None])[..., 0])

    @cached_property
    def times(self) -> Int64[np.ndarray, "S H"]:
        """The times that the values are for, as numbers; see `Panel.time`."""
        times = features.after(self.model, self.last, 1, self.horizon)
        return times[0] if self.single else times

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
        model, phase = self.model, None
        if model.phases is not None:
            phase = channels.repeat(model, calibrate.phase_of(model, self.last))
        distances = calibrate.spread(model, self.first, self.scale, level, self.shifts, phase)
        below, above = (_widened(part, self.horizon) for part in distances)
        lower, upper = calibrate.around(self.model, self._point, below, above)
        return self._joined(lower), self._joined(upper)

    def _joined(self, rows: Float64[np.ndarray, "N H Dn"]) -> Float64[np.ndarray, "S H D"]:
        values = channels.join(self.model, rows)
        require_finite(self.ids, values)
        return values[0] if self.single else values


def require_finite(ids: Sequence[str | int], values: Float64[np.ndarray, "S ..."]) -> None:
    """Refuse forecasts that are none: a network whose numbers have grown without end says nothing.

    Raises:
        DataError: the first series with one.
    """
    finite = np.isfinite(values)
    if not finite.all():
        name = ids[int(np.argmin(finite.reshape(len(values), -1).all(axis=1)))]
        raise DataError(
            f"the model has no finite forecast of series {name!r}: its numbers have grown beyond what its precision "
            'holds; fit again, with precision = "float64" or another cell where that does not help'
        )


def output_ids(schema: Schema, ids: Sequence[str | int]) -> channels.Ids:
    """What the rows of results are called: `Schema.output_ids`, and a stream may hold several series without an id."""
    if schema.id is None and len(schema.target) > 1 and tuple(ids) != (lone_series(schema.target),):
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
    runner: Runner | None = None,
) -> Forecast:
    """The next values of every series of a state; the state does not move.

    Beyond the network's horizon its forecasts are fed back as if observed, with the covariates known ahead of each
    step, and those of the past missing. Intervals there are the widest of the first H times √(k/H), k steps ahead.

    Args:
        model: the model.
        state: what it has observed; `model.state` where None.
        horizon: steps; the network's where None.
        levels: of the intervals, in percent; those of the settings where None.
        future: for each series in turn, the covariates known ahead [n, K] of at least `horizon` steps after its last
            row, encoded as in `Panel.ahead`, NaN where a value is not known. None where the model has no such columns.
        runner: of the model, where one is at hand.

    Raises:
        SettingError: a horizon below 1 or beyond `FARTHEST_STEP`, or a level that is none or was not trained.
        DataError: known covariates do not reach to the horizon; a series has observed nothing, so that no time is
            known.
    """
    state = model.state if state is None else state
    runner = Runner(model) if runner is None else runner
    horizon, levels = checked_horizon(model, horizon), calibrate.checked_levels(model, levels)
    ids = channels.series_ids(model, state.ids)
    last = last_times(model, ids, runner.per_series(state.time))
    block = model.network.head.horizon
    features.require_future(model, ids, last, horizon)
    require_known(model, ids, last, horizon, future, "pass future=…, a table with")
    known = _known(model, ids, -(-horizon // block) * block, future)
    parts = [
        _ahead(runner, state.data[runner.span(part)], last[part], horizon, None if known is None else known[part])
        for part in runner.batches(len(ids))
    ]
    first, later, scale = (np.concatenate(part) for part in zip(*parts, strict=True))
    beyond, shifts = later if horizon > block else None, runner.shifts(state.data)
    return Forecast(model, ids, last, first, beyond, scale, horizon, levels, shifts=shifts, known=known)


def from_table(
    model: Model,
    panel: Panel,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
) -> Forecast:
    """Forecasts from a table alone: each series starts from the initial state and runs through its rows.

    A table that holds no observed target at all is about the future of series that the model remembers: it holds the
    known covariates of the rows after each series' last.

    Raises:
        DataError: as in `forecast`, and for values that are too large for the model.
        UnknownSeries: a table without targets has a series that the model does not remember.
    """
    state, future = after_table(model, panel)
    return forecast(model, state, horizon, levels, future)


def after_table(model: Model, panel: Panel) -> tuple[State, Future]:
    """Where a forecast from a table begins: the state of its series, and what is known ahead of them."""
    if np.isnan(panel.y).all():
        state = model.state.gather(channels.row_ids(model, panel.ids))
        return state, _rows_after(model, panel, channels.last_times(model, state))
    future = [panel.ahead[slice(*panel.ahead_offsets[s : s + 2])] for s in range(panel.series)]
    return state_after(model, panel), future


def state_after(model: Model, panel: Panel) -> State:
    """What is remembered of each series after its last row, starting from the initial state."""
    feed = Feed.of(model, panel)
    features.require_near(model, feed.folded.y, "the table")
    return through(model, feed, Origins.none(model.network.head))[1]


def checked_horizon(model: Model, horizon: int | None) -> int:
    """The number of steps to forecast.

    Raises:
        SettingError: it is no whole number from 1 to `FARTHEST_STEP`.
    """
    if horizon is None:
        return model.network.head.horizon
    if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
        raise SettingError(f"horizon = {described(horizon)}: wanted a whole number of steps, at least 1")
    if horizon > FARTHEST_STEP:
        raise SettingError(
            f"horizon = {described(horizon)}: wanted at most {FARTHEST_STEP:,} steps; beyond the "
            f"{model.network.head.horizon} that the model was trained for, each rests on the forecasts before it: fit "
            "on longer steps, such as days in place of minutes, to look further ahead"
        )
    return int(horizon)


def missing_known(model: Model, series: str | int, time: int, remedy: str = GIVE) -> DataError:
    """The error for known covariates that end before the horizon.

    Args:
        model: whose they are.
        series: that lacks them.
        time: the first that lacks them.
        remedy: how to give the rows that follow in the sentence.
    """
    names = ", ".join(repr(item.name) for item in model.schema.known)
    return DataError(
        f"{names} of series {series!r} must be known ahead, and from {observation.shown(time, model.schema)} on is not "
        f"given: {remedy} a row for each step to forecast, with the value left empty where it is not known"
    )


def require_known(
    model: Model,
    ids: channels.Ids,
    last: Int64[np.ndarray, " S"],
    horizon: int,
    future: Future | None,
    remedy: str = GIVE,
) -> None:
    """Refuse covariates known ahead that do not reach to the horizon; see `missing_known`."""
    if not model.network.front.known:
        return
    for s, name in enumerate(ids):
        count = 0 if future is None else len(future[s])
        if count < horizon:
            first = int(model.schema.frequency.advance(int(last[s]), count + 1))
            raise missing_known(model, name, first, remedy)


def last_times(model: Model, ids: channels.Ids, time: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
    """The times that steps ahead are counted from, of series that were last seen at these.

    Raises:
        DataError: a series has observed nothing, so that no time is known.
    """
    empty = time == UNSEEN
    if empty.any() and model.schema.time_kind != "row":
        name = ids[int(np.argmax(empty))]
        raise DataError(f"series {name!r} has no row yet, so the time to forecast is not known: observe one first")
    return np.where(empty, -1, time)


def _known(model: Model, ids: channels.Ids, size: int, future: Future | None) -> Float64[np.ndarray, "S size K"] | None:
    """The known covariates of `size` steps; those that nobody gave are missing."""
    count = model.network.front.known
    if not count:
        return None
    known = np.full((len(ids), size, count), np.nan)
    for s, rows in enumerate(future or ()):
        known[s, : len(rows)] = rows[:size]
    return known


def _ahead(
    runner: Runner,
    rows: Float[np.ndarray, "N size"],
    last: Int64[np.ndarray, " S"],
    horizon: int,
    known: Float64[np.ndarray, "S size K"] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The network's first H steps, the recursion's further ones and the scale, for a batch of series."""
    head, last = runner.model.network.head, runner.per_row(last)
    known = None if known is None else runner.per_row(known)
    first = scale = None
    later = [np.zeros((len(last), 0, head.targets), runner.model.dtype)]
    for begin in range(0, horizon, head.horizon):
        time = features.after(runner.model, last, begin + 1, head.horizon)
        part = None if known is None else known[:, begin : begin + head.horizon]
        raw, size = runner.emit(rows, None if part is None else features.ahead(runner.model, part, time))
        point = raw[..., head.middle]
        if first is None:
            first, scale = raw, size
        else:
            later.append(point)
        if begin + head.horizon < horizon:
            rows = runner.fed(rows, point, time, part)
    assert first is not None and scale is not None
    return first, np.concatenate(later, axis=1)[:, : max(horizon - head.horizon, 0)], scale


def _rows_after(model: Model, panel: Panel, last: Int64[np.ndarray, " S"]) -> list[Float64[np.ndarray, "n K"]]:
    """The known covariates after each series' last time, from rows that have none of the targets."""
    future = []
    for s, span in enumerate(panel.spans()):
        rows = np.concatenate([panel.known[span], panel.ahead[slice(*panel.ahead_offsets[s : s + 2])]])
        if span.stop > span.start:
            begin = int(model.schema.frequency.steps_between(int(last[s]), int(panel.time[span][0])))
            if begin + len(rows) <= 1:
                raise TimeOrderError(
                    f"series {panel.ids[s]!r}: no row lies after the last one that the model has observed: "
                    "give the rows of the steps to forecast"
                )
            rows = rows[1 - begin :] if begin <= 1 else rows[:0]
        future.append(rows)
    return future
