"""A forecast as a value: the network's numbers, and what they mean.

A `Forecast` holds the network's forecasts in its own units; times, values in the table's units, intervals and scores
are worked out when they are asked for, so that a stream pays for none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.framed import TableResult
from statecast.data.schema import Schema
from statecast.data.values import described, lone_series
from statecast.display import html
from statecast.display.chart import Chart, Curve
from statecast.display.drawing import draw
from statecast.errors import DataError
from statecast.forecast import calibrate, channels, charts, features, observation, watch
from statecast.forecast.charts import Past
from statecast.forecast.watch import Notice
from statecast.model.inputs import from_working
from statecast.model.state import State
from statecast.model.surprise import BETS
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(TableResult):
    """The next values of some series.

    S series, H steps, D targets; if `single` is true there is one series, and the axis S is left out.

    Attributes:
        model: the model that made it.
        ids: the series.
        last: [S] time of the last row that was observed.
        first: [N, H, Dn, O] the steps that the network forecasts at once, in working units; N rows for the S series
            (see `channels`).
        later: [N, n, Dn] steps beyond the network's horizon; None where there are none.
        scale: [N, Dn] the front's scale.
        horizon: steps.
        levels: levels of the intervals, in percent.
        single: whether it is of one series, without the axis S.
        shifts: [N, K, A, Dn] how far intervals are moved, see `Adaptive`; None where they do not move.
        known: [S, m, K] the covariates known ahead that it is based on, m ≥ horizon; None where the model has none.
        watch: [N, W, Dn] where the last values lay in the distributions forecast for them, see `Adaptive`; None if
            the model does not watch.

    Example:
        >>> forecast = model.forecast(horizon=3)
        >>> forecast
        <Forecast: passengers of 'passengers', 3 steps from 1961-01-01 to 1961-03-01; levels 80, 95>
        >>> forecast.values.shape, forecast.lower[80].shape, forecast.targets
        ((1, 3, 1), (1, 3, 1), ('passengers',))
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
    watch: Float[np.ndarray, "N W Dn"] | None = None

    def __repr__(self) -> str:
        names = ", ".join(described(name) for name in self.ids[:3]) + (", …" if len(self.ids) > 3 else "")
        what = f"{', '.join(self.targets[:5])}{', …' if len(self.targets) > 5 else ''} of {names or 'no series'}"
        steps = f"{self.horizon} step{'s' if self.horizon > 1 else ''}"
        ends = np.atleast_2d(self.times)[0, [0, -1]].tolist() if self.ids else []
        shown = [observation.shown(time, self.model.schema) for time in ends]
        span = f" from {' to '.join(shown)}" if shown else ""
        return f"<Forecast: {what}, {steps}{span}; levels {', '.join(f'{level:g}' for level in self.levels) or 'none'}>"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # What the model remembers of all its series is not part of a forecast of some.
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

    @cached_property
    def score(self) -> Float64[np.ndarray, "S D"]:
        """How unusual the last values were, as normal scores under the forecasts made for them; see `watch`.

        Positive above and negative below what was expected; NaN if there was no forecast for a value.
        """
        shape = len(self.scale), self.scale.shape[1]
        score = channels.join(self.model, watch.scores(self.model, self.watch, shape)[:, None])[:, 0]
        return score[0] if self.single else score

    @property
    def unusual(self) -> Bool[np.ndarray, "S D"]:
        """Whether the last values were unusual, at the rate of false alarms in the settings."""
        return watch.unusual(self.model, self.score)

    @property
    def changed(self) -> Bool[np.ndarray, "S D"]:
        """Whether the last values show that a series has changed, at that rate of false alarms; true once a change."""
        return np.asarray(self._changes[..., 0, :] > 0)

    @property
    def since(self) -> Int64[np.ndarray, "S D"]:
        """When the reported change began, as a number (see `Panel.time`); the last time if there was none."""
        age = self._changes[..., 1, :]
        last = self.last if self.single else self.last[:, None]
        return np.asarray(self.model.schema.frequency.advance(last, np.minimum(1 - age, 0)), np.int64)

    def alarms(self) -> list[Notice]:
        """The alarms that the last values raise, series by series: unusual values and changes.

        Example:
            >>> forecast = model.stream().observe("passengers", 4500.0)
            >>> [notice.kind for notice in forecast.alarms()]
            ['unusual']
        """
        score, since = np.atleast_2d(self.score), np.atleast_2d(self.since)
        changes = self._changes.reshape(len(self.ids), 2, len(self.targets))
        unusual, raised = np.atleast_2d(self.unusual), []
        for s, d in zip(*np.nonzero(unusual | (changes[:, 0] > 0)), strict=True):
            place = self.ids[s], self.targets[d], int(self.last[s])
            if unusual[s, d]:
                raised.append(Notice(*place, "unusual", float(score[s, d]), place[2]))
            if changes[s, 0, d]:
                name = BETS[changes[s, 0, d] - 1]
                raised.append(Notice(*place, "drift", float(score[s, d]), int(since[s, d]), name))
        return raised

    @cached_property
    def _changes(self) -> Int64[np.ndarray, "S 2 D"]:
        shape = len(self.scale), self.scale.shape[1]
        changes = channels.join(self.model, watch.changes(self.model, self.watch, shape))
        return changes[0] if self.single else changes

    @property
    def tz(self) -> str | None:
        """The time zone; None if the times have none."""
        return self.model.schema.tz

    def columns(self) -> dict[str, np.ndarray]:
        """The forecast as columns: id, time, `statecast`, `statecast-lo-80`, `statecast-hi-80`, …

        One row for each (series, target, step), in that order; several targets are distinguished by the id (see
        `Schema.output_ids`).

        Example:
            >>> list(model.forecast().columns())[:4]
            ['unique_id', 'month', 'statecast', 'statecast-lo-80']
        """
        from statecast.data.checks import columns_for

        size, schema = len(self.targets), self.model.schema
        names = output_ids(schema, self.ids)
        values = {"statecast": self.values}
        for level, (lower, upper) in self._bounds.items():
            values |= {f"statecast-lo-{level:g}": lower, f"statecast-hi-{level:g}": upper}
        flat = {name: np.moveaxis(value, -1, -2).reshape(-1) for name, value in values.items()}
        time = np.repeat(np.atleast_2d(self.times), size, axis=0).reshape(-1)
        return columns_for(schema, np.repeat(np.array([*names, None], object)[:-1], self.horizon), time, flat)

    def charts(self, past: Past | None = None, series: Any = None, most: int | None = None) -> tuple[Chart, ...]:
        """A chart for each target of each series, one series after another.

        Args:
            past: values before the forecast by series, see `charts.tails`; none are drawn if None.
            series: which series, one or several of `ids`; all if None.
            most: the largest number of charts.

        Raises:
            UnknownSeries: there is no such series.

        Example:
            >>> len(model.forecast().charts())
            1
        """
        places = [(s, d) for s in charts.chosen(self.ids, series) for d in range(len(self.targets))][:most]
        times, values = np.atleast_2d(self.times), self._three(self.values)
        bounds = {level: tuple(map(self._three, pair)) for level, pair in self._bounds.items()}
        curves = (
            Curve(
                charts.stamps(self.model.schema, times[s]),
                values[s, :, d],
                {level: lower[s, :, d] for level, (lower, _) in bounds.items()},
                {level: upper[s, :, d] for level, (_, upper) in bounds.items()},
            )
            for s, d in places
        )
        alone = len(self.ids) == 1 and self.model.schema.id is None
        schema, before = self.model.schema, past or {}
        return tuple(
            charts.chart(schema, d, self.ids[s], before, (curve,), alone)
            for (s, d), curve in zip(places, curves, strict=True)
        )

    def plot(self, series: Any = None, *, ax: Any = None, backend: str = "matplotlib") -> Any:
        """Draw the forecast; `Forecaster.plot` draws the values before it as well.

        Args:
            series: which series, one or several of `ids`; all if None.
            ax: axes of matplotlib to draw on, one for each series and target.
            backend: "matplotlib", or "plotly" for an interactive figure.

        Returns:
            The axes: one, or an array of them. For plotly a figure.

        Raises:
            UnknownSeries: there is no such series.
            MissingDependency: the library is not installed.

        Example:
            >>> axes = model.forecast().plot()
        """
        return draw(self.charts(series=series), backend, "Forecast", ax)

    def _repr_html_(self) -> str:
        names = output_ids(self.model.schema, self.ids)
        facts = [
            ("targets", ", ".join(self.targets)),
            ("series", f"{len(self.ids):,}" if self.model.schema.id else ""),
            ("steps", f"{self.horizon:,}"),
            ("unusual", ", ".join(str(notice.id) for notice in self.alarms()[:5])),
        ]
        shown = self.charts(most=html.SKETCHES)
        table = html.forecast_table(shown, len(names))
        return html.card("Forecast", html.facts(facts), html.sketches(shown), table)

    def _three(self, values: np.ndarray) -> np.ndarray:
        return values[None] if self.single else values

    @property
    def _point(self) -> Float[np.ndarray, "N H Dn"]:
        near = self.first[..., self.model.network.head.middle][:, : self.horizon]
        return near if self.later is None else np.concatenate([near, self.later], axis=1)

    @cached_property
    def _spread(self) -> calibrate.Spread:
        model, phase = self.model, None
        if model.phases is not None:
            phase = channels.repeat(model, calibrate.phase_of(model, self.last))
        return calibrate.Spread(model, self.first, self.scale, self.shifts, phase)

    @cached_property
    def _bounds(self) -> dict[float, tuple[np.ndarray, np.ndarray]]:
        return {level: self._interval(level) for level in self.levels}

    def _interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The interval of a level; k steps ahead, beyond the network's H, its widest one times √(k/H)."""
        below, above = (_widened(part, self.horizon) for part in self._spread.at(level))
        lower, upper = calibrate.around(self.model, self._point, below, above)
        return self._joined(lower), self._joined(upper)

    def _joined(self, rows: Float64[np.ndarray, "N H Dn"]) -> Float64[np.ndarray, "S H D"]:
        values = channels.join(self.model, rows)
        require_finite(self.ids, values)
        return values[0] if self.single else values


def require_finite(ids: Sequence[str | int], values: Float64[np.ndarray, "S ..."]) -> None:
    """Refuse forecasts that are not finite: a network whose numbers have grown without bound forecasts nothing.

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
