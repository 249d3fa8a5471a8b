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
from statecast.errors import DataError, MissingDependency, NotFitted, SettingError
from statecast.model.history import TRAININGS

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
    with pytest.raises(SettingError, match=r"levels: predict gives only an array of points; forecast\(levels="):
        vector.predict(levels=[90])


def test_an_array_of_several_targets_gives_an_array_of_as_many() -> None:
    model = Forecaster(**TINY).fit(waves(2))
    assert model.predict().shape == (4, 2)
    assert model.sample(5).shape == (5, 4, 2)
    assert model.predict(waves(2)[:50]).shape == (4, 2)


def test_the_training_is_a_table(vector: Forecaster, tmp_path: Path) -> None:
    history = vector.history_  # of an array, so a mapping
    assert list(history) == ["phase", "step", "epoch", "loss", "val_loss", "learning_rate", "seconds"]
    assert history["phase"][0] == "training" and set(history["phase"][1:]) <= set(TRAININGS)
    assert history["step"].dtype == np.int64 and history["step"][0] == 0
    loaded = Forecaster.load(vector.save(tmp_path / "m")).history_
    assert isinstance(loaded, pl.DataFrame) and loaded["step"].to_list() == history["step"].tolist()


def test_a_score_without_a_table_is_that_of_the_test_rows(vector: Forecaster, tmp_path: Path) -> None:
    scores = vector.score()
    assert scores["mae"] == vector.evaluation_["statecast"]["mae"] and scores["skill"] == vector.evaluation_["skill"]
    loaded = Forecaster.load(vector.save(tmp_path / "m"))
    assert loaded.score() == scores and set(loaded.score(waves(1)[:, 0])) == set(scores)
    with pytest.raises(DataError, match="kept no rows for a test: call score"):
        Forecaster(**TINY | {"test_size": 0}).fit(waves(1)[:, 0]).score()


def test_residuals_by_origin_and_step_ahead(vector: Forecaster, tmp_path: Path) -> None:
    rows = vector.residuals()
    np.testing.assert_allclose(rows["residual"], rows["y"] - rows["statecast"])
    np.testing.assert_array_equal(rows["steps_ahead"], rows["ds"] - rows["cutoff"])
    assert np.abs(rows["residual"]).mean() == pytest.approx(vector.score()["mae"])
    y = waves(1)[:, 0]
    np.testing.assert_allclose(rows["y"], y[rows["ds"]])
    loaded = Forecaster.load(vector.save(tmp_path / "m"))
    some = loaded.residuals(y, steps=[4, 2])
    assert set(some["steps_ahead"]) == {2, 4}
    np.testing.assert_allclose(some["y"], y[some["ds"]])
    with pytest.raises(NotFitted, match="give residuals a table"):
        loaded.residuals()
    for wrong in (0, 5, [1.5], []):
        with pytest.raises(SettingError, match="expected some of the steps ahead from 1 to 4"):
            vector.residuals(steps=wrong)
    gaps = y.copy()
    gaps[50:60] = np.nan
    assert np.isfinite(loaded.residuals(gaps)["y"]).all()


def test_residuals_are_drawn(vector: Forecaster, tmp_path: Path) -> None:
    axes = vector.plot_residuals()
    assert axes.shape == (1, 3)
    one = vector.residuals(steps=1)["residual"]
    dots = [line for line in axes[0, 0].lines if line.get_label() == "one step ahead"]
    np.testing.assert_allclose(dots[0].get_ydata(), one)
    axes[0, 0].figure.savefig(tmp_path / "residuals.png")
    from matplotlib import pyplot

    pyplot.close("all")


def test_results_are_frames_of_the_library_that_is_asked_for(vector: Forecaster) -> None:
    result = vector.forecast()
    expected = {name: values.tolist() for name, values in result.columns().items()}
    assert result.to_polars().to_dict(as_series=False) == expected
    assert {name: result.to_pandas()[name].tolist() for name in expected} == expected
    assert result.to_arrow().to_pydict() == expected
    assert vector.samples(2).to_polars()["sample_id"].unique().to_list() == [0, 1]
    assert vector.backtested(waves(1)[:, 0], windows=2).to_polars().height == 8


def test_a_missing_library_of_frames_is_named(vector: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependency, match="a pandas frame needs pandas, which is not installed: pip install pan"):
        vector.forecast().to_pandas()


def test_progress_is_shown_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    phases: list[str] = []
    Forecaster(**TINY | {"significance": 1}).fit(
        waves(1)[:, 0], verbose=True, watch=lambda report: phases.append(report.phase)
    )
    shown = capsys.readouterr()
    assert shown.out == "" and "calibrating …" in shown.err and "scoring …" in shown.err
    assert list(dict.fromkeys(phases))[:2] == ["preparing", "training"]
    assert phases[-2:] == ["calibrating", "scoring"]


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
