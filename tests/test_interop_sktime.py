"""statecast.sktime by sktime's own suite, and what that does not ask: a panel is one network, updates are steps."""

from __future__ import annotations

import copy
import pickle
import pickletools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sktime", reason="sktime is in an environment of its own: make interop", exc_type=ImportError)

import pandas as pd
from sktime.utils.estimator_checks import check_estimator

import statecast as sc
from statecast.errors import DataError, SettingError
from statecast.sktime import StatecastClassifier, StatecastForecaster

SMALL: dict[str, Any] = {"hidden": 4, "max_steps": 0, "ensemble": 1}


def wave(rows: int = 96, freq: str = "h", name: str = "load", shift: float = 0.0) -> pd.Series:
    hours = np.arange(rows)
    values = 10 + np.sin(hours / 4 + shift) + 0.05 * np.cos(hours * hours)
    return pd.Series(values, pd.date_range("2026-03-01", periods=rows, freq=freq), name=name)


def panel(rows: int = 60) -> pd.DataFrame:
    parts = {f"s{i}": wave(rows, shift=i).to_frame() for i in range(3)}
    return pd.concat(parts, names=["site", "hour"])


@pytest.mark.heavy
@pytest.mark.filterwarnings("default")  # those that the suite itself raises
def test_the_suite_of_sktime_passes_in_full() -> None:
    results = check_estimator(StatecastForecaster, raise_exceptions=True, verbose=False)
    assert len(results) > 500
    assert {*results.values()} == {"PASSED"}


@pytest.mark.heavy
@pytest.mark.filterwarnings("default")
def test_the_suite_of_sktime_passes_for_the_classifier_too() -> None:
    results = check_estimator(StatecastClassifier, raise_exceptions=True, verbose=False)
    assert len(results) > 250
    assert {*results.values()} == {"PASSED"}


