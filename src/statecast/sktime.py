"""A Forecaster and a Classifier as sktime's own, in its frames: one network for all series behind each.

sktime's suite (`sktime.utils.estimator_checks.check_estimator`) passes in full. What sktime would do series by series
is done for all of them at once: a panel or a hierarchy is one table here, so that one network learns from all of it.
An update moves states on, which costs a step a row; nothing is fitted again. Only this file knows sktime, and it is
imported when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from statecast.config import Config
from statecast.data import calendar
from statecast.data.values import lone_series
from statecast.errors import DataError, MissingDependency
from statecast.estimators.classifier import Classifier
from statecast.estimators.forecaster import Forecaster
from statecast.forecast import channels
from statecast.forecast.answer import Forecast
from statecast.interop.adaptors import CLASSIFIER, SMALL, classifier, keep, listed, showing
from statecast.model.trained import Model
from statecast.sequence_config import ClassifierConfig

try:
    from sktime.classification.base import BaseClassifier
    from sktime.forecasting.base import BaseForecaster
except ImportError as error:
    raise MissingDependency.of("sktime", "sktime", "StatecastForecaster") from error

ID, TIME = "series", "time"
MIDDLE = 0.5
# sktime's users judge forecasts by its own splitters, so no row is held out for that; the horizon is that of `fit`.
DEFAULTS: dict[str, Any] = Config().to_dict() | {"horizon": None, "test_size": 0}


class StatecastForecaster(BaseForecaster):  # type: ignore[misc]  # sktime publishes no types
    """A recurrent network that forecasts one or many series, as an sktime forecaster.

    Args:
        settings: by name, those of `statecast.Forecaster`. If the horizon is left out, it is the farthest step of
            the `fh` given to `fit`, or one step; `predict` may ask for more. `test_size` is 0.

    `X` is known ahead: `predict` needs its rows from the first step after the data to the last of `fh`, even if
    `fh` has gaps. `update(update_params=False)` moves the states on; with True the weights learn as well, if the rows
    support it. They learn better from a table that begins with older rows, which `set_config(remember_data=True)`
    keeps. A state does not go back: updates end where the last ended, or later. Steps up to the end of the data are
    refused ("in-sample").

    Attributes:
        forecaster_: the fitted `statecast.Forecaster`.

    Examples:
        >>> from sktime.datasets import load_airline
        >>> from statecast.sktime import StatecastForecaster
        >>> forecaster = StatecastForecaster(max_steps=0).fit(load_airline(), fh=[1, 2, 12])
        >>> forecaster.predict().shape
        (3,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["statecast"],
        "maintainers": ["statecast"],
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:categorical_in_X": True,
        "capability:non_contiguous_X": False,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:update": True,
        "requires-fh-in-fit": False,
        "property:randomness": "derandomized",
        "capability:random_state": True,
    }
    _config: ClassVar[dict[str, Any]] = {"remember_data": False}
    _y = _X = None  # where the configuration says to remember them, sktime does

    @showing(DEFAULTS)
    def __init__(self, **settings: Any) -> None:
        keep(self, Config, DEFAULTS, settings)
        super().__init__()

    def _fit(self, y: Any, X: Any, fh: Any) -> StatecastForecaster:
        settings = self.get_params(deep=False)
        if settings["horizon"] is None:
            settings["horizon"] = 1 if fh is None else max(1, int(_relative(fh, self.cutoff).max()))
        table = _table(y, X)
        roles: dict[str, Any] = {"target": _names("y", y), "known": None if X is None else _names("X", X)}
        fitted = Forecaster(**settings).fit(table, id=ID if ID in table else None, time=TIME, **roles)
        # What a fit leaves beside the model is for reports: an estimator is copied and pickled as its model alone.
        self.forecaster_: Forecaster = Forecaster.of(fitted.model_, "pandas")
        self._shape, self._labels = y.index[:0], _labels(y.index)
        self._ends, self._end = _ends(table, self._model), self._cutoff
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> StatecastForecaster:
        if update_params and self._y is not None:
            y, X = self._y, self._X
        table = _table(y, X if self._model.schema.known else None)
        ends = _ends(table, self._model)
        behind = next((name for name, end in ends.items() if end < self._ends.get(name, end)), None)
        if behind is not None:
            self._set_cutoff(self._end)  # which sktime has moved already
            raise DataError(
                f"{behind}: its rows end before the last that was observed, and a state does not go back: update a "
                "copy of the forecaster as it was then, or fit again"
            )
        self.forecaster_ = Forecaster.of(self._model, "pandas").update(table, learn=update_params)
        self._ends, self._labels, self._end = self._ends | ends, self._labels | _labels(y.index), self._cutoff
        return self

    def _predict(self, fh: Any, X: Any) -> Any:
        return self._frame(fh, X, self._get_columns(), [None])

    def _predict_quantiles(self, fh: Any, X: Any, alpha: list[float]) -> Any:
        return self._frame(fh, X, self._get_columns("predict_quantiles", alpha=alpha), alpha)

    @property
    def _model(self) -> Model:
        return self.forecaster_.model_

    def _frame(self, fh: Any, X: Any, columns: Any, shares: Sequence[float | None]) -> Any:
        """A row for each series and step; for each target the quantiles of `shares`, or the point forecast for None."""
        steps = self._steps(fh)
        future = None if X is None or not self._model.schema.known else _table(None, X)
        levels = sorted({_level(share) for share in shares if share not in (None, MIDDLE)})
        forecast = self.forecaster_.forecast(future=future, horizon=int(steps.max()), levels=levels)
        series = np.arange(len(steps))[:, None]
        parts = [_quantile(forecast, share)[series, steps - 1] for share in shares]  # each [S, K, D]
        content = np.stack(parts, axis=-1).reshape(steps.size, -1)
        lone = self._shape.nlevels == 1
        index = fh.to_absolute_index(self.cutoff) if lone else self._index(forecast.stamps[series, steps - 1])
        return pd.DataFrame(content, index=index, columns=columns)

    def _steps(self, fh: Any) -> Any:
        """[S, K]: how many steps after its last observed row each series is to be forecast.

        A relative horizon counts from where each series ends; the steps of an absolute one are the same for all.
        """
        frequency, last = self._model.schema.frequency, channels.last_times(self._model, self._model.state)
        ids = channels.series_ids(self._model, self._model.state.ids)
        ends = np.array([self._ends[str(name)] for name in ids], np.int64)
        bases = ends if fh.is_relative else np.full_like(ends, max(self._ends.values()))
        return frequency.steps_between(last[:, None], frequency.advance(bases[:, None], _relative(fh, self.cutoff)))

    def _index(self, stamps: Any) -> Any:
        """The index of these times [S, K], like that of the `y` of `fit`."""
        times = self._shape.levels[-1]
        flat = pd.Index(stamps.reshape(-1))
        if isinstance(times, pd.PeriodIndex):
            flat = flat.to_period(times.freq)
        elif isinstance(times, pd.DatetimeIndex) and times.tz is not None:
            flat = flat.tz_localize("UTC").tz_convert(times.tz)
        labels = [self._labels[str(name)] for name in channels.series_ids(self._model, self._model.state.ids)]
        keys = [np.repeat(np.array(level, object), stamps.shape[1]) for level in zip(*labels, strict=True)]
        return pd.MultiIndex.from_arrays([*keys, flat], names=self._shape.names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings of small and fast networks, for sktime's suite."""
        small = {"hidden": 4, "max_steps": 0, "ensemble": 1, "refit": False}
        return [small, {**small, "cell": "minlstm", "loss": "normal", "horizon": 3, "lags": 2, "skip": 4}]


class StatecastClassifier(BaseClassifier):  # type: ignore[misc]  # sktime publishes no types
    """A network that predicts the class of a series, as an sktime classifier.

    Args:
        settings: by name, those of `statecast.Classifier`.

    Series may have any lengths and several channels; NaN is missing.

    Attributes:
        classifier_: the fitted `statecast.Classifier`.

    Examples:
        >>> from sktime.datasets import load_unit_test
        >>> from statecast.sktime import StatecastClassifier
        >>> X, y = load_unit_test()
        >>> StatecastClassifier(readings=("convolutions",)).fit(X, y).predict_proba(X).shape
        (42, 2)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["statecast"],
        "maintainers": ["statecast"],
        "X_inner_mtype": "df-list",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "capability:predict_proba": True,
        "capability:class_weight": True,
        "property:randomness": "derandomized",
        "capability:random_state": True,
    }

    @showing(CLASSIFIER)
    def __init__(self, **settings: Any) -> None:
        keep(self, ClassifierConfig, CLASSIFIER, settings)
        super().__init__()

    def _fit(self, X: Any, y: Any) -> StatecastClassifier:
        self.classifier_: Classifier = classifier(self.get_params(deep=False), X, y)
        return self

    def _predict_proba(self, X: Any) -> Any:
        return self.classifier_.predict_proba(listed(X))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings of small and fast networks, for sktime's suite."""
        return [dict(settings) for settings in SMALL]


def _relative(fh: Any, cutoff: Any) -> Any:
    """[K]: the steps of a horizon after the last time of all series."""
    return np.asarray(fh.to_relative(cutoff).to_numpy(), np.int64)


def _names(role: str, frame: Any) -> list[str]:
    """The columns of sktime's `y` or `X`, which may have any names, as those of one table."""
    return [f"{role} {name}" for name in frame.columns]


def _table(y: Any, X: Any) -> Any:
    """Series, times, targets and covariates as columns; of `X` the rows of `y`, where there is one."""
    index = X.index if y is None else y.index
    times = index.get_level_values(-1)
    columns: dict[str, Any] = {} if index.nlevels == 1 else {ID: _texts(index)}
    columns[TIME] = times.to_timestamp() if isinstance(times, pd.PeriodIndex) else times
    for role, frame in (("y", y), ("X", X)):
        if frame is not None:
            rows = frame.reindex(index)
            columns |= {name: rows.iloc[:, place].array for place, name in enumerate(_names(role, rows))}
    return pd.DataFrame(columns)


def _texts(index: Any) -> list[str]:
    """The series of each row of a panel or hierarchy, as one text."""
    return ["/".join(map(str, row[:-1])) for row in index]


def _labels(index: Any) -> dict[str, tuple[Any, ...]]:
    """The labels of each series, by its text.

    Raises:
        DataError: two series have the same text.
    """
    if index.nlevels == 1:
        return {}
    series = index.droplevel(-1).unique()
    rows = [row if isinstance(row, tuple) else (row,) for row in series]
    labels = {"/".join(map(str, row)): row for row in rows}
    if len(labels) < len(rows):
        raise DataError("the labels of two series are the same as text: expected labels that differ as text")
    return labels


def _ends(table: Any, model: Model) -> dict[str, int]:
    """The last time of each series of a table, as in `Panel.time`; one without a name has that of the model's."""
    if ID not in table:
        table = table.assign(**{ID: lone_series(model.schema.target)})
    schema = model.schema
    last = table.groupby(ID, sort=False)[TIME].max()
    if schema.time_kind == "integer":
        return {name: int(time) for name, time in last.items()}
    instants = {name: int(pd.Timestamp(time).as_unit("us").asm8.astype(np.int64)) for name, time in last.items()}
    return {name: calendar.from_instant(time, schema.frequency, schema.tz) for name, time in instants.items()}


def _level(share: float | None) -> float:
    """The level in percent of the interval that has a quantile at one of its ends."""
    return 100.0 if share is None else round(abs(200 * share - 100), 9)


def _quantile(forecast: Forecast, share: float | None) -> Any:
    """[S, H, D]: the forecast of a quantile. The point forecast is the middle of the intervals, so it is the median."""
    if share is None or share == MIDDLE:
        return forecast.values
    return (forecast.lower if share < MIDDLE else forecast.upper)[_level(share)]
