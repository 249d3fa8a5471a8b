"""statecast.river by River's own checks, and what they do not ask: a stream's numbers, and a state of one size."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("river", reason="River is in an environment of its own: make interop", exc_type=ImportError)

from forecast_cases import model
from river import checks, evaluate, metrics

import statecast as sc
from statecast.errors import SettingError, UnknownSeries
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.river import Forecaster


def fitted(**settings: Any) -> sc.Forecaster:
    defaults: dict[str, Any] = {"freq": "1", "time_kind": "row", "id": None}
    return sc.Forecaster.of(model(**(defaults | settings)))


@pytest.mark.parametrize("params", list(Forecaster._unit_test_params()))
def test_the_checks_of_river_pass(params: dict[str, Any]) -> None:
    forecaster = Forecaster(**params)
    assert len(list(checks.yield_checks(forecaster))) >= 15
    checks.check_estimator(forecaster)


def test_forecasts_are_those_of_a_stream() -> None:
    source = fitted()
    forecaster, stream = Forecaster(source), source.stream(empty=True)
    for value in [1.0, 1.5, None, 2.5, math.nan, 3.0]:
        forecaster.learn_one(value)
        answer = stream.observe("a", value)
        np.testing.assert_array_equal(forecaster.forecast(3), answer.values[:, 0])
    assert len(forecaster.forecast(7)) == 7


def test_the_state_keeps_its_size() -> None:
    forecaster = Forecaster(fitted())
    forecaster.learn_one(0.0)
    size = len(pickle.dumps(forecaster))
    for value in np.sin(np.arange(500)):
        forecaster.learn_one(float(value))
    assert len(pickle.dumps(forecaster)) == size


def test_copies_go_on_and_clones_start_anew(tmp_path: Path) -> None:
    forecaster = Forecaster(fitted())
    for value in (1.0, 2.0, 4.0):
        forecaster.learn_one(value)
    for copied in (copy.deepcopy(forecaster), pickle.loads(pickle.dumps(forecaster))):
        copied.learn_one(5.0)
        assert copied.forecast(3) != forecaster.forecast(3)
    with pytest.raises(UnknownSeries):
        forecaster.clone().forecast(1)


def test_a_series_of_the_model_goes_on(tmp_path: Path) -> None:
    trained = model(freq="1h", id="site")
    stream = Stream(trained, State.empty(trained.layout, trained.dtype))
    stream.observe("a", 1.0, "2026-03-01 10:00")
    stream.observe("b", 9.0, "2026-03-01 10:00")
    path = stream.save(tmp_path / "stream.safetensors")
    forecaster = Forecaster(path, series="a")
    forecaster.learn_one(2.0)
    np.testing.assert_array_equal(forecaster.forecast(3), stream.observe("a", 2.0).values[:, 0])
    with pytest.raises(SettingError, match="start"):
        Forecaster(path)
    new = Forecaster(path, start="2026-03-01 10:00")
    new.learn_one(1.0)
    new.learn_one(2.0)
    assert new.forecast(3) == forecaster.forecast(3)


def test_what_river_cannot_tell_is_refused() -> None:
    with pytest.raises(SettingError, match="targets"):
        Forecaster(fitted(targets=2))
    with pytest.raises(SettingError, match="known ahead: heat, open"):
        Forecaster(fitted(covariates=True))


def test_it_stands_where_rivers_own_forecasters_do() -> None:
    values = [float(value) for value in 5 + np.sin(np.arange(60) / 3)]
    forecaster = Forecaster(sc.Forecaster(horizon=4, hidden=4, max_steps=0, ensemble=1).fit(np.array(values)))
    dataset = [({}, value) for value in values]
    metric = evaluate.evaluate(dataset, forecaster, metrics.MAE(), horizon=4)
    assert max(part.get() for part in metric.metrics) < 0.5
