"""Forecaster: results in the form of the data, a table that is read once, and what comes back from a file."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cli_cases import Command, passengers, plain, rich, statecast

from statecast import Forecaster
from statecast.errors import SettingError

TINY = {"max_steps": 2, "eval_every": 1, "hidden": 4, "segment": 24, "skip": 6, "lags": 3, "season": 12, "horizon": 4}


def waves(columns: int) -> np.ndarray:
    rows = np.arange(96)[:, None]
    return np.sin(2 * np.pi * rows / 12 + np.arange(columns)) + 0.01 * rows


@pytest.fixture(scope="module")
def vector() -> Forecaster:
    """A fit of an array [T]."""
    return Forecaster(**TINY).fit(waves(1)[:, 0])


def test_an_array_of_one_series_gives_an_array_of_its_forecasts(vector: Forecaster) -> None:
    point = vector.predict()
    assert isinstance(point, np.ndarray)
    assert point.shape == (4,)
    result = vector.forecast(levels=[90])
    np.testing.assert_array_equal(point, result.values[0, :, 0])
    assert result.lower[90].shape == result.upper[90].shape == (1, 4, 1)
    assert vector.predict(horizon=6).shape == (6,)
    assert vector.predict(waves(1)[:60, 0]).shape == (4,)
    assert vector.predict(waves(1)).shape == (4, 1)
    assert vector.sample(5).shape == (5, 4)
    np.testing.assert_array_equal(vector.sample(5)[3], vector.samples(5).values[0, 3, :, 0])


def test_a_mapping_gives_a_mapping(vector: Forecaster) -> None:
    columns = vector.predict({vector.model_.schema.target[0]: waves(1)[:, 0]})
    assert isinstance(columns, dict)
    assert {"statecast", "statecast-lo-80"} < set(columns)


def test_bounds_of_an_array_are_asked_of_forecast(vector: Forecaster) -> None:
    with pytest.raises(SettingError, match=r"levels: predict gives an array of points alone; forecast\(levels="):
        vector.predict(levels=[90])


def test_an_array_of_several_targets_gives_an_array_of_as_many() -> None:
    model = Forecaster(**TINY).fit(waves(2))
    assert model.predict().shape == (4, 2)
    assert model.sample(5).shape == (5, 4, 2)
    assert model.predict(waves(2)[:50]).shape == (4, 2)


def test_a_loaded_model_is_the_one_that_was_saved(vector: Forecaster, tmp_path: Path) -> None:
    loaded = Forecaster.load(vector.save(tmp_path / "model.safetensors"))
    assert repr(loaded) == repr(vector)
    assert "horizon=4" in repr(loaded)
    assert "hidden=(4,)" in repr(loaded)
    assert "learning_rate" not in repr(loaded)  # it was chosen
    assert loaded.config == vector.config
    assert loaded.reasons_ == vector.reasons_ != {}
    assert "learning_rate" in loaded.reasons_
    assert loaded.model_.config == vector.model_.config


def test_a_table_from_standard_input_is_read_once(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, text = Forecaster.load(plain), pl.read_parquet(passengers()).write_csv().encode()
    for ask in (
        lambda: model.predict("-"),
        lambda: model.sample(3, "-"),
        lambda: model.explain("-"),
        lambda: model.backtest("-", windows=2),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert len(ask()) > 0
