"""The part of `Forecaster` that says how it was trained and how far off it was: history, scores and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from statecast.data.panel import Panel
from statecast.data.tabular import table
from statecast.errors import DataError, NotFitted
from statecast.estimators import examination
from statecast.estimators.fitted import Fitted
from statecast.forecast import charts, residuals
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.scores.evaluate import season_of
from statecast.report.folder import history_columns


class Hindsight(Fitted):
    """What is measured of a Forecaster."""

    @property
    def evaluation_(self) -> dict[str, Any]:
        """The scores of the network and of every baseline on the test rows; see docs/scores.md."""
        return self.model_.scores

    @property
    def history_(self) -> Any:
        """The course of training, a row for each look at the validation rows, as a frame like that of `predict`.

        Columns: phase ("training", "training the linear part" or "learning from every row"; each counts its
        steps from the beginning), step, epoch, loss, val_loss (missing if no rows were held out), learning_rate and
        seconds.

        Example:
            >>> model.history_.columns[:4]
            ['phase', 'step', 'epoch', 'loss']
        """
        return self._frame(history_columns(self.model_.history), None)

    def score(self, source: Any = None) -> dict[str, Any]:
        """Scores on a table, over all origins with as many rows before them as the network looks back.

        Args:
            source: a table like that of `fit`; without one the scores are those on the test rows of the fit, which a
                loaded model has as well.

        Returns:
            mse, rmse, mae, smape, mase, r2, coverage, …, and `skill`: for each baseline 1 − error / its error. Where
            there are several targets also `targets`: the same for each of them.

        Raises:
            DataError: there is no table, and the fit kept no rows for a test.

        Example:
            >>> scores = model.score(table)
            >>> scores["mae"] < 30, scores["skill"]["persistence"] > 0.5
            (True, True)
            >>> model.score()["mae"] == model.evaluation_["statecast"]["mae"]
            True
        """
        if source is not None:
            return examination.scores(self.model_, source)
        scores = self.model_.scores
        if not scores.get("origins"):
            raise DataError("the fit kept no rows for a test: call score(table), or fit with a test_size above 0")
        return examination.summary(scores)

    def residuals(self, source: Any = None, *, steps: int | Sequence[int] | None = None) -> Any:
        """Actual values minus forecasts, each with its origin and step ahead.

        Args:
            source: a table like that of `fit`, of which all rows are used that `score` would judge; if None, the test
                rows of the fit, as forecast by the network that had not learned from them.
            steps: one or several steps ahead; all if None.

        Returns:
            A frame, or a mapping for an array: id, time, cutoff (the last row that the forecast knew), steps_ahead, y,
            statecast and residual. Missing values have no row.

        Raises:
            NotFitted: this object was loaded, and there is no table.
            SettingError: there is no such step ahead.

        Example:
            >>> model.residuals(steps=1).columns
            ['unique_id', 'month', 'cutoff', 'steps_ahead', 'y', 'statecast', 'residual']
        """
        rows = None if source is None else table.read(source)
        chosen = [steps] if isinstance(steps, int) else steps
        return self._frame(residuals.columns(self.model_, *self._examined(rows), chosen), rows)

    def plot_residuals(self, source: Any = None, *, series: Any = None) -> Any:
        """Draw the residuals, one step and `horizon` steps ahead: over time, by size, and their autocorrelation.

        Args:
            source: as in `residuals`.
            series: which series, one or several ids; all if None.

        Returns:
            The axes of matplotlib [rows, 3]: a row for each series and target, of which the first six are drawn.

        Raises:
            NotFitted: this object was loaded, and there is no table.
            UnknownSeries: there is no such series.
            DataError: there are no rows to judge.
            MissingDependency: matplotlib is not installed.

        Example:
            >>> model.plot_residuals()[0, 0].get_title(loc="left")
            'passengers'
        """
        from statecast.report import collect, plot

        panel, origins = self._examined(None if source is None else table.read(source))
        chosen = charts.chosen(panel.ids, series)
        parts = residuals.of_series(self.model_, panel, origins, collect.PAIRS, chosen)
        if not parts:
            raise DataError("there is nothing to judge: no row of the table is forecast; give a table with more rows")
        size, season = self.model_.config.horizon, season_of(self.model_)
        return plot.residual_panels(parts, size, season, charts.step_name(self.model_.schema), shown=True)

    def _examined(self, rows: table.Table | None) -> tuple[Panel, Origins]:
        """A table and the forecasts from its rows; without one the test rows of the fit and theirs."""
        if rows is not None:
            panel, origins, _ = examination.forecasts(self.model_, rows)
            return panel, origins
        if self._record is None:
            raise NotFitted("a loaded model has no table at hand: give residuals a table")
        return self._record.panel, self._record.origins
