"""Forecasts from a state: the next H values at once, and recursion beyond them.

Beyond the horizon that the network was trained for, its forecasts are fed back as if they had been observed, H at a
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel
from statecast.data.values import described
from statecast.errors import DataError, SettingError, TimeOrderError
from statecast.forecast import calibrate, channels, features, observation
from statecast.forecast.answer import Forecast
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.follow import through
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.runner import Runner
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

FARTHEST_STEP = 100_000  # steps ahead; each rests on all before it, so one so far ahead tells a mistake, not the future

GIVE = "give"

Future = Sequence["Float64[np.ndarray, 'n K']"]  # for each series, known covariates of the steps after its last


def forecast(
    model: Model,
    state: State | None = None,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
    future: Future | None = None,
    runner: Runner | None = None,
    remedy: str = "pass future=…, a table with",
) -> Forecast:
    """The next values of every series of a state; the state does not move.

    Beyond the network's horizon its forecasts are fed back as if observed, with the covariates known ahead of each
    step, and those of the past missing. Intervals there are the widest of the first H times √(k/H), k steps ahead.

    Args:
        model: the model.
        state: what it has observed; `model.state` if None.
        horizon: steps; the network's if None.
        levels: of the intervals, in percent; those of the settings if None.
        future: for each series in turn, the covariates known ahead [n, K] of at least `horizon` steps after its last
            row, encoded as in `Panel.ahead`, NaN where a value is not known. None where the model has no such columns.
        runner: of the model, where one is at hand.
        remedy: what to do where known covariates end too early; see `missing_known`.

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
    require_known(model, ids, last, horizon, future, remedy)
    known = _known(model, ids, -(-horizon // block) * block, future)
    parts = [
        _ahead(runner, state.data[runner.span(part)], last[part], horizon, None if known is None else known[part])
        for part in runner.batches(len(ids))
    ]
    first, later, scale = (np.concatenate(part) for part in zip(*parts, strict=True))
    beyond, report = later if horizon > block else None, runner.report(state.data)
    return Forecast(model, ids, last, first, beyond, scale, horizon, levels, known=known, **report)


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
        SettingError: it is not a whole number from 1 to `FARTHEST_STEP`.
    """
    if horizon is None:
        return model.network.head.horizon
    if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
        raise SettingError(f"horizon = {described(horizon)}: expected a whole number of steps, at least 1")
    if horizon > FARTHEST_STEP:
        raise SettingError(
            f"horizon = {described(horizon)}: expected at most {FARTHEST_STEP:,} steps; beyond the "
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
        f"{names} of series {series!r} must be known ahead, but there is no value from "
        f"{observation.shown(time, model.schema)} on: {remedy} a row for each step to "
        "forecast, with the value left empty where it is not known"
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
    """The known covariates of `size` steps, none where the calendar alone is; those that nobody gave are missing."""
    count = model.network.front.known
    if not model.network.front.future:
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
