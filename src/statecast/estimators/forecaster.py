"""Forecaster: settings in, a trained model out; thin, and shaped like scikit-learn's estimators.

Nothing is worked out here: tables are read by `data`, networks trained by `train`, everything after that comes from
`forecast` and `report`. Training rooms are imported when `fit` is called, so that a saved model serves without them.
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
from statecast.errors import DataError, NotFitted
from statecast.estimators.keywords import ForecasterKeywords
from statecast.estimators.start import begun
from statecast.forecast import assemble
from statecast.forecast import evaluate as scoring
from statecast.forecast.predict import Forecast, Future, forecast
from statecast.forecast.roll import Origins
from statecast.forecast.sample import Samples, sample
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import Layout, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from statecast.data.segments import Split
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
        config: the settings as given.
        model_: the trained model.
        reasons_: for each setting chosen from the data, why; and what looking at the table told.
        evaluation_: the scores on the test rows, beside the baselines'.
    """

    def _accept(self, settings: dict[str, Any]) -> None:
        self.config = Config.of(settings)
        self.reasons_: dict[str, str] = {}
        self._fit: _Fit | None = None
        self._model: Model | None = None
        self._native: Native = "polars"

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
        """The scores on the test rows, the network's and every baseline's; see `metrics.evaluation`."""
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
            target: the columns to forecast; may be left out where only one column can be meant.
            id: the column that names the series.
            time: the column of times; the only column (or index) of dates where None; "" if every row is a step.
            past: covariates known up to now.
            known: covariates known ahead.
            static: covariates of a series.
            freq: what one step is, such as "1h"; inferred where None.
            watch: told of the progress, see `statecast.train.progress.Report`.
            checkpoint: a folder for checkpoints; none are written where None.
            resume: go on from the checkpoint there.

        Returns:
            This object, fitted.

        Raises:
            DataError: the table cannot be used.
            SettingError: a setting does not suit it.
            TrainingError: the loss is not finite.
        """
        train = _training()
        read = table.read(source)
        roles = Roles.of(target, id, time, past, known, static, freq)
        panel, schema = checks.panel(read, roles, Merging.of(self.config))
        outcome = train.fit(self.config, schema, panel, watch, Path(checkpoint) if checkpoint else None, resume)
        model, origins = _assembled(outcome, panel)
        self._native, self.reasons_ = read.native, {**read.reasons, **(model.reasons or {})}
        self._model = replace(model, reasons=self.reasons_)
        self._fit = _Fit(panel, outcome.base_parts, origins)
        return self

    def predict(
        self,
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        future: Any = None,
    ) -> Any:
        """Forecast as a frame of the kind that came in; see `forecast` for the arguments.

        Returns:
            Columns id, time, `statecast`, `statecast-lo-80`, `statecast-hi-80`, …; a row for each series and step.
        """
        native = self._native if source is None else table.read(source).native
        return to_native(
            self.forecast(source, horizon=horizon, levels=levels, future=future).columns(),
            native,
            self.model_.schema.tz,
        )

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
            source: a table like that of `fit`, from whose rows alone each series is forecast; the series of the
                training table, from where it ended, where None. A table without any observed target tells the
                covariates known ahead of those series.
            horizon: steps; beyond the network's own its forecasts feed on themselves.
            levels: of the intervals, in percent.
            future: a table of the covariates known ahead.

        Raises:
            NotFitted: before `fit`.
            DataError: the table cannot be used, or known covariates are missing.
            SettingError: horizon or levels are out of range.
        """
        state, ahead = self._begun(source, future)
        return forecast(self.model_, state, horizon, levels, ahead)

    def sample(
        self, n: int, source: Any = None, *, horizon: int | None = None, future: Any = None, seed: int = 0
    ) -> Any:
        """Sample paths of every series: futures whose steps hang together; see `forecast` for the arguments.

        Args:
            n: paths of each series.
            source: as in `forecast`.
            horizon: as in `forecast`.
            future: as in `forecast`.
            seed: the same seed gives the same paths.

        Returns:
            A frame of the kind that came in: id, time, sample (a number from 0 on) and statecast; a row for each
            series, path and step.
        """
        native = self._native if source is None else table.read(source).native
        found = self.samples(n, source, horizon=horizon, future=future, seed=seed)
        return to_native(found.columns(), native, self.model_.schema.tz)

    def samples(
        self, n: int, source: Any = None, *, horizon: int | None = None, future: Any = None, seed: int = 0
    ) -> Samples:
        """`sample` with its values as an array [S, N, H, D]."""
        state, ahead = self._begun(source, future)
        return sample(self.model_, n, state, horizon, ahead, seed)

    def _begun(self, source: Any, future: Any) -> tuple[State, Future | None]:
        """The state to forecast from, and the covariates known ahead of it; see `asked.begun`."""
        return begun(self.model_, source, future, self._fit.panel if self._fit else None)

    def backtest(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Any:
        """Forecasts from the last origins of a table beside what happened and the baselines.

        Args:
            source: a table like that of `fit`.
            windows: number of origins.
            step: rows between two of them; the horizon where None.
            refit: train anew on the rows before each origin.

        Returns:
            A frame: id, time, cutoff, y, statecast and its bounds, and a column for each baseline.

        Raises:
            DataError: too few rows.
        """
        read = table.read(source)
        columns = self.backtested(read, windows=windows, step=step, refit=refit).columns()
        return to_native(columns, read.native, self.model_.schema.tz)

    def backtested(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Backtest:
        """`backtest` with its scores: `columns()` are those of the frame, `evaluation()` is like `evaluation_`."""
        from statecast.forecast.backtest import backtest

        model = self.model_
        panel = checks.panel_like(table.read(source), model.schema, False, Merging.of(model.config))
        return backtest(model, panel, windows=windows, step=step, refit=self._refit if refit else None)

    def _refit(self, panel: Panel) -> Model:
        """The same settings trained on other rows, all of them for training and validation."""
        train = _training()
        config = self.config.with_(test_size=0)
        schema = self.model_.schema
        return _assembled(train.fit(config, schema, panel), panel)[0]

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
        native = self._native if source is None else table.read(source).native
        return to_native(self.explanation(source, seed=seed).columns(), native, None)

    def explanation(self, source: Any = None, *, seed: int = 0) -> Explanation:
        """What `explain` puts into a frame, and the gates of the recurrent layers over time."""
        from statecast.forecast.explain import explain

        model = self.model_
        if source is not None:
            panel = checks.panel_like(table.read(source), model.schema, False, Merging.of(model.config))
            begin = self._judged(panel)
        elif self._fit is not None:
            panel, begin = self._fit.panel.cut(self._fit.parts.val), self._fit.parts.train
        else:
            raise NotFitted("a loaded model has no table at hand: call explain(table)")
        found = explain(model, panel, begin, seed)
        if found is None:
            what = "no validation rows (val_size)" if source is None else "too few rows"
            raise DataError(f"there is nothing to judge: the table has {what}; give explain a table with more rows")
        return found

    def _judged(self, panel: Panel) -> np.ndarray:
        """Rows of each series before the first that is judged: as many as the network looks back, half at most."""
        least = max(self.model_.network.front.ring, 2)
        return np.asarray(np.minimum(least, np.maximum(panel.lengths // 2, 1)))

    def stream(self, *, empty: bool = False) -> Stream:
        """A live stream: each series goes on where the table ended, or with `empty` none is known yet."""
        return Stream(self.model_, State.empty(self.model_.layout, self.model_.dtype) if empty else None)

    def report(self, title: str = "") -> Report:
        """What the fit has to tell, for pictures and pages.

        Raises:
            NotFitted: this object was loaded, not fitted: the table is not at hand.
        """
        from statecast.report import collect

        if self._fit is None:
            raise NotFitted("a report needs the table that the model was fitted on: call fit(table, target=…) first")
        title = title or f"Forecast of {', '.join(self.model_.schema.target[:4])}"
        if title not in self._fit.told:  # the pages and the terminal ask for the same
            fit = self._fit
            self._fit.told[title] = collect.report(
                title, self.model_, fit.panel, fit.parts, fit.origins, self.reasons_, self.config.changed()
            )
        return self._fit.told[title]

    def write(self, folder: str | Path, title: str = "") -> list[Path]:
        """Write model, settings, scores, tested rows, pictures and the report page into a folder.

        Raises:
            OutputError: a file cannot be written.
        """
        from statecast.report import folder as output
        from statecast.report import test_rows

        report = self.report(title)
        assert self._fit is not None
        predicted, actual = test_rows.columns(self.model_, self._fit.panel, self._fit.parts, self._fit.origins)
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
        found = cls()
        found.config, found._model, found.reasons_ = model.config, model, model.reasons or {}
        return found


class _Fit:
    """What is kept of a fit beside the model: the table, its split and the forecasts of its test rows."""

    def __init__(self, panel: Panel, parts: Split, origins: Origins) -> None:
        self.panel, self.parts, self.origins = panel, parts, origins
        self.told: dict[str, Report] = {}


def _training() -> Any:
    """The training room, whose extra may not be installed."""
    from statecast.errors import MissingDependency

    try:
        from statecast.train import fit
    except ImportError as error:
        if isinstance(error, MissingDependency) or (error.name or "").split(".")[0] not in ("jax", "jaxlib", "optax"):
            raise
        raise MissingDependency.of(error.name or "jax", "train", "training") from error
    return fit


def _assembled(outcome: Any, panel: Panel) -> tuple[Model, Origins]:
    """The model that a training `Outcome` makes, and its forecasts at the test origins."""
    config, schema = outcome.config, outcome.schema
    weights, constants = outcome.fitted.weights, outcome.prepared.constants
    empty = State.empty(Layout(()), np.dtype(config.dtype))
    model = Model(config, schema, outcome.network, weights, constants, empty, None, {}, outcome.fitted.history)
    return assemble.assemble(replace(model, reasons=outcome.reasons), panel, outcome.base_parts, outcome.rows)
