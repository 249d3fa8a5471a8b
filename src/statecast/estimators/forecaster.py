"""Forecaster: settings in, a trained model out; thin, and shaped like scikit-learn's estimators.

What is asked of a fitted one beyond forecasts stands in parts of its own: `inside`, `whatif`, `notebook`,
`hindsight` and `exporting`.
Nothing is worked out here: tables are read by `data`, networks are trained by `train`, and the rest is done by
`forecast` and `report`. Training rooms are imported when `fit` is called, so that a saved model serves without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statecast.config import Config
from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.results import Native, as_array, axes_of
from statecast.data.tabular import table
from statecast.errors import NotFitted, SettingError
from statecast.estimators import examination, training, updating
from statecast.estimators.exporting import Export
from statecast.estimators.hindsight import Hindsight
from statecast.estimators.inside import Inside
from statecast.estimators.keywords import ForecasterKeywords
from statecast.estimators.notebook import Notebook
from statecast.estimators.updating import Learning, Update
from statecast.forecast.answer import Forecast
from statecast.forecast.predict import forecast
from statecast.forecast.sample import Samples, sample
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.report.recipe import given_settings

if TYPE_CHECKING:
    from statecast.forecast.hindcast.backtest import Backtest
    from statecast.report.summary import Report

Names = str | Sequence[str] | None


class Forecaster(Inside, Notebook, Hindsight, Export, ForecasterKeywords):
    """A recurrent network that forecasts the next values of one or many series.

    Args:
        settings: by name; `statecast settings` says what each means, and what is left out is chosen from the data.

    Raises:
        SettingError: a setting is unknown or out of range.

    Attributes:
        config: the settings as given; those that are left to the data are None.
        model_: the trained model; its `config` has the values that were chosen.
        reasons_: for each setting chosen from the data, the reason; also what was concluded from the form of the table.
        evaluation_: the scores on the test rows, next to those of the baselines.
        history_: the course of training as a table.
        update_: the outcome of the last update.

    Example:
        >>> model = sc.Forecaster(horizon=12, max_steps=0).fit(table, target="passengers", time="month")
        >>> model.predict().columns[:3]
        ['unique_id', 'month', 'statecast']
    """

    def _accept(self, settings: dict[str, Any]) -> None:
        self.config: Config = Config.of(settings)
        self.reasons_: dict[str, str] = {}
        self._record, self._model, self._native, self._axes = None, None, "polars", 0

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings as given, by name.

        Example:
            >>> model.get_params()["horizon"]
            12
        """
        return self.config.to_dict()

    def set_params(self, **settings: Any) -> Forecaster:
        """Replace settings; the model, if there is one, stays until the next fit.

        Example:
            >>> sc.Forecaster(horizon=12).set_params(cell="gru")
            Forecaster(cell='gru', horizon=12)
        """
        self.config = self.config.with_(**settings)
        return self

    def __repr__(self) -> str:
        return f"Forecaster({', '.join(f'{name}={value!r}' for name, value in self.config.changed().items())})"

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
        weight: str | None = None,
        watch: Callable[[Any], None] | None = None,
        verbose: bool = False,
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
            static: covariates that stay the same throughout a series.
            freq: the length of a step, such as "1h"; inferred if None.
            weight: the column that says how much each row counts in training; all alike if None.
            watch: called with the progress from time to time, see `statecast.train.progress.Progress`.
            verbose: show on standard error which phase is running, its losses, and about how much time is left.
            checkpoint: a folder for checkpoints; none are written if None.
            resume: continue from the checkpoint in that folder.

        Returns:
            This object, fitted.

        Raises:
            DataError: the table cannot be used.
            SettingError: a setting does not suit the table.
            TrainingError: the loss is not finite.

        Example:
            >>> table.write_csv("air.csv")
            >>> model = sc.Forecaster(horizon=12, max_steps=0).fit("air.csv", target="passengers", time="month")
            >>> model.model_.config.season, model.reasons_["season"]
            (12, 'rows per season at frequency 1mo')
        """
        train, rows = training.room("fit"), table.read(source)
        roles = Roles.of(target, id, time, past, known, static, freq, weight)
        panel, schema = checks.panel(rows, roles, Merging.of(self.config), self.config.holidays)
        with training.watching(watch, verbose) as tell:
            outcome = train.fit(self.config, schema, panel, tell, Path(checkpoint) if checkpoint else None, resume)
            self._model, self._record = training.assembled(outcome, panel, rows.reasons, tell)
        self._native, self._axes, self.reasons_ = rows.native, axes_of(source), self._model.reasons or {}
        return self

    def update(
        self,
        source: Any,
        learn: bool = False,
        *,
        steps: int | None = None,
        learning_rate: float | None = None,
        watch: Callable[[Any], None] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Forecaster:
        """Take in rows that have arrived since: each series continues from its last row.

        Every row counts once: rows up to the last one that a series has observed are skipped, so a table may begin
        with known rows. A new series begins with its first row. If rows have no times, all of them are new. A report
        describes a fit, so there is none after an update.

        With `learn` the weights learn from the table as well, and keep what they gain if the newest rows, which are
        held out, confirm it by the same test as in a fit. The table should then begin with rows before the new ones.

        Args:
            source: a table like that of `fit`.
            learn: let the weights learn as well.
            steps: the most training steps to make.
            learning_rate: the initial rate; half that of the fit if None.
            watch: as in `fit`.
            checkpoint: as in `fit`.
            resume: as in `fit`.

        Returns:
            This object; `update_` says what came of the rows.

        Raises:
            DataError: the table cannot be used, or its rows do not go on where a series ended.
            SettingError: steps or learning rate are out of range, or given although nothing is to be learned.

        Example:
            >>> wave = np.sin(np.arange(240) / 4)
            >>> model = sc.Forecaster(horizon=4, max_steps=0).fit(wave[:200])
            >>> model.update(wave[200:]).update_.rows
            40
        """
        learning = Learning(learn, steps, learning_rate, watch, Path(checkpoint) if checkpoint else None, resume)
        self.update_: Update
        self._model, self.update_ = updating.updated(self.model_, table.read(source), learning)
        self.reasons_ = self._model.reasons or {}
        self._record = None
        return self

    def tested(self) -> Forecaster:
        """The network that was scored, which has not learned from the test rows, as a separate Forecaster.

        With `refit = true` the network that forecasts has learned from every row since.

        Raises:
            NotFitted: this object was loaded, not fitted: a file holds only the network that forecasts.

        Example:
            >>> model.tested().backtest(table, windows=2).height
            24
        """
        if self._record is None:
            raise NotFitted("a file holds the network that forecasts, not the one that was tested: call fit first")
        forecaster = copy(self)
        forecaster._model = replace(self._record.tested, reasons=self.reasons_)
        return forecaster

    def predict(
        self,
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        future: Any = None,
    ) -> Any:
        """Forecast, in the form that the data came in: a frame of the same library, a mapping, or an array.

        See `forecast` for the arguments; it gives bounds and times for an array, too.

        Returns:
            For an array [T] or [T, D] the point forecasts, an array [H] or [H, D]. Otherwise the columns id, time,
            `statecast`, `statecast-lo-80`, `statecast-hi-80`, …, with a row for each series and step.

        Raises:
            SettingError: levels for an array, which has no place for bounds.

        Example:
            >>> model.predict(horizon=3, levels=[90]).columns
            ['unique_id', 'month', 'statecast', 'statecast-lo-90', 'statecast-hi-90']
        """
        rows, axes = None if source is None else table.read(source), self._axes_of(source)
        if axes and levels is not None:
            raise SettingError("levels: predict gives only an array of points; forecast(levels=…) has the bounds")
        result = self.forecast(rows, horizon=horizon, levels=levels, future=future)
        return as_array(result.values[0], axes) if axes else self._frame(result.columns(), rows)

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
            source: a table like that of `fit`; each series is forecast from its rows there alone. If None, the series
                of the training table are forecast from its end. The same holds for a table without any observed target,
                whose rows are then the covariates known ahead.
            horizon: steps; beyond the network's own, its forecasts are fed back as inputs.
            levels: of the intervals, in percent.
            future: a table of the covariates known ahead.

        Raises:
            NotFitted: before `fit`.
            DataError: the table cannot be used, or known covariates are missing.
            SettingError: horizon or levels are out of range.

        Example:
            >>> forecast = model.forecast(horizon=3)
            >>> forecast.values.shape, str(forecast.stamps[0, 0])
            ((1, 3, 1), '1961-01-01')
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
            columns id, time, sample_id (a number from 0) and statecast; a row for each series, path and step.

        Example:
            >>> paths = model.sample(100, horizon=12)
            >>> paths.columns, paths.height
            (['unique_id', 'month', 'sample_id', 'statecast'], 1200)
        """
        rows, axes = None if source is None else table.read(source), self._axes_of(source)
        paths = self.samples(n, rows, horizon=horizon, future=future, seed=seed)
        return as_array(paths.values[0], axes) if axes else self._frame(paths.columns(), rows)

    def samples(
        self, n: int, source: Any = None, *, horizon: int | None = None, future: Any = None, seed: int = 0
    ) -> Samples:
        """`sample` with its values as an array [S, N, H, D].

        Example:
            >>> model.samples(100, horizon=12).values.sum(axis=2).shape  # of each path the year's sum
            (1, 100, 1)
        """
        state, ahead = self._origin(source, future)
        return sample(self.model_, n, state, horizon, ahead, seed)

    def backtest(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Any:
        """Forecast from the last origins of a table, next to what happened and what the baselines forecast.

        After `fit`, if the network has learned from a row that is forecast here, the one that was tested takes its
        place: see `tested`. A loaded model has only the network that forecasts.

        Args:
            source: a table like that of `fit`.
            windows: the number of origins.
            step: rows between two of them; the horizon if None.
            refit: train again on the rows before each origin.

        Returns:
            A frame, or a mapping for an array: id, time, cutoff, y, statecast and its bounds, and a column for each
            baseline.

        Raises:
            DataError: too few rows.

        Example:
            >>> frame = model.backtest(table, windows=2)
            >>> frame.columns[:5], frame.height
            (['unique_id', 'month', 'cutoff', 'y', 'statecast'], 24)
        """
        rows = table.read(source)
        return self._frame(self.backtested(rows, windows=windows, step=step, refit=refit).columns(), rows)

    def backtested(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Backtest:
        """`backtest` with its scores: `columns()` are those of the frame, `evaluation()` is like `evaluation_`.

        Example:
            >>> scores = model.backtested(table, windows=2).evaluation()
            >>> scores["statecast"]["mae"] < scores["seasonal_naive"]["mae"]
            True
        """
        from statecast.forecast.hindcast.backtest import backtest

        model, panel = self.model_, examination.examined(self.model_, source)
        anew = partial(training.anew, self.config, model.schema) if refit else None
        return backtest(model, panel, windows, step, anew, self._record.tested if self._record else None)

    def stream(self, *, empty: bool = False) -> Stream:
        """A live stream, in which each series continues where the table ended; with `empty` it has no series yet.

        Example:
            >>> model.stream()
            <Stream: passengers of 1 series: 'passengers'; 12 steps ahead>
            >>> model.stream(empty=True).ids
            ()
        """
        return Stream(self.model_, State.empty(self.model_.layout, self.model_.dtype) if empty else None)

    def report(self, path: str | Path | None = None, *, title: str = "") -> Report:
        """What the pictures and the page show of the fit.

        Args:
            path: of an HTML page to write, with all pictures in it; nothing is written if None.
            title: of the page.

        Raises:
            NotFitted: this object was loaded, not fitted: the table is not at hand.
            MissingDependency: a page is to be written, and matplotlib is not installed.
            OutputError: the page cannot be written.

        Example:
            >>> model.report().title
            'Forecast of passengers'
        """
        if self._record is None:
            raise NotFitted("a report needs the table that the model was fitted on: call fit(table, target=…) first")
        title = title or f"Forecast of {', '.join(self.model_.schema.target[:4])}"
        report = self._record.report(title, self.model_, self.config.changed())
        if path is not None:
            from statecast.report.page import write_page

            write_page(report, path)
        return report

    def write(self, folder: str | Path, title: str = "", report: Report | None = None) -> list[Path]:
        """Write the model, settings, scores, test rows, pictures and the report into a folder.

        Args:
            folder: created if it does not exist.
            title: of the page.
            report: what the page shows; `report(title=title)` if None.

        Raises:
            OutputError: a file cannot be written.

        Example:
            >>> [file.name for file in model.write("air")][:3]
            ['model.safetensors', 'config.toml', 'schema.json']
        """
        usual = self.report(title=title)
        assert self._record is not None
        return self._record.write(Path(folder), self.model_, report or usual)

    def save(self, path: str | Path) -> Path:
        """Write the model to one file; it is all that forecasting and streaming need.

        Example:
            >>> model.save("air.safetensors").name
            'air.safetensors'
        """
        return archive.save(self.model_, path)

    @classmethod
    def load(cls, path: str | Path) -> Forecaster:
        """A fitted Forecaster from a model file or from the folder that `fit` wrote.

        Raises:
            ModelFileError: the file is missing, damaged, of another program or of a later statecast.

        Example:
            >>> again = sc.Forecaster.load(model.save("air.safetensors"))
            >>> bool(np.all(again.forecast().values == model.forecast().values))
            True
        """
        return cls.of(archive.load(path))

    @classmethod
    def of(cls, model: Model, native: Native = "polars", axes: int = 0) -> Forecaster:
        """A fitted Forecaster with this model, which returns its results in the form that `native` names.

        Example:
            >>> sc.Forecaster.of(model.model_, "pandas").predict(horizon=1).shape
            (1, 7)
        """
        forecaster = cls()
        forecaster.config, forecaster._model = given_settings(model), model
        forecaster.reasons_, forecaster._native, forecaster._axes = model.reasons or {}, native, axes
        return forecaster
