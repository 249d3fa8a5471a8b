"""What the forecasts would have been: rolling origins over the last rows of a table, beside what then happened.

One run of the network over the table gives the forecasts of all origins, since none of them looks ahead; a refit trains
a model for each origin from the rows before it. The baselines forecast from the same origins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.framed import TableResult
from statecast.data.panel import Panel
from statecast.display.chart import Chart, Curve
from statecast.display.drawing import draw
from statecast.errors import SettingError, TooFewRows
from statecast.forecast import answer, charts
from statecast.forecast.hindcast import follow
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.forecast.scores import comparison, evaluate
from statecast.forecast.scores.comparison import ForecastPairs
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Int64

Refit = Callable[[Panel], Model]


def backtest(
    model: Model,
    panel: Panel,
    windows: int,
    step: int | None = None,
    refit: Refit | None = None,
    tested: Model | None = None,
    some: bool = False,
) -> Backtest:
    """Forecasts from the last `windows` origins of each series that have a whole horizon after them.

    A series that is too short for all of them takes part in as many as it has rows for; with `refit` every series must
    have all.

    Args:
        model: the model.
        panel: the table.
        windows: number of origins.
        step: rows between two of them; the horizon if None.
        refit: trains a model on the rows up to an origin. The model as it is forecasts from all origins if None.
        tested: the same model before it learned from the rows that it was scored on: it forecasts where `model` has
            learned from a row that is forecast here. None where it is not at hand.
        some: whether the table is a part of a larger one, in which other series may have enough rows for all origins;
            here then one origin of one series is enough.

    Raises:
        SettingError: windows or step is below 1.
        TooFewRows: no series (with `refit`: not every series) has enough rows.
    """
    horizon = model.network.head.horizon
    windows, step = _whole("windows", windows), _whole("step", horizon if step is None else step)
    least = 1 if some else windows
    origins = _origins(panel, windows, step, horizon, least, every=refit is not None)
    if refit is None:
        if tested is not None and _learned_from(model, panel, enumerate(origins)):
            model = tested
        return Backtest(model, panel, tuple(_forecasts(model, panel, origins, origins)))
    runs = []
    for w in range(windows):
        window = [rows[w : w + 1] for rows in origins]
        # The forecasts alone are kept of each window, not its model.
        runs.append(tuple(_forecasts(refit(panel.cut(_after(window))), panel, window, origins)))
    return Backtest(model, panel, tuple(_Block.joined(blocks) for blocks in zip(*runs, strict=True)))


@dataclass(frozen=True, eq=False)
class _Block:
    """The forecasts of one series from some of its rows, beside what came."""

    series: int
    rows: Int64[np.ndarray, " n"]
    pairs: ForecastPairs

    @staticmethod
    def joined(blocks: Sequence[_Block]) -> _Block:
        """What several models said of one series, each from its own origin."""
        rows = np.concatenate([block.rows for block in blocks])
        return _Block(blocks[0].series, rows, ForecastPairs.joined([block.pairs for block in blocks]))


@dataclass(frozen=True, eq=False)
class Backtest(TableResult):
    """Forecasts from rolling origins, next to what happened and to the baselines.

    Attributes:
        model: the model that made the forecasts; with a refit, others of its kind made them.
        panel: the table.
        blocks: the forecasts, series by series.

    Example:
        >>> result = model.backtested(table, windows=2)
        >>> result.evaluation()["statecast"]["count"]
        24.0
    """

    model: Model
    panel: Panel
    blocks: tuple[_Block, ...]

    def __repr__(self) -> str:
        targets, horizon = self.model.schema.target, self.model.config.horizon
        names = f"{', '.join(targets[:5])}{', …' if len(targets) > 5 else ''}"
        origins, series = sum(len(block.rows) for block in self.blocks), len(self.blocks)
        return f"<Backtest: {names}, {horizon} ahead; {origins:,} origins in {series:,} series>"

    def evaluation(self) -> dict[str, Any]:
        """The scores, as after a fit: see `comparison.evaluate`.

        Example:
            >>> sorted(model.backtested(table, windows=2).evaluation()["skill"])
            ['linear_extrapolation', 'persistence', 'seasonal_naive']
        """
        pairs = (block.pairs for block in self.blocks)
        head, targets = self.model.network.head, self.model.schema.target
        return comparison.evaluate(pairs, targets, head.horizon, self.panel.series)

    def learned_from(self) -> bool | None:
        """Whether the model was trained, chosen or calibrated on a row that is forecast here; None if it is not known.

        Rows are told apart by their series and time, so tables without times are taken for parts of one table.

        Example:
            >>> model.backtested(table, windows=1).learned_from()  # the network that was tested has forecast
            False
        """
        return _learned_from(self.model, self.panel, ((block.series, block.rows) for block in self.blocks))

    def charts(self, series: Any = None) -> tuple[Chart, ...]:
        """A chart for each target of each series: its last rows, and the forecasts from every origin.

        Raises:
            UnknownSeries: there is no such series.

        Example:
            >>> len(model.backtested(table, windows=2).charts()[0].curves)
            2
        """
        size = len(self.model.schema.target)
        names = tuple(self.panel.ids[block.series] for block in self.blocks)
        return tuple(self._chart(self.blocks[n], d) for n in charts.chosen(names, series) for d in range(size))

    def _chart(self, block: _Block, d: int) -> Chart:
        schema, span, pairs = self.model.schema, self.panel.span(block.series), block.pairs
        time = charts.stamps(schema, self.panel.time[span])
        ahead = block.rows[:, None] + np.arange(1, self.model.network.head.horizon + 1)
        curves = tuple(
            Curve(
                time[ahead[n]],
                pairs.points["statecast"][n, :, d],
                {level: bound[n, :, d] for level, bound in pairs.lower.items()},
                {level: bound[n, :, d] for level, bound in pairs.upper.items()},
            )
            for n in range(len(block.rows))
        )
        begin = max(int(block.rows[0]) + 1 - charts.length(self.model), 0)
        shown = slice(begin, int(block.rows[-1]) + ahead.shape[1] + 1)
        name = "" if schema.id is None else str(self.panel.ids[block.series])
        values = self.panel.y[span][shown, d]
        return Chart(schema.target[d], time[shown], values, curves, name, tuple(time[block.rows]))

    def plot(self, series: Any = None, *, ax: Any = None, backend: str = "matplotlib") -> Any:
        """Draw the forecasts from all origins next to what happened; the arguments are those of `Forecast.plot`.

        Example:
            >>> axes = model.backtested(table, windows=2).plot()
        """
        return draw(self.charts(series), backend, "Forecasts from past moments", ax)

    @property
    def tz(self) -> str | None:
        """The time zone; None if the times have none."""
        return self.model.schema.tz

    def columns(self) -> dict[str, np.ndarray]:
        """A row for each series, target, origin and step ahead, in that order.

        Columns: id, time, cutoff (the origin), y, statecast, statecast-lo-80, statecast-hi-80, …, and one for each
        baseline.

        Example:
            >>> list(model.backtested(table, windows=2).columns())[:5]
            ['unique_id', 'month', 'cutoff', 'y', 'statecast']
        """
        from statecast.data.checks import columns_for

        schema, panel, size = self.model.schema, self.panel, self.panel.targets
        horizon = self.model.network.head.horizon
        origin = np.concatenate([np.tile(panel.offsets[block.series] + block.rows, size) for block in self.blocks])
        target = np.concatenate([np.repeat(np.arange(size), len(block.rows)) for block in self.blocks])
        series = np.repeat([block.series for block in self.blocks], [size * len(block.rows) for block in self.blocks])
        names = np.array([*answer.output_ids(schema, panel.ids), None], object)[:-1]
        time = panel.time[origin[:, None] + np.arange(1, horizon + 1)].reshape(-1)
        cutoff = np.repeat(panel.time[origin], horizon)
        values = {"cutoff": calendar.to_datetime64(cutoff, schema.time_kind, schema.frequency, schema.tz)}
        blocks = [block.pairs.columns() for block in self.blocks]
        for name in blocks[0]:
            values[name] = np.concatenate([np.moveaxis(block[name], -1, 0).reshape(-1) for block in blocks])
        return columns_for(schema, np.repeat(names[series * size + target], horizon), time, values)


def _learned_from(model: Model, panel: Panel, origins: Iterable[tuple[int, Int64[np.ndarray, " n"]]]) -> bool | None:
    """`Backtest.learned_from`, by the numbers of series and the rows of each that are its origins."""
    training, horizon = model.training, model.network.head.horizon
    if training is None:
        return None
    for series, rows in origins:
        s = training.index.get(panel.ids[series])
        if s is None or not len(rows):
            continue
        time = panel.time[panel.span(series)]
        first, last = time[rows.min() + 1], time[rows.max() + horizon]
        if training.first[s] <= last and first <= training.val[s]:
            return True
    return False


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise SettingError(f"{name} = {value!r}: expected a whole number of at least 1")
    return int(value)


def _origins(
    panel: Panel, windows: int, step: int, horizon: int, least: int, every: bool
) -> list[Int64[np.ndarray, " n"]]:
    """For each series, the rows within it that are origins, ascending; `least` of one series, or of every one."""
    need = horizon + 1 + (least - 1) * step
    lengths = panel.lengths
    short = lengths.min() if every else lengths.max()
    if short < need:
        name = panel.ids[int(np.argmin(lengths) if every else np.argmax(lengths))]
        raise TooFewRows(
            f"series {name!r} has {short:,} rows: {least} windows, {step} rows apart, with a horizon of {horizon} "
            f"need {need:,}; ask for fewer windows or a smaller step"
        )
    back = step * np.arange(windows)[::-1]
    origins = [int(n) - 1 - horizon - back for n in lengths]
    return [at[at >= 0] for at in origins]


def _after(origins: list[Int64[np.ndarray, " n"]]) -> Int64[np.ndarray, " S"]:
    """How many rows each series has up to its only origin."""
    return np.array([at[0] + 1 for at in origins], np.int64)


def _forecasts(
    model: Model,
    panel: Panel,
    origins: list[Int64[np.ndarray, " n"]],
    every: list[Int64[np.ndarray, " m"]],
) -> Iterator[_Block]:
    """The forecasts of each series from its origins, in one run over the table; `every` origin tells the first."""
    feed = Feed.of(model, panel)
    mask = np.zeros(panel.rows, bool)
    for begin, at in zip(panel.offsets[:-1], origins, strict=True):
        mask[begin + at] = True
    forecasts = forecasts_at(model.network, model.p, feed.rows, feed.mask(mask))
    if model.adaptive is not None:
        forecasts, _ = follow.through(model, feed, forecasts)
    season = evaluate.season_of(model)
    for s, at, bounded in evaluate.by_series(model, panel, forecasts):
        begin = int(every[s][0]) + 1
        yield _Block(s, at, ForecastPairs.of(panel.y[panel.span(s)], at, begin, season, *bounded))
