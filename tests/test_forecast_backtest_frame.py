"""The frame of a backtest as other libraries take it: scored unmodified by `utilsforecast`, which the peers share."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel

from statecast import Forecaster
from statecast.data.tabular import frames
from statecast.forecast.hindcast.backtest import backtest
from statecast.forecast.scores import metrics
from statecast.model import archive
from statecast.model.network import Network

LENGTHS, WINDOWS, HORIZON = (40, 33, 21), 6, 3
FORECASTERS = ["statecast", "persistence", "seasonal_naive", "linear_extrapolation"]


def loads(id: str, time: str) -> dict[str, np.ndarray]:
    """Three series of unequal length, without gaps."""
    start = np.datetime64("2024-01-01T00", "us")
    return {
        id: np.array([f"s{s}" for s, n in enumerate(LENGTHS) for _ in range(n)], object),
        time: np.concatenate([start + np.arange(n) * np.timedelta64(1, "h") for n in LENGTHS]),
        "load": 20 + np.random.default_rng(0).standard_normal(sum(LENGTHS)).cumsum(),
    }


def forecaster(folder: Path, id: str, time: str, head: str = "point") -> Forecaster:
    """A model with random weights that was, for all that it knows, fitted on such a table."""
    of = model(id=id, head=head, precision="float64", missing=False)
    return Forecaster.load(
        archive.save(replace(of, schema=replace(of.schema, time=time)), folder / "random.safetensors")
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("head", ["point", "pinball"])
def test_the_frame_scores_unmodified_in_utilsforecast(tmp_path: Path, library: Any, head: str) -> None:
    evaluation = pytest.importorskip("utilsforecast.evaluation", reason="utilsforecast comes with statecast[dev]")
    losses = pytest.importorskip("utilsforecast.losses")
    frame = frames.to_native(loads("unique_id", "ds"), library)
    result = forecaster(tmp_path, "unique_id", "ds", head).backtest(frame, windows=WINDOWS, step=2)
    scores = evaluation.evaluate(result, metrics=[losses.mse, losses.mae, losses.smape])
    assert set(scores.columns) == {"unique_id", "cutoff", "metric", *FORECASTERS}
    assert len(scores) == 3 * WINDOWS * 3
    column = {name: np.asarray(result[name]) for name in result.columns}
    mse = np.asarray(scores["statecast"])[np.asarray(scores["metric"]) == "mse"]
    by_hand = ((column["y"] - column["statecast"]) ** 2).reshape(-1, HORIZON).mean(axis=1)
    assert sorted(mse) == pytest.approx(sorted(by_hand))
    for name in FORECASTERS:
        at = np.asarray(scores["metric"]) == "smape"  # theirs is on the scale of 0 to 1
        theirs = np.asarray(scores[name])[at].mean()
        assert metrics.smape(column["y"], column[name]) == pytest.approx(200 * theirs)
    inside = evaluation.evaluate(result, metrics=[losses.coverage], models=["statecast"], level=[80, 95])
    for level in (80, 95):
        bounds = (column[f"statecast-{side}-{level}"] for side in ("lo", "hi"))
        theirs = np.asarray(inside["statecast"])[np.asarray(inside["metric"]) == f"coverage_level{level}"].mean()
        assert metrics.coverage(column["y"], *bounds) == pytest.approx(theirs)


def test_a_table_with_other_names_scores_by_these(tmp_path: Path) -> None:
    evaluation = pytest.importorskip("utilsforecast.evaluation", reason="utilsforecast comes with statecast[dev]")
    losses = pytest.importorskip("utilsforecast.losses")
    frame = frames.to_native(loads("site", "hour"), "pandas")
    result = forecaster(tmp_path, "site", "hour").backtest(frame, windows=1)
    before = frame.groupby("site").head(18).rename(columns={"load": "y"})  # rows before the first cutoff of all series
    scores = evaluation.evaluate(
        result, metrics=[partial(losses.mase, seasonality=4)], train_df=before, id_col="site", time_col="hour"
    )
    assert set(scores.columns) == {"site", "cutoff", "metric", *FORECASTERS}
    for site, rows in result.groupby("site"):
        unit = metrics.seasonal_scale(before["y"][before["site"] == site].to_numpy()[:, None], 4)
        ours = metrics.mase(rows["y"].to_numpy(), rows["statecast"].to_numpy(), float(unit[0]))
        assert scores["statecast"][scores["site"] == site].item() == pytest.approx(ours)


def test_all_origins_come_from_one_run_over_the_series(monkeypatch: pytest.MonkeyPatch) -> None:
    of, sizes, scan = model(), [], Network.scan  # type: Any, list[int], Any

    def counted(network: Network, p: Any, state: Any, inputs: Any, reset: Any, *more: Any) -> Any:
        sizes.append(reset.size)
        return scan(network, p, state, inputs, reset, *more)

    def places(windows: int) -> int:
        sizes.clear()
        backtest(of, panel(of, LENGTHS, gaps=False), windows=windows, step=1)
        return sum(sizes)

    monkeypatch.setattr(Network, "scan", counted)

    assert places(windows=30) == places(windows=1) >= sum(LENGTHS)
