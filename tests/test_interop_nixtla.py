"""Our frames in Nixtla's libraries: scored and drawn by utilsforecast, reconciled by hierarchicalforecast."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("utilsforecast", reason="utilsforecast is not installed here: pip install utilsforecast")

import pandas as pd
from utilsforecast.evaluation import evaluate
from utilsforecast.losses import mae, mse
from utilsforecast.plotting import plot_series

import statecast as sc

SETTINGS = {"horizon": 4, "hidden": 4, "max_steps": 0, "ensemble": 1}


def table(rows: int = 96) -> pd.DataFrame:
    hours = pd.date_range("2026-03-01", periods=rows, freq="h")
    steps = np.arange(rows)
    parts = {name: 10 + shift + np.sin(steps / 4 + shift) + 0.1 * np.cos(steps**2) for shift, name in enumerate("ab")}
    return pd.concat([pd.DataFrame({"unique_id": name, "ds": hours, "y": y}) for name, y in parts.items()])


def fitted(frame: pd.DataFrame) -> sc.Forecaster:
    return sc.Forecaster(**SETTINGS).fit(frame, target="y", id="unique_id", time="ds")


def test_a_backtest_is_scored_and_drawn() -> None:
    frame = table()
    model = fitted(frame[frame["ds"] < "2026-03-04 12:00"])
    backtest = model.backtest(frame, windows=3)
    names = [name for name in backtest if name not in ("unique_id", "ds", "cutoff", "y") and "-" not in name]
    scores = evaluate(backtest, metrics=[mae, mse], models=names)
    errors = (backtest["y"] - backtest["statecast"]).abs()
    ours = scores[scores["metric"] == "mae"].groupby("unique_id")["statecast"].mean()
    for name, value in ours.items():
        np.testing.assert_allclose(value, errors[backtest["unique_id"] == name].mean(), rtol=1e-12)
    predicted = model.predict()
    figure = plot_series(frame, predicted, level=[80], models=["statecast"])
    assert len(figure.axes) >= 2


def test_sample_paths_are_named_as_neuralforecast_names_them() -> None:
    paths = fitted(table()).sample(3)
    assert list(paths.columns) == ["unique_id", "ds", "sample_id", "statecast"]
    assert sorted(paths["sample_id"].unique()) == [0, 1, 2]


def test_forecasts_are_reconciled() -> None:
    pytest.importorskip("hierarchicalforecast", reason="hierarchicalforecast is not installed here: make interop")
    from hierarchicalforecast.core import HierarchicalReconciliation
    from hierarchicalforecast.methods import BottomUp, MinTrace
    from hierarchicalforecast.utils import aggregate

    bottom = table().rename(columns={"unique_id": "site"}).assign(region="all")
    frame, summing, tags = aggregate(bottom, [["region"], ["region", "site"]])
    model = fitted(frame)
    methods = [BottomUp(), MinTrace(method="ols")]
    reconciled = HierarchicalReconciliation(methods).reconcile(
        Y_hat_df=model.predict()[["unique_id", "ds", "statecast"]], Y_df=frame, S_df=summing, tags=tags
    )
    for name in ("statecast/BottomUp", "statecast/MinTrace_method-ols"):
        wide = reconciled.pivot(index="ds", columns="unique_id", values=name)
        np.testing.assert_allclose(wide["all"], wide["all/a"] + wide["all/b"], rtol=1e-9)
    raw = reconciled.pivot(index="ds", columns="unique_id", values="statecast")
    assert not np.allclose(raw["all"], raw["all/a"] + raw["all/b"], rtol=1e-9)  # there was something to reconcile
