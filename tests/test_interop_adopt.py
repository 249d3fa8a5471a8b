"""Layers from elsewhere as a Forecaster: columns, units, a table, later rows, files, and what does not fit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from export_cases import Graphs
from interop_cases import COLUMNS, streamed, torch_weights, values

import statecast as sc
from statecast.errors import DataError, SettingError

ROWS = 400


def table(rows: int = ROWS) -> pd.DataFrame:
    """Hours of two targets that repeat each day, and of a covariate that leads them."""
    t, rng = np.arange(rows), np.random.default_rng(0)
    a = 50 + 10 * np.sin(2 * np.pi * t / 24) + rng.standard_normal(rows)
    b = 5 * np.cos(2 * np.pi * t / 24) + rng.standard_normal(rows)
    time = pd.date_range("2024-01-01", periods=rows, freq="h")
    return pd.DataFrame({"time": time, "a": a, "b": b, "c": np.cos(2 * np.pi * (t + 3) / 24)})


def adopted(source: Any = None, **more: Any) -> sc.Forecaster:
    return sc.interop.from_torch(torch_weights("gru"), source, **{**COLUMNS, **more})


def standardised(**more: Any) -> sc.Forecaster:
    return adopted(table(), time="time", mean={"a": 50, "b": 0}, scale={"a": 7, "b": 3.5}, **more)


def test_a_table_gives_state_intervals_and_scores() -> None:
    forecaster = standardised()
    stepped = adopted(time="time", freq="1h", mean=[50, 0, 0], scale=[7, 3.5, 1])
    stepped.update(table())
    np.testing.assert_array_equal(forecaster.forecast().values, stepped.forecast().values)
    assert forecaster.evaluation_["statecast"]["count"] > 0
    assert forecaster.model_.residuals is not None
    assert stepped.model_.residuals is None
    frame = forecaster.predict()
    assert isinstance(frame, pd.DataFrame)
    assert frame["time"].iloc[0] == table()["time"].iloc[-1] + pd.Timedelta("1h")
    assert len(forecaster.backtest(table(), windows=2)) == 2 * 2 * 2
    with pytest.raises(DataError, match="no column"):
        adopted(table(), target=["a", "x"])


def test_units_are_those_of_the_table() -> None:
    raw, x = adopted(), values(60)
    moved = adopted(mean=[10, -5, 2], scale=[4, 0.5, 8])
    shift, size = np.array([10, -5, 2]), np.array([4, 0.5, 8])
    outputs = streamed(moved, (x * size + shift).astype(np.float64))
    expected = streamed(raw, x) * np.tile(size[:2], 2) + np.tile(shift[:2], 2)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_forecasts_keep_to_the_limits_of_the_settings() -> None:
    x = values(40)
    x[:, :2] = np.clip(x[:, :2], 0.125, 0.25)
    raw, limited = streamed(adopted(), x), streamed(adopted(lower={"a": 0.125}, upper=0.25), x)
    assert raw.max() > 0.25
    assert limited.max() <= 0.25
    assert limited[:, ::2].min() >= 0.125
    assert streamed(adopted(nonnegative=True), x).min() == 0
    with pytest.raises(DataError, match="upper"):
        adopted(table(), time="time", upper=20)


def test_inputs_may_come_in_any_order_and_without_a_target() -> None:
    x = values(40)
    ordered = adopted(inputs=["c", "b", "a"])
    np.testing.assert_allclose(streamed(ordered, x), streamed(adopted(), x[:, ::-1]), rtol=1e-5, atol=1e-6)
    weights = torch_weights("gru")
    weights["rnn.weight_ih_l0"] = weights["rnn.weight_ih_l0"][:, 2:]
    blind = sc.interop.from_torch(weights, **COLUMNS, inputs=["c"])
    np.testing.assert_array_equal(streamed(blind, x), streamed(blind, x * np.array([5, -7, 1], np.float32)))


def test_covariates_known_ahead_and_static_ones_are_inputs_of_their_step() -> None:
    frame = table().assign(site="x", c=lambda f: f["c"].astype(float))
    past = standardised()
    known = standardised(past=None, known="c")
    ahead = pd.DataFrame({"time": pd.date_range(frame["time"].iloc[-1], periods=3, freq="h")[1:], "c": [1.0, 2.0]})
    np.testing.assert_allclose(known.forecast(future=ahead).values, past.forecast().values, rtol=1e-6)
    assert sc.interop.to_torch(known)["head.weight"].shape == (4, 3)
    still = frame.assign(c=0.5)
    static = adopted(still, time="time", id="site", past=None, static="c")
    np.testing.assert_allclose(
        static.forecast().values, adopted(still, time="time", id="site").forecast().values, rtol=1e-6
    )


def test_it_learns_from_a_table() -> None:
    forecaster = standardised()
    before = forecaster.score(table())["mae"]
    forecaster.update(table(), learn=True, steps=200, learning_rate=0.01)
    assert forecaster.update_.learned
    assert forecaster.score(table())["mae"] < 0.9 * before
    assert sc.interop.to_torch(forecaster).keys() == torch_weights("gru").keys()


def test_it_is_saved_copied_and_streamed_like_any_other(tmp_path: Path) -> None:
    forecaster, x = standardised(), values(20)
    forecaster.save(tmp_path / "model")
    for other in (sc.Forecaster.load(tmp_path / "model"), copy.deepcopy(forecaster)):
        np.testing.assert_array_equal(other.forecast().values, forecaster.forecast().values)
        assert repr(other) == repr(forecaster)
    stream = adopted().stream()
    for row in x[:10]:
        stream.observe("s", row[:2], past=row[2:])
    stream.save(tmp_path / "stream")
    again = sc.Stream.load(tmp_path / "stream")
    for row in x[10:]:
        first, second = (of.observe("s", row[:2], past=row[2:]).values for of in (stream, again))
        np.testing.assert_array_equal(first, second)


def test_missing_values_and_new_series_are_no_trouble() -> None:
    stream, x = adopted().stream(), values(30)
    for row in x:
        forecast = stream.observe("s", [row[0], None], past=[None])
        assert np.isfinite(forecast.values).all()
    assert np.isfinite(stream.observe("new", [1e15, -1e15], past=[0.0]).values).all()


def test_it_goes_out_as_onnx(tmp_path: Path) -> None:
    forecaster, x = adopted(), values(200)
    graphs = Graphs(forecaster.model_, tmp_path)
    state, outputs = graphs.start(1), []
    for row in x.astype(np.float64):
        forecast, state = graphs.step(state | {"values": row[None, :2], "past.c": row[2:]})
        outputs.append(forecast["forecast"].reshape(-1))
    np.testing.assert_allclose(np.stack(outputs), streamed(forecaster, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"past": None}, "takes 3 numbers at each step, and the columns make 2: a, b"),
        ({"target": ["a", "b", "c"], "past": None}, "gives 4 numbers at each step, and there are 3 targets"),
        ({"horizon": 3}, "and 3 steps"),
        ({"inputs": ["a", "b", "x"]}, "'x' is not a column"),
        ({"inputs": ["a", "b", "b"]}, "each column once"),
        ({"mean": {"x": 1.0}}, "'x' is not an input"),
        ({"mean": [1.0, 2.0]}, "expected a number for each of 3 inputs"),
        ({"mean": np.nan}, "expected finite numbers"),
        ({"mean": "much"}, "expected numbers"),
        ({"scale": 0.0}, "above zero"),
        ({"scale": 1e-320}, "above zero"),
        ({"cell": "lstm"}, "the weights are of gru"),
        ({"hidden": (3,)}, "the weights decide it"),
        ({"holidays": "DE"}, "the weights decide it"),
        ({"loss": "pinball"}, "the weights forecast points"),
        ({"optimizer": "sgd"}, "give a learning_rate"),
        ({"precision": "bf16"}, "the weights are float32"),
        ({"hiden": (3,)}, "did you mean"),
        ({"time": "time"}, "say what a step is"),
        ({"freq": "1h"}, "name the column of times"),
        ({"past": "a"}, "one role for each column"),
        ({"activation": "softmax"}, "activation"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        adopted(**arguments)


def test_a_network_that_is_more_than_layers_has_no_way_out() -> None:
    y = np.sin(np.arange(80))
    quick = {"hidden": (2,), "max_steps": 1, "refit": False}
    for settings, reason in (
        ({}, "normalize = 'last'"),
        ({"normalize": "none", "lags": 2}, "lags = 2"),
        ({"normalize": "none", "lags": 1, "skip": 3}, "skip = 3"),
        ({"cell": "mingru"}, "cell = 'mingru'"),
        ({"normalize": "none", "lags": 1, "skip": 0, "loss": "pinball"}, "a head of quantiles"),
        ({"ensemble": 2}, "several members"),
    ):
        fitted = sc.Forecaster(**quick, **settings).fit(y)
        for way in (sc.interop.to_torch, sc.interop.to_keras_weights):
            with pytest.raises(SettingError, match=reason):
                way(fitted)


def test_a_network_that_was_fitted_here_goes_out_and_comes_back() -> None:
    y = np.sin(np.arange(120))
    plain = {"normalize": "none", "lags": 1, "skip": 0, "max_steps": 5, "significance": 1, "calendar": False}
    fitted = sc.Forecaster(cell="gru", hidden=(4, 3), horizon=2, **plain).fit(y)
    back = sc.interop.from_torch(sc.interop.to_torch(fitted), y, layers=["rnn0", "rnn1", "head"])
    np.testing.assert_allclose(back.forecast().values, fitted.forecast().values, atol=1e-5)
