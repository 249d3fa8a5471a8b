"""Forecaster: settings in, a trained model out; thin, and shaped like scikit-learn's estimators.

Nothing is worked out here: tables are read by `data`, networks are trained by `train`, and everything after that is
done by `forecast` and `report`. Training rooms are imported when `fit` is called, so that a saved model serves without
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data import checks, table
from statecast.data.merging import Merging
from statecast.data.panel import Panel
from statecast.data.results import Native, to_native
from statecast.data.roles import Roles
from statecast.errors import DataError, NotFitted, SettingError
from statecast.estimators import training
from statecast.estimators.keywords import ForecasterKeywords
from statecast.estimators.start import origin_of
from statecast.estimators.training import FitRecord
from statecast.forecast import assemble
from statecast.forecast import evaluate as scoring
from statecast.forecast.predict import Forecast, Future, forecast
from statecast.forecast.sample import Samples, sample
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from statecast.forecast.backtest import Backtest
    from statecast.forecast.explain import Explanation
    from statecast.report.summary import Report

Names = str | Sequence[str] | None


class Forecaster(ForecasterKeywords):
    """A recurrent network that forecasts the next values of one or many series.

    Args:
        settings: by name; `statecast settings` says what each means, and what is left out is chosen from the data.

    Raises:
        SettingError: a setting is unknown or out of range.

    Attributes:
        config: the settings as given; those that are left to the data are None.
        model_: the trained model, whose own `config` holds the values that were chosen.
        reasons_: for each setting that was chosen from the data, why; and what was concluded from the table's form.
        evaluation_: the scores on the test rows, beside the baselines'.
    """

    def _accept(self, settings: dict[str, Any]) -> None:
        self.config = Config.of(settings)
        self.reasons_: dict[str, str] = {}
        self._record: FitRecord | None = None
        self._model: Model | None = None
        self._native: Native = "polars"
        self._axes = 0

    @property
    def model_(self) -> Model:
        """The trained model.

        Raises:
            NotFitted: before `fit` and `load`.
        """
        if self._model is None:
            raise NotFitted(
                "this Forecaster has not been fitted: call fit(table, target=…) first, or Forecaster.load(path)"
            )
        return self._model

    @property
    def evaluation_(self) -> dict[str, Any]:
        """The scores on the test rows, the network's and every baseline's; see docs/scores.md."""
        return self.model_.scores

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings as given, by name."""
        return self.config.to_dict()

    def set_params(self, **settings: Any) -> Forecaster:
        """Replace settings; the model, if there is one, stays until the next fit."""
        self.config = self.config.with_(**settings)
        return self

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.config.changed().items())
        return f"Forecaster({settings})"

    def fit(
        self,
        source: Any,
        target: Names = None,
        *,
        id: str | None = None,
        time: str | None = None,
        past: Names = None,
        known: Names = None,
        static: Names = None,
        freq: str | None = None,
        watch: Callable[[Any], None] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Forecaster:
        """Train on a table, and score on its last rows.

        Args:
            source: a CSV or Parquet file, a pandas, polars or pyarrow frame, a mapping, or an array [T] or [T, D].
            target: the columns to forecast; may be left out if the table leaves no choice.
            id: the column that names the series.
            time: the column of times; the only column (or index) of dates if None; "" if every row is a step.
            past: covariates that are known up to the present.
            known: covariates known ahead.
            static: covariates of a series.
            freq: the length of a step, such as "1h"; inferred if None.
            watch: called with the progress now and then, see `statecast.train.progress.Progress`.
            checkpoint: a folder for checkpoints; none are written if None.
            resume: continue from the checkpoint in that folder.

        Returns:
            This object, fitted.

        Raises:
            DataError: the table cannot be used.
            SettingError: a setting does not suit it.
            TrainingError: the loss is not finite.
        """
        train = training.room("fit")
        rows = table.read(source)
        roles = Roles.of(target, id, time, past, known, static, freq)
        panel, schema = checks.panel(rows, roles, Merging.of(self.config))
        outcome = train.fit(self.config, schema, panel, watch, Path(checkpoint) if checkpoint else None, resume)
        model, origins = training.assembled(outcome, panel)
        self._native, self._axes, self.reasons_ = rows.native, _axes(source), rows.reasons | (model.reasons or {})
        self._model = replace(model, reasons=self.reasons_)
        self._record = FitRecord(panel, outcome.base_parts, origins)
        return self

    def predict(
        self,
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        future: Any = None,
    ) -> Any:
        """Forecast in the form that the data had: a frame of the same library, a mapping, or an array.

        See `forecast` for the arguments; it gives bounds and times of an array as well.

        Returns:
            For an array [T] or [T, D] the point forecasts, an array [H] or [H, D]. Otherwise the columns id, time,
            `statecast`, `statecast-lo-80`, `statecast-hi-80`, …, with a row for each series and step.

        Raises:
            SettingError: levels for an array, which has no place for bounds.
        """
        rows = None if source is None else table.read(source)
        axes = self._axes_of(source)
        if axes and levels is not None:
            raise SettingError("levels: predict gives an array of points alone; forecast(levels=…) has the bounds")
        result = self.forecast(rows, horizon=horizon, levels=levels, future=future)
        return _array(result.values[0], axes) if axes else self._frame(result.columns(), rows)

    def _axes_of(self, source: Any) -> int:
        """Axes of the array that the results are to be like; 0 for results as a table."""
        lone = self.model_.schema.id is None
        return (self._axes if source is None else _axes(source)) if lone else 0

    def _frame(self, columns: dict[str, np.ndarray], rows: table.Table | None) -> Any:
        """Columns in the form of a table, or of the training table."""
        return to_native(columns, self._native if rows is None else rows.native, self.model_.schema.tz)

    def forecast(
        self,
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        future: Any = None,
    ) -> Forecast:
        """Forecast the next values of every series.

        Args:
            source: a table like that of `fit`, whose rows alone each series is forecast from. If None, the series of
                the training table are forecast from its end; so they are by a table without any observed target, whose
                rows are then the covariates known ahead.
            horizon: steps; beyond the network's own, its forecasts are fed back as inputs.
            levels: of the intervals, in percent.
            future: a table of the covariates known ahead.

        Raises:
            NotFitted: before `fit`.
            DataError: the table cannot be used, or known covariates are missing.
            SettingError: horizon or levels are out of range.
        """
        state, ahead = self._origin(source, future)
        return forecast(self.model_, state, horizon, levels, ahead)

    def sample(
        self, n: int, source: Any = None, *, horizon: int | None = None, future: Any = None, seed: int = 0
    ) -> Any:
        """Sample paths of every series: possible futures, each consistent from step to step.

        Args:
            n: paths of each series.
            source: as in `forecast`.
            horizon: as in `forecast`.
            future: as in `forecast`.
            seed: the same seed gives the same paths.

        Returns:
            For an array [T] or [T, D] an array [n, H] or [n, H, D]. Otherwise a frame like that of `predict` with the
            columns id, time, sample (a number from 0) and statecast; a row for each series, path and step.
        """
        rows, axes = None if source is None else table.read(source), self._axes_of(source)
        paths = self.samples(n, rows, horizon=horizon, future=future, seed=seed)
        return _array(paths.values[0], axes) if axes else self._frame(paths.columns(), rows)

    def samples(
        self, n: int, source: Any = None, *, horizon: int | None = None, future: Any = None, seed: int = 0
    ) -> Samples:
        """`sample` with its values as an array [S, N, H, D]."""
        state, ahead = self._origin(source, future)
        return sample(self.model_, n, state, horizon, ahead, seed)

    def _origin(self, source: Any, future: Any) -> tuple[State, Future | None]:
        """The state to forecast from, and the covariates known ahead of it; see `start.origin_of`."""
        return origin_of(self.model_, source, future, self._record.panel if self._record else None)

    def backtest(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Any:
        """Forecast from the last origins of a table, beside what happened and the baselines.

        Args:
            source: a table like that of `fit`.
            windows: number of origins.
            step: rows between two of them; the horizon if None.
            refit: train anew on the rows before each origin.

        Returns:
            A frame, or a mapping for an array: id, time, cutoff, y, statecast and its bounds, and a column for each
            baseline.

        Raises:
            DataError: too few rows.
        """
        rows = table.read(source)
        return self._frame(self.backtested(rows, windows=windows, step=step, refit=refit).columns(), rows)

    def backtested(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Backtest:
        """`backtest` with its scores: `columns()` are those of the frame, `evaluation()` is like `evaluation_`."""
        from statecast.forecast.backtest import backtest

        model = self.model_
        panel = checks.panel_like(table.read(source), model.schema, False, Merging.of(model.config))
        return backtest(model, panel, windows=windows, step=step, refit=self._refit if refit else None)

    def _refit(self, panel: Panel) -> Model:
        """The same settings trained on other rows, all of them for training and validation."""
        config = self.config.with_(test_size=0)
        return training.assembled(training.room("fit").fit(config, self.model_.schema, panel), panel)[0]

    def score(self, source: Any) -> dict[str, Any]:
        """Scores on a table, from all origins that have seen as many rows as the network looks back.

        Returns:
            mse, rmse, mae, smape, mase, r2, coverage, …, and `skill`: for each baseline 1 − error / its error. Where
            there are several targets also `targets`: the same for each of them.
        """
        model = self.model_
        panel = checks.panel_like(table.read(source), model.schema, False, Merging.of(model.config))
        begin = self._judged(panel)
        origins = assemble.run(model, panel, scoring.test_origins(panel, begin, model.config.horizon))
        result = scoring.evaluate(model, panel, origins, begin)
        targets = {
            name: {**part["statecast"], "skill": part["skill"]} for name, part in result.get("targets", {}).items()
        }
        return {**result["statecast"], "skill": result["skill"], **({"targets": targets} if targets else {})}

    def explain(self, source: Any = None, *, seed: int = 0) -> Any:
        """How much the error grows when one input is shuffled: permutation importance, see `forecast.explain`.

        Args:
            source: a table like that of `fit`, judged on all rows that `score` would judge; the validation rows of the
                training table where None.
            seed: of the shuffles.

        Returns:
            A frame: input, kind ("past", "known", "static", "calendar" or "lags"), importance (growth of the mean
            absolute error as a share of it) and its spread over the shuffles; the most important input first.

        Raises:
            NotFitted: a loaded model without a table.
            DataError: there are no rows to judge.
        """
        rows = None if source is None else table.read(source)
        native = self._native if rows is None else rows.native
        return to_native(self.explanation(rows, seed=seed).columns(), native, None)

    def explanation(self, source: Any = None, *, seed: int = 0) -> Explanation:
        """What `explain` puts into a frame, and the gates of the recurrent layers over time."""
        from statecast.forecast.explain import explain

        model = self.model_
        if source is not None:
            panel = checks.panel_like(table.read(source), model.schema, False, Merging.of(model.config))
            begin = self._judged(panel)
        elif self._record is not None:
            panel, begin = self._record.panel.cut(self._record.split.val), self._record.split.train
        else:
            raise NotFitted("a loaded model has no table at hand: call explain(table)")
        explanation = explain(model, panel, begin, seed)
        if explanation is None:
            what = "no validation rows (val_size)" if source is None else "too few rows"
            raise DataError(f"there is nothing to judge: the table has {what}; give explain a table with more rows")
        return explanation

    def _judged(self, panel: Panel) -> np.ndarray:
        """Rows of each series before the first that is judged: as many as the network looks back, half at most."""
        least = max(self.model_.network.front.ring, 2)
        return np.asarray(np.minimum(least, np.maximum(panel.lengths // 2, 1)))

    def stream(self, *, empty: bool = False) -> Stream:
        """A live stream, in which each series continues where the table ended; with `empty` it has no series yet."""
        return Stream(self.model_, State.empty(self.model_.layout, self.model_.dtype) if empty else None)

    def report(self, title: str = "") -> Report:
        """What pictures and pages say of the fit.

        Raises:
            NotFitted: this object was loaded, not fitted: the table is not at hand.
        """
        from statecast.report import collect

        if self._record is None:
            raise NotFitted("a report needs the table that the model was fitted on: call fit(table, target=…) first")
        title = title or f"Forecast of {', '.join(self.model_.schema.target[:4])}"
        record, settings = self._record, self.config.changed()
        if title not in record.reports:  # pages and terminal show the same one
            record.reports[title] = collect.report(
                title, self.model_, record.panel, record.split, record.origins, self.reasons_, settings
            )
        return record.reports[title]

    def write(self, folder: str | Path, title: str = "") -> list[Path]:
        """Write model, settings, scores, tested rows, pictures and the report page into a folder.

        Raises:
            OutputError: a file cannot be written.
        """
        from statecast.report import folder as output
        from statecast.report import test_rows

        report = self.report(title)
        assert self._record is not None
        record = self._record
        predicted, actual = test_rows.columns(self.model_, record.panel, record.split, record.origins)
        return output.write(Path(folder), self.model_, report, predicted, actual)

    def save(self, path: str | Path) -> Path:
        """Write the model to one file; it is all that forecasting and streaming need."""
        return archive.save(self.model_, path)

    @classmethod
    def load(cls, path: str | Path) -> Forecaster:
        """A fitted Forecaster from a model file or from the folder that `fit` wrote.

        Raises:
            ModelFileError: the file is missing, damaged, of another program or of a later statecast.
        """
        model = archive.load(path)
        forecaster = cls()
        forecaster.config, forecaster.reasons_ = training.given_settings(model), model.reasons or {}
        forecaster._model = model
        return forecaster


def _axes(source: Any) -> int:
    """How many axes an array has; 0 for any other table."""
    return source.ndim if isinstance(source, np.ndarray) and source.dtype.names is None else 0


def _array(values: np.ndarray, axes: int) -> np.ndarray:
    """Values [..., H, D] of a lone series as an array that is like the one that came in: without D for [T]."""
    return values[..., 0] if axes == 1 else values
