"""The recipe of a fit makes the same fit again, also where what was chosen is more than a setting can say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np

from statecast import Forecaster
from statecast.cli.options import fit_request
from statecast.model.trained import Model
from statecast.report import recipe


def hourly(rows: int = 1500) -> dict[str, np.ndarray]:
    """Days and noise, for which a fit averages linear maps of several lengths: the setting `skip` has the longest."""
    hours = np.arange(rows)
    values = 10 * np.sin(2 * np.pi * hours / 24) + np.random.default_rng(1).normal(size=rows)
    return {"hour": np.datetime64("2024-01-01T00") + hours.astype("m8[h]"), "load": values}


def model_of(table: dict[str, np.ndarray]) -> Model:
    return Forecaster(horizon=6, max_steps=0, hidden=(4,)).fit(table, target="load", time="hour").model_


def test_the_recipe_of_a_fit_makes_the_same_fit(tmp_path: Path) -> None:
    table = hourly()
    model = model_of(table)
    assert "averaged" in (model.reasons or {})["skip"]
    file = tmp_path / "config.toml"
    file.write_text(recipe.toml(model))
    request = fit_request(None, str(file), ())
    again = Forecaster(**request.settings).fit(table, **request.roles)
    assert again.model_.scores == model.scores
    np.testing.assert_array_equal(again.model_.weights["skip"]["W"], model.weights["skip"]["W"])


def test_choices_are_comments_with_their_reasons() -> None:
    model = model_of(hourly(300))
    text = recipe.toml(model)
    assert tomllib.loads(text) == {
        "horizon": 6,
        "max_steps": 0,
        "hidden": [4],
        "data": {"target": ["load"], "time": "hour", "freq": "1h"},
    }
    assert f"# season = 24  # {(model.reasons or {})['season']}\n" in text


def test_models_and_backtests_are_one_line() -> None:
    forecaster = Forecaster(horizon=6, max_steps=0, hidden=(4,)).fit(hourly(300), target="load", time="hour")
    assert repr(forecaster.model_) == "<Model: load, 6 ahead; lstm [4], 1 series>"
    result = forecaster.backtested(hourly(300), windows=3)
    assert repr(result) == "<Backtest: load, 6 ahead; 3 origins in 1 series>"