def test_classes_are_those_of_the_classifier() -> None:
    waves = [np.sin(np.arange(length) * speed) for length in (20, 30) for speed in (0.3, 1.1) for _ in range(4)]
    panel, y = [pd.DataFrame({"x": wave}) for wave in waves], [("slow", "fast")[n // 4 % 2] for n in range(16)]
    settings: dict[str, Any] = {"readings": ("convolutions",), "random_state": 3}
    ours = sc.Classifier(**settings).fit([frame.to_numpy() for frame in panel], y)
    theirs = StatecastClassifier(**settings).fit(panel, np.array(y))
    expected = ours.predict_proba([frame.to_numpy() for frame in panel])
    np.testing.assert_array_equal(theirs.predict_proba(panel), expected)
    assert theirs.predict(panel).tolist() == y


def test_forecasts_are_those_of_the_forecaster() -> None:
    y = wave()
    forecaster = StatecastForecaster(**SMALL).fit(y, fh=[1, 3, 6])
    table = pd.DataFrame({"hour": y.index, "load": y.array})
    settings = {**SMALL, "horizon": 6, "test_size": 0}
    model = sc.Forecaster(**settings).fit(table, target="load", time="hour")
    forecast = model.forecast(levels=[90])
    predicted = forecaster.predict()
    assert predicted.name == "load"
    assert list(predicted.index) == list(y.index[-1] + pd.to_timedelta([1, 3, 6], unit="h"))
    np.testing.assert_array_equal(predicted, forecast.values[0, [0, 2, 5], 0])
    quantiles = forecaster.predict_quantiles(alpha=[0.05, 0.5, 0.95])
    bounds = forecast.lower[90], forecast.values, forecast.upper[90]
    for alpha, values in zip((0.05, 0.5, 0.95), bounds, strict=True):
        np.testing.assert_array_equal(quantiles["load", alpha], values[0, [0, 2, 5], 0])


def test_an_update_is_an_observation_and_a_state_does_not_go_back() -> None:
    y = wave()
    forecaster = StatecastForecaster(**SMALL).fit(y[:80], fh=[1, 2])
    stream = forecaster.forecaster_.stream()
    before = copy.deepcopy(forecaster)
    forecaster.update(y[80:90], update_params=False)
    for time, value in y[80:90].items():
        answer = stream.observe(stream.ids[0], value, time)
    np.testing.assert_array_equal(forecaster.predict(), answer.values[:2, 0])
    with pytest.raises(DataError, match="does not go back"):
        forecaster.update(y[80:85], update_params=False)
    assert before.update(y[80:90], update_params=False).predict().equals(forecaster.predict())


def test_weights_learn_from_an_update_that_is_asked_for() -> None:
    y = wave(400)
    forecaster = StatecastForecaster(**SMALL, significance=1.0)
    forecaster.set_config(remember_data=True)
    forecaster.fit(y[:100], fh=[1])
    still = copy.deepcopy(forecaster).update(y[100:], update_params=False)
    assert still.forecaster_.update_.learned is None
    forecaster.update(y[100:])
    update = forecaster.forecaster_.update_
    assert (update.known, update.rows) == (100, 300)  # the rows that were remembered come first
    assert update.learned is not None
    assert update.learned == (not forecaster.predict().equals(still.predict()))


@pytest.mark.parametrize("kind", ["panel", "hierarchy", "period", "whole numbers"])
def test_a_panel_is_one_network(kind: str) -> None:
    y = panel()
    if kind == "hierarchy":
        y = pd.concat({"north": y, "south": y + 1}, names=["region", "site", "hour"])
    elif kind == "period":
        y.index = y.index.set_levels(y.index.levels[1].to_period("h"), level=1)
    elif kind == "whole numbers":
        y.index = y.index.set_levels(range(3, 63), level=1)
    forecaster = StatecastForecaster(**SMALL).fit(y, fh=[2, 3])
    predicted = forecaster.predict()
    series = y.index.droplevel(-1).unique()
    assert len(forecaster.forecaster_.model_.state.ids) == len(series)
    last = y.index.get_level_values(-1).max()
    step = 1 if kind in ("period", "whole numbers") else pd.Timedelta("1h")
    labels = [item if isinstance(item, tuple) else (item,) for item in series]
    assert list(predicted.index) == [(*item, last + k * step) for item in labels for k in (2, 3)]
    assert predicted.index.names == y.index.names
    assert list(predicted.columns) == ["load"]


def test_series_of_a_panel_may_end_at_different_times() -> None:
    y = panel().drop(index=[("s1", time) for time in panel().loc["s1"].index[-5:]])
    forecaster = StatecastForecaster(**SMALL).fit(y)
    relative = forecaster.predict([1])
    ends = y.reset_index().groupby("site")["hour"].max() + pd.Timedelta("1h")
    assert list(relative.index) == list(ends.items())
    absolute = forecaster.predict(pd.DatetimeIndex([ends.max()], freq="h"))
    assert list(absolute.index) == [(site, ends.max()) for site in ends.index]


def test_trailing_missing_values_are_counted() -> None:
    y = wave()
    y.iloc[-3:] = np.nan
    forecaster = StatecastForecaster(**SMALL).fit(y, fh=[1, 2])
    predicted = forecaster.predict()
    assert list(predicted.index) == list(y.index[-1] + pd.to_timedelta([1, 2], unit="h"))
    assert np.isfinite(predicted).all()


def test_known_covariates_and_what_lacks_of_them() -> None:
    y = wave()
    X = pd.DataFrame({"open": np.where(np.arange(102) % 24 < 12, "yes", "no")})
    X.index = pd.date_range("2026-03-01", periods=102, freq="h")
    forecaster = StatecastForecaster(**SMALL).fit(y, X=X[:96], fh=[1, 6])
    assert forecaster.predict(X=X[96:]).shape == (2,)
    with pytest.raises(DataError, match="known"):
        forecaster.predict(X=X[96:98])


def test_no_pickle_holds_more_than_the_archive() -> None:
    forecaster = StatecastForecaster(**SMALL).fit(wave(), fh=[1])
    content = pickle.dumps(forecaster)
    texts = [argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)]
    assert "statecast.model.archive" in texts
    assert not [text for text in texts if text.startswith("statecast.model.") and text != "statecast.model.archive"]
    assert pickle.loads(content).predict().equals(forecaster.predict())


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="hidden"):
        StatecastForecaster(hiden=4)
