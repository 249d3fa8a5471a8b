"""The part of `Forecaster` that looks inside: which inputs count, what the layers do, and the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.tabular import table
from statecast.data.values import described
from statecast.display.chart import require_backend
from statecast.errors import NotFitted, SettingError, UnknownSeries, nearest
from statecast.estimators import examination
from statecast.estimators.fitted import Fitted
from statecast.estimators.start import origin_of, rows_of
from statecast.forecast import breakdown, channels, charts
from statecast.forecast.breakdown import LAST, Breakdown
from statecast.forecast.inside import Activations, activations
from statecast.forecast.predict import Future
from statecast.model.shapes import leaves
from statecast.model.state import State

if TYPE_CHECKING:
    from statecast.forecast.explain import Explanation

Ids = str | int | Sequence[str | int]


class Inside(Fitted):
    """What a fitted network uses and does."""

    def explain(
        self, source: Any = None, *, at: Any = None, series: str | int | None = None, future: Any = None, seed: int = 0
    ) -> Any:
        """Which inputs the forecasts of a table use; with `at`, what a single forecast comes from.

        Without `at` it says how much the error grows when one input is shuffled: permutation importance, see
        `forecast.explain`. With `at` it takes the forecast from that row apart, see `breakdown`.

        Args:
            source: a table like that of `fit`, judged on all rows that `score` would judge; the validation rows of the
                training table if None. With `at` as in `breakdown`.
            at: of which row to take the forecast apart; see `breakdown`.
            series: with `at`, the only series to look at.
            future: with `at`, a table of the covariates known ahead of the last row.
            seed: of the shuffles.

        Returns:
            A frame. Without `at`: input, kind ("past", "known", "static", "calendar" or "lags"), importance (growth of
            the mean absolute error as a share of it) and its spread over the shuffles, the most important first. With
            `at`: id, time, cutoff, part, kind, amount and statecast, see `Breakdown.columns`.

        Raises:
            NotFitted: a loaded model without a table.
            SettingError: a series or a future without `at`.
            DataError: there are no rows to judge, or no such row.

        Example:
            >>> model.explain().columns
            ['input', 'kind', 'importance', 'spread']
            >>> model.explain(at="last").columns
            ['unique_id', 'month', 'cutoff', 'part', 'kind', 'amount', 'statecast']
        """
        rows = None if source is None else table.read(source)
        if at is not None:
            return self._frame(self.breakdown(rows, at=at, series=series, future=future).columns(), rows)
        if series is not None or future is not None:
            raise SettingError(
                'series and future concern a single forecast: say which row it starts from, such as at="last"'
            )
        return self._frame(self.explanation(rows, seed=seed).columns(), rows)

    def breakdown(
        self, source: Any = None, *, at: Any = LAST, series: str | int | None = None, future: Any = None
    ) -> Breakdown:
        """How much of a forecast comes from the level, the season, each covariate, recent values and the recurrence.

        Args:
            source: a table like that of `fit`, through whose rows each series runs up to the one at `at`. The training
                table if None, or, for a loaded model, what it remembers of each series' last row.
            at: the time of the last row that the forecast rests on, or "last" for each series' last one. Where rows
                have no times, the number of the row, from 0 on.
            series: the only series to look at; all that have such a row if None.
            future: a table of the covariates known ahead of the last row.

        Returns:
            A value whose `amounts` [S, P, H, D] sum over the P `parts` to the forecasts; `plot_breakdown` draws it.

        Raises:
            DataError: the table cannot be used, no series has such a row, or known covariates are missing.
            SettingError: a loaded model without a table is asked for a row of the past.

        Example:
            >>> parts = model.breakdown()
            >>> [part.name for part in parts.parts][:3]
            ['level', 'constant', 'season']
            >>> bool(np.allclose(parts.amounts.sum(axis=1), parts.values))
            True
        """
        if source is None and self._record is None:
            return breakdown.of_state(self.model_, *self._remembered(at, series, future))
        panel = rows_of(self.model_, source, future, self._record.panel if self._record else None)
        return breakdown.of_table(self.model_, panel, at, series)

    def plot_breakdown(
        self,
        source: Any = None,
        *,
        at: Any = LAST,
        series: str | int | None = None,
        future: Any = None,
        backend: str = "matplotlib",
    ) -> Any:
        """`breakdown` as a picture.

        Args:
            source: as in `breakdown`, like all others.
            at: see there.
            series: see there.
            future: see there.
            backend: "matplotlib" for a figure with a panel for each series and target, up to six; "plotly" for an
                interactive one, with a menu of series.

        Raises:
            SettingError: another backend.
            MissingDependency: the library is not installed.

        Example:
            >>> figure = model.plot_breakdown()
        """
        require_backend(backend)
        result = self.breakdown(source, at=at, series=series, future=future)
        if backend == "plotly":
            from statecast.report import breakdown as parts

            return parts.zoomable(result)
        from statecast.display import palette
        from statecast.report import plot

        return plot.breakdown(result, ground=palette.preferred().ground)

    def _remembered(self, at: Any, series: str | int | None, future: Any) -> tuple[State, Future | None]:
        """What a loaded model remembers of its series, or of one of them, and what is known ahead."""
        model = self.model_
        if not (isinstance(at, str) and at == LAST):
            raise SettingError(
                f"at = {described(at)}: a loaded model remembers only the last row of each series; give explain a "
                'table, or at="last"'
            )
        state, ahead = origin_of(model, None, future, None)
        if series is None:
            return state, ahead
        ids = channels.series_ids(model, state.ids)
        if series not in ids:
            raise UnknownSeries(f"the model has no series {described(series)}; {nearest(series, ids)}")
        return state.gather(channels.row_ids(model, [series])), None if ahead is None else [ahead[ids.index(series)]]

    def explanation(self, source: Any = None, *, seed: int = 0) -> Explanation:
        """What `explain` returns as a frame, along with the gates of the recurrent layers over time.

        Example:
            >>> model.explanation().inputs[0].kind
            'lags'
        """
        return examination.explanation(self.model_, source, self._record, seed)

    def states(self, source: Any = None, *, series: Ids | None = None, last: int | None = None, member: int = 0) -> Any:
        """States and gates of the recurrent layers, row by row of a table.

        Args:
            source: a table like that of `fit`; the training table if None.
            series: which series, one or several of its ids; all if None.
            last: rows at the end of each series that are kept; all if None. Every series is run through from its
                first row.
            member: which network of an ensemble.

        Returns:
            A frame, or a mapping for an array: id, time, and a column for each number, such as "0.forget.3" for the
            forget gate of the fourth unit of the first layer. "0.h.3" is its output; other parts of its state are
            named like those of its cell, such as "0.c.3". See `activations` for arrays.

        Raises:
            NotFitted: a loaded model without a table.
            UnknownSeries: there is no such series.
            SettingError: the network has no recurrent layer, or no such member.
            DataError: the table cannot be used, or there would be too many numbers.

        Example:
            >>> model.states(last=2).select("month", "0.forget.3").height
            2
        """
        rows = None if source is None else table.read(source)
        return self._frame(self.activations(rows, series=series, last=last, member=member).columns(), rows)

    def activations(
        self, source: Any = None, *, series: Ids | None = None, last: int | None = None, member: int = 0
    ) -> Activations:
        """`states` as arrays: `parts["0.forget"]` is [rows, units].

        Example:
            >>> model.activations(last=2).parts["0.forget"].shape
            (2, 64)
        """
        if source is None and self._record is None:
            raise NotFitted("a loaded model has no table at hand: call states(table)")
        panel = self._record.panel if source is None and self._record else examination.examined(self.model_, source)
        return activations(self.model_, _some(panel, series), last, member)

    def weights(self) -> dict[str, np.ndarray]:
        """What training learned, by names such as "stack/cells/0/W": the inputs of the first layer's gates.

        "stack" is the recurrent and dense layers, "head" what turns their output into a forecast, "skip" the
        linear map alongside. A cell's columns are a block of units for each gate: for an LSTM input, forget, candidate
        and output. If there are several networks, the first axis is theirs. The arrays are copies.

        Example:
            >>> model.weights()["stack/cells/0/U"].shape  # 64 units, and a block of 64 columns for each of four gates
            (64, 256)
        """
        arrays = leaves(self.model_.weights)
        return {name: np.array(array) for name, array in arrays.items() if not isinstance(array, dict)}


def _some(panel: Panel, series: Ids | None) -> Panel:
    """Some of the series of a table, in the order in which they are named."""
    if series is None:
        return panel
    some = np.array(charts.chosen(panel.ids, series), np.int64)
    return panel.pieces(some, np.zeros(len(some), np.int64), panel.lengths[some])
