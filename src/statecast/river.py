"""A fitted model as a River forecaster: `learn_one` takes a value, `forecast` looks ahead, and both cost one step.

River learns from one value at a time and never looks back. So does a stream: what `learn_one` moves on is the state,
which has the same size after a million values as after one; the weights are those of the fit. Only this file knows
River, and it is imported when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statecast.errors import MissingDependency, SettingError
from statecast.estimators import forecaster as estimator
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model

try:
    from river.time_series.base import Forecaster as Base
except ImportError as error:
    raise MissingDependency.of("river", "river", "statecast.river.Forecaster") from error


class RiverForecaster(Base):  # type: ignore[misc]  # River publishes no types that mypy reads
    """A live stream of one series, as a River forecaster.

    Args:
        model: a fitted `statecast.Forecaster`, or the file or folder of one. It must forecast a single target, without
            covariates known ahead.
        series: which of the series that the model remembers to continue; a new one if None.
        start: the time of a new series' first value, such as "2026-11-29 08:00"; left out if rows are counted.

    `x` holds the covariates of the past by name: those that the model does not know are ignored, and absent
    ones count as missing. A clone starts where this one started.

    Raises:
        SettingError: the model has several targets, covariates known ahead or of a series, or does not know the series.
        ModelFileError: the file cannot be used.

    Example:
        >>> from statecast.river import RiverForecaster
        >>> forecaster = RiverForecaster(model, series="passengers")
        >>> forecaster.learn_one(450.0)
        >>> len(forecaster.forecast(horizon=3))
        3
    """

    def __init__(
        self, model: estimator.Forecaster | str | Path, series: str | int | None = None, start: Any = None
    ) -> None:
        self.model: estimator.Forecaster | str | Path = model
        self.series: str | int | None = series
        self.start: Any = start
        fitted = model.model_ if isinstance(model, estimator.Forecaster) else archive.load(model)
        _require_lone(fitted)
        if series is None and start is None and fitted.schema.time_kind != "row":
            raise SettingError("the model's rows have times: give the series that goes on, or the start of a new one")
        self._past = [item.name for item in fitted.schema.past]
        self._stream = Stream(fitted, State.empty(fitted.layout, fitted.dtype))
        if series is not None:
            self._stream = Stream(fitted).take([series])
        self._id = series if series is not None else 0 if fitted.schema.id_kind == "integer" else "river"
        self._next = start  # the time of the next value, where it does not follow from the one before

    def learn_one(self, y: float, x: dict[str, Any] | None = None) -> None:
        """Take the next value, one step after the last; None or NaN if it is missing.

        Args:
            y: the value.
            x: the covariates of the past, by name.

        Raises:
            DataError: a value cannot be used. Then nothing has changed.

        Example:
            >>> from statecast.river import RiverForecaster
            >>> forecaster = RiverForecaster(model, series="passengers")
            >>> forecaster.learn_one(450.0)
        """
        row = {name: (x or {}).get(name) for name in self._past} if self._past else None
        self._stream.observe(self._id, y, self._next, past=row)
        self._next = None

    def forecast(self, horizon: int, xs: list[dict[str, Any]] | None = None) -> list[float]:
        """The next values; the state does not change.

        Args:
            horizon: steps; beyond the network's own, its forecasts are fed back as inputs.
            xs: ignored, since covariates of the past are not known ahead.

        Raises:
            UnknownSeries: nothing has been learned of a new series.
            SettingError: the horizon is out of range.

        Example:
            >>> from statecast.river import RiverForecaster
            >>> len(RiverForecaster(model, series="passengers").forecast(horizon=24))
            24
        """
        values: list[float] = self._stream.forecast([self._id], horizon).values[0, :, 0].tolist()
        return values

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        """The arguments that River's own checks make one with: a small network, fitted on a wave."""
        import numpy as np

        settings: dict[str, Any] = {"hidden": 4, "max_steps": 0, "ensemble": 1, "horizon": 2}
        yield {"model": estimator.Forecaster(**settings).fit(np.sin(np.arange(60) / 3))}


Forecaster = RiverForecaster


def _require_lone(model: Model) -> None:
    """Refuse a model that needs more than a value and its covariates, step by step."""
    schema = model.schema
    if len(schema.target) > 1:
        raise SettingError(
            f"River learns one value at a time, and the model has the targets {', '.join(schema.target)}"
        )
    for role, items in (("known ahead", schema.known), ("of a series", schema.static)):
        if items:
            names = ", ".join(item.name for item in items)
            raise SettingError(f"River passes covariates one step at a time, and the model has some {role}: {names}")
