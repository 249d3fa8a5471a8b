"""One forecast taken apart: how much of it comes from the level, the season, each covariate, recent values and memory.

`moves` takes apart what the network says, in working units; here this becomes a value in the units of the table, whose
parts sum to the forecast. Where a logarithm or a limit lies between the two, each part counts by the mean slope on the
way from the level to the forecast (`moves.secant`), so that the sum holds there as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.framed import TableResult
from statecast.data.panel import Panel
from statecast.data.values import described
from statecast.errors import DataError, nearest
from statecast.forecast import channels, features, observation
from statecast.forecast.answer import Forecast, output_ids, require_finite
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.forecast.moves import LEVEL, Mover, Moves, Part, secant
from statecast.forecast.predict import GIVE, Future, forecast, require_known
from statecast.forecast.runner import Runner
from statecast.model.inputs import from_working
from statecast.model.state import Layout, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

LAST = "last"


@dataclass(frozen=True, eq=False)
class Breakdown(TableResult):
    """Forecasts of some series and what they come from.

    S series, P parts, H steps, D targets; all in the units of the table.

    Attributes:
        model: the model that made them.
        ids: the series.
        last: [S] time of the last row that each forecast is based on, as a number; see `Panel.time`.
        parts: what they come from, the level first.
        amounts: [S, P, H, D] the amount that comes from each part.
        values: [S, H, D] the forecasts, which are the sums over the parts.

    Example:
        >>> result = model.breakdown()
        >>> result.amounts.shape == (1, len(result.parts), 12, 1)
        True
    """

    model: Model
    ids: channels.Ids
    last: Int64[np.ndarray, " S"]
    parts: tuple[Part, ...]
    amounts: Float64[np.ndarray, "S P H D"]
    values: Float64[np.ndarray, "S H D"]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.model.schema.target

    @property
    def times(self) -> Int64[np.ndarray, "S H"]:
        """The times that the values are for, as numbers; see `Panel.time`."""
        return features.after(self.model, self.last, 1, self.values.shape[1])

    @property
    def stamps(self) -> Any:
        """The times as datetime64 (UTC instants where the table has a zone), or whole numbers where it has those."""
        schema = self.model.schema
        return calendar.to_datetime64(self.times, schema.time_kind, schema.frequency, schema.tz)

    @property
    def tz(self) -> str | None:
        """The time zone; None if the times have none."""
        return self.model.schema.tz

    def columns(self) -> dict[str, np.ndarray]:
        """One row for each (series, target, step, part): id, time, cutoff, part, kind, amount, statecast.

        `amount` sums over the parts of a step to `statecast`, its forecast; `cutoff` is the time of the last row that
        it is based on. Several targets are distinguished by the id.

        Example:
            >>> list(model.breakdown().columns())
            ['unique_id', 'month', 'cutoff', 'part', 'kind', 'amount', 'statecast']
        """
        from statecast.data.checks import columns_for

        schema, (s, p, h, d) = self.model.schema, self.amounts.shape
        names = np.repeat(np.array([*output_ids(schema, self.ids), None], object)[:-1], h * p).tolist()
        time = np.repeat(np.repeat(self.times, d, axis=0).reshape(-1), p)
        cutoff = calendar.to_datetime64(np.repeat(self.last, d * h * p), schema.time_kind, schema.frequency, schema.tz)
        extra = {
            "cutoff": cutoff,
            "part": np.tile(np.array([part.name for part in self.parts], object), s * d * h),
            "kind": np.tile(np.array([part.kind for part in self.parts], object), s * d * h),
            "amount": self.amounts.transpose(0, 3, 2, 1).reshape(-1),
            "statecast": np.repeat(self.values.transpose(0, 2, 1).reshape(-1), p),
        }
        return columns_for(schema, names, time, extra)


def of_table(model: Model, panel: Panel, at: Any = LAST, series: str | int | None = None) -> Breakdown:
    """Forecasts from a row of a table, taken apart.

    Each series starts from the initial state and runs through its rows up to that one, as in `predict.from_table`.

    Args:
        model: the model.
        panel: the table; rows after the last observed one may be its known covariates ahead.
        at: the time of the row, which is the last that the forecast rests on; "last" for each series' last one. Where
            rows have no times, the number of the row, from 0 on.
        series: the only one to look at; all that have such a row if None.

    Raises:
        DataError: no series has such a row, or known covariates do not reach to the horizon.
    """
    chosen, rows = _rows(model, panel, at, series)
    part = panel.pieces(chosen, np.zeros(len(chosen), np.int64), rows + 1)
    features.require_near(model, channels.fold(model, part).y, "the table")
    last, horizon = panel.time[panel.offsets[chosen] + rows], model.network.head.horizon
    features.require_future(model, part.ids, last, horizon)
    _require_known(model, part, last, horizon)
    feed, before = Feed.of(model, part), Feed.of(model, part.cut(rows)).rows
    layout = Layout.of(model.network.parts())
    states = np.ascontiguousarray(Runner(model).initial(before.numbers)[:, : layout.size])
    forecasts_at(model.network, model.p, before, np.zeros(len(before.y), bool), states)
    inputs = feed.rows.at(feed.folded.offsets[1:] - 1, np.arange(1, horizon + 1))
    raw = model.network.step(model.p, layout.unpack(states), inputs)[1]
    mover = Mover(model)
    moves = [
        mover.of_step(layout.unpack(states[[n]]), {name: value[[n]] for name, value in inputs.items()})
        for n in range(len(states))
    ]
    return _joined(model, part.ids, last, mover.whole, moves, raw)


def of_state(model: Model, state: State, future: Future | None = None, runner: Runner | None = None) -> Breakdown:
    """The forecasts that a state holds, taken apart; nothing moves.

    A state holds the last values but no other column of the last row: what the network made of that row counts to its
    memory.

    Args:
        model: the model.
        state: of some series.
        future: for each series in turn, the covariates known ahead; see `predict.forecast`.
        runner: of the model, where one is at hand.

    Raises:
        DataError: as in `predict.forecast`.
    """
    runner, mover = runner or Runner(model), Mover(model)
    result = forecast(model, state, None, (), future, runner, GIVE)
    ahead = _ahead(runner, result)
    layout = Layout.of(model.network.parts())
    rows = layout.unpack(state.data[:, : layout.size])
    moves = [
        mover.of_state({name: part[[n]] for name, part in rows.items()}, None if ahead is None else ahead[[n]])
        for n in range(len(state.data))
    ]
    return _joined(model, result.ids, result.last, mover.held, moves, result.first)


def _ahead(runner: Runner, result: Forecast) -> Any:
    """What the network knows of the steps that it forecasts, for each row of the state; None where nothing."""
    model = runner.model
    if not model.network.front.future:
        return None
    horizon = model.network.head.horizon
    time = features.after(model, result.last, 1, horizon)
    known = np.empty((*time.shape, 0)) if result.known is None else result.known[:, :horizon]
    return runner.per_row(features.ahead(model, known, time))


def _joined(
    model: Model, ids: channels.Ids, last: Any, parts: Sequence[Part], moves: Sequence[Moves], raw: Any
) -> Breakdown:
    """Moves of the rows of a state, and their forecasts, as a breakdown of series."""
    point = raw[..., model.network.head.middle]
    values = channels.join(model, from_working(model.constants, point[..., None])[..., 0])
    require_finite(ids, values)
    each = [_in_units(model, move, parts) for move in moves]
    amounts = np.array(each).reshape(len(moves), len(parts), *raw.shape[1:3])  # [N, P, H, Dn], also of no rows
    joined = [channels.join(model, amounts[:, n]) for n in range(len(parts))]
    return Breakdown(model, tuple(ids), np.asarray(last), tuple(parts), np.stack(joined, axis=1), values)


def _in_units(model: Model, moves: Moves, parts: Sequence[Part]) -> Float64[np.ndarray, "P H D"]:
    """Moves in the units of the table, the level included."""

    def value(working: Any) -> Any:
        return from_working(model.constants, working[..., None])[..., 0]

    total = sum(moves.by_part.values())
    level = np.broadcast_to(moves.level, np.shape(total))
    slopes = secant(value, level, level + total)
    amounts = np.stack([np.broadcast_to(moves.by_part.get(part, 0.0), level.shape) * slopes for part in parts])
    amounts[parts.index(LEVEL)] += value(level)
    return amounts


def _rows(
    model: Model, panel: Panel, at: Any, series: str | int | None
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Series, and for each the number of its row from which to forecast."""
    numbers = np.arange(panel.series)
    if series is not None:
        if series not in panel.ids:
            raise DataError(f"there is no series {described(series)} in the table; {nearest(series, panel.ids)}")
        numbers = np.array([panel.ids.index(series)])
    numbers = numbers[panel.lengths[numbers] > 0]
    if isinstance(at, str) and at == LAST:
        if not len(numbers):
            raise DataError("the table has no rows: there is no forecast to explain")
        return numbers, panel.lengths[numbers] - 1
    time, chosen, rows = observation.time(at, model.schema), [], []
    for s in numbers.tolist():
        span = panel.span(s)
        row = int(np.searchsorted(panel.time[span], time))
        if row < span.stop - span.start and panel.time[span][row] == time:
            chosen.append(s)
            rows.append(row)
    if not chosen:
        raise _no_row(model, panel, numbers, at)
    return np.array(chosen), np.array(rows)


def _no_row(model: Model, panel: Panel, numbers: Int64[np.ndarray, " n"], at: Any) -> DataError:
    if not len(numbers):
        return DataError("the table has no rows: there is no forecast to explain")
    ends = panel.time[[panel.offsets[numbers], panel.offsets[numbers + 1] - 1]]
    first, last = (observation.shown(int(time), model.schema) for time in (ends[0].min(), ends[1].max()))
    whose = f"series {described(panel.ids[numbers[0]])}" if len(numbers) == 1 else "any series"
    return DataError(f"at: {described(at)} is not a row of {whose}: its rows go from {first} to {last}")


def _require_known(model: Model, part: Panel, last: Int64[np.ndarray, " S"], horizon: int) -> None:
    """Refuse rows behind which known covariates do not reach to the horizon, as `predict.forecast` does."""
    future = [part.ahead[slice(*part.ahead_offsets[s : s + 2])] for s in range(part.series)]
    require_known(model, part.ids, last, horizon, future, GIVE)
