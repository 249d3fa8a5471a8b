"""The jobs: what `Forecaster.forecast`, `backtest`, `score` and `fit` do with a table, for the rows of a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from statecast.cluster.partition import spellings
from statecast.cluster.work import Job, Result, in_one_thread
from statecast.data.results import to_native
from statecast.data.tabular.table import read
from statecast.errors import DataError, TooFewRows, nearest
from statecast.estimators import Forecaster, examination
from statecast.estimators.start import origin_of
from statecast.forecast.hindcast.backtest import backtest
from statecast.forecast.predict import forecast
from statecast.forecast.scores.comparison import ForecastPairs, ScoreSums
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model

ORIGIN = "the rows of a bucket"
CUTOFF = "cutoff"  # the column of the times of origins
SCORES = ("mae", "rmse", "mase")  # of each group's model
MODELS = "models.parquet"  # of the folder that `Fitting` fills: its groups, and the files of their models


@dataclass(frozen=True)
class Forecasting:
    """The next values of every series.

    Attributes:
        group: the column of ids.
        horizon: see `Forecaster.forecast`.
        levels: likewise.
    """

    group: str | None
    horizon: int | None
    levels: tuple[float, ...] | None
    apart = False

    def run(self, rows: pa.Table, future: pa.Table | None, model: Model | None) -> Result:
        """See `Job`."""
        assert model is not None
        state, ahead = origin_of(model, read(rows, ORIGIN), future, None)
        columns = forecast(model, state, self.horizon, self.levels, ahead).columns()
        return _result(columns, model)

    def schema(self, model: Model) -> pa.Schema:
        """See `Job`."""
        nobody = State.empty(model.layout, model.dtype)
        return columns_of(model, forecast(model, nobody, self.horizon, self.levels, []).columns())


@dataclass(frozen=True)
class Backtesting:
    """Forecasts from past rows of every series, beside what came and the baselines.

    Attributes:
        group: the column of ids.
        windows: see `Forecaster.backtest`.
        step: likewise.
    """

    group: str | None
    windows: int
    step: int | None
    apart = False

    def run(self, rows: pa.Table, future: pa.Table | None, model: Model | None) -> Result:
        """See `Job`."""
        assert model is not None
        panel = examination.examined(model, read(rows, ORIGIN))
        try:
            return _result(backtest(model, panel, self.windows, self.step, some=True).columns(), model)
        except TooFewRows:  # beside longer series these would take no part either
            return Result(pa.table({}), 0)

    def schema(self, model: Model) -> pa.Schema:
        """See `Job`."""
        keys = model.schema.id_column, model.schema.time_column, CUTOFF
        return columns_of(model, (*keys, *_no_pairs(model).columns()))


@dataclass(frozen=True)
class Scoring:
    """Scores of every series.

    Attributes:
        group: the column of ids.
    """

    group: str | None
    apart = False

    def run(self, rows: pa.Table, future: pa.Table | None, model: Model | None) -> Result:
        """See `Job`."""
        assert model is not None
        score_sums = examination.score_sums(model, read(rows, ORIGIN))
        lines = [_line(model, name, sums) for name, sums in score_sums.items()]
        return Result(pa.Table.from_pylist(lines, self.schema(model)), len(lines), score_sums)

    def schema(self, model: Model) -> pa.Schema:
        """See `Job`."""
        sums = ScoreSums.empty(len(model.schema.target), model.network.head.horizon)
        names = _line(model, "", sums.add(_no_pairs(model)))
        return columns_of(model, names, targets=1)


@dataclass(frozen=True)
class Grouped:
    """A job for each group of series, with a model of its own, see `Fitting`.

    Attributes:
        group: the column whose values make the groups.
        job: what is done with each.
        models: the files of the models, by the values of that column.
    """

    group: str
    job: Job
    models: Mapping[Any, Path]

    apart = True

    def run(self, rows: pa.Table, future: pa.Table | None, model: Model | None) -> Result:
        """See `Job`; the rows are of one group."""
        (name,) = spellings(rows, self.group)
        if name not in self.models:
            raise DataError(f"no model was fitted for it; {nearest(name, self.models, 'is it')}")
        return self.job.run(rows, future, in_one_thread(archive.load(self.models[name])))

    def schema(self, model: Model) -> pa.Schema:
        """See `Job`."""
        return self.job.schema(model)


@dataclass(frozen=True)
class Fitting:
    """A model for each group of series, in a file of its own.

    Attributes:
        group: the column whose values make the groups.
        out: folder of the models.
        settings: of each `Forecaster`.
        roles: of its `fit`.
    """

    group: str
    out: Path
    settings: Mapping[str, Any]
    roles: Mapping[str, Any]

    apart = True

    def run(self, rows: pa.Table, future: pa.Table | None, model: Model | None) -> Result:
        """See `Job`; the rows are of one group."""
        (name,) = spellings(rows, self.group)
        if name is None or name == "":
            raise DataError(f"{rows.num_rows:,} rows name no group: fill in the column, or leave the rows out")
        forecaster = Forecaster(**{"threads": 1, **self.settings})
        table = rows.drop_columns([self.group]) if self._only_groups else rows
        forecaster.fit(read(table, ORIGIN), **self.roles)
        file = forecaster.save(self.out / f"{quote(str(name), safe=' ')}.safetensors")
        scores = forecaster.evaluation_.get("statecast", {})
        line = {self.group: name, "rows": rows.num_rows, "model": file.name}
        return Result(pa.Table.from_pylist([line | {key: scores.get(key) for key in SCORES}], self.schema(None)), 1)

    def schema(self, model: Model | None) -> pa.Schema:
        """See `Job`."""
        scores = [(name, pa.float64()) for name in SCORES]
        return pa.schema([(self.group, pa.string()), ("rows", pa.int64()), ("model", pa.string()), *scores])

    @property
    def _only_groups(self) -> bool:
        """Whether the column says nothing but the group; else it is one of the columns that are learned from."""
        named = [self.roles.get(role) or () for role in ("target", "id", "time", "past", "known", "static", "weight")]
        return not any(self.group == name or (self.group in name and not isinstance(name, str)) for name in named)


def _result(columns: Mapping[str, np.ndarray], model: Model) -> Result:
    table = to_native(columns, "pyarrow", model.schema.tz)
    return Result(table, len(np.unique(columns[model.schema.id_column].astype(str))))


def columns_of(model: Model, names: Iterable[str], targets: int | None = None) -> pa.Schema:
    """The types of columns of a result, by their names.

    Args:
        model: whose result.
        names: of the columns.
        targets: how many targets ids tell apart; all of the model if None.
    """
    schema, alone = model.schema, (targets or len(model.schema.target)) == 1
    times = {"date": pa.date32(), "datetime": pa.timestamp("us", schema.tz and "UTC")}
    time = times.get(schema.time_kind, pa.int64())
    name = pa.int64() if alone and schema.id_kind == "integer" else pa.string()
    keys = {schema.id_column: name, schema.time_column: time, CUTOFF: time}
    return pa.schema([(column, keys.get(column, pa.float64())) for column in names])


def _no_pairs(model: Model) -> ForecastPairs:
    """What a model's forecasts from no origin are called."""
    return ForecastPairs.none(len(model.schema.target), model.network.head.horizon, model.config.levels)


def _line(model: Model, name: str | int, sums: Any) -> dict[str, Any]:
    """The scores of a series, as a row of a table."""
    scores = examination.summary(sums.evaluation(model.schema.target, 1))
    numbers = {key: value for key, value in scores.items() if isinstance(value, (int, float)) or value is None}
    skill: Mapping[str, Any] = scores["skill"]
    return {model.schema.id_column: name, **numbers, **{f"skill-{key}": value for key, value in skill.items()}}
