"""What if: forecasts under several futures of what is known ahead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forecast_cases import HOUR, START, model, panel, remembering

from statecast import Forecaster
from statecast.errors import DataError, SettingError
from statecast.model.trained import Model


def fitted(**more: Any) -> Forecaster:
    of = model(covariates=True, targets=more.pop("targets", 1), **more)
    forecaster = Forecaster()
    forecaster._model = remembering(of, panel(of, (9, 5)))
    return forecaster


def future(of: Model, heat: float, steps: int = 3) -> dict[str, Any]:
    """A table of the covariates known ahead of both series."""
    times = {name: START + (2 * s + n) * HOUR for s, (name, n) in enumerate(zip(("s0", "s1"), (9, 5), strict=True))}
    rows = [(name, time + k * HOUR) for name, time in times.items() for k in range(steps)]
    return {
        "site": [name for name, _ in rows],
        "hour": np.array([time for _, time in rows]).astype("M8[us]"),
        "heat": np.full(len(rows), heat),
        "open": ["yes"] * len(rows),
    }


def test_each_future_is_forecast_as_it_is_alone() -> None:
    forecaster = fitted()
    futures = {name: future(forecaster.model_, heat) for name, heat in (("cold", -2.0), ("hot", 2.0))}
    result = forecaster.scenarios(futures)
    for n, (name, table) in enumerate(futures.items()):
        alone = forecaster.forecast(future=table)
        assert result.forecasts[name].values.tobytes() == alone.values.tobytes()
        assert result.values[n].tobytes() == alone.values.tobytes()
    assert not np.array_equal(*result.values)


def test_a_frame_has_a_row_for_each_future_and_the_difference_to_the_first() -> None:
    import polars as pl

    forecaster = fitted(targets=2)
    frame = forecaster.compare({k: future(forecaster.model_, v) for k, v in (("cold", -2.0), ("hot", 2.0))})
    assert isinstance(frame, pl.DataFrame)
    levels = [f"statecast-{side}-{level}" for level in (80, 95) for side in ("lo", "hi")]
    assert frame.columns == ["site", "hour", "scenario", "statecast", *levels, "difference"]
    assert frame["scenario"].to_list() == ["cold"] * 12 + ["hot"] * 12
    cold, hot = frame[:12], frame[12:]
    assert cold["site"].to_list() == hot["site"].to_list()
    assert (cold["difference"] == 0).all()
    np.testing.assert_array_equal(hot["difference"], hot["statecast"] - cold["statecast"])
    assert (hot["difference"].abs() > 0).any()


def test_futures_may_follow_a_table_and_its_kind() -> None:
    import pandas as pd

    forecaster = fitted()
    hours = (np.arange(6) * HOUR + START + 3 * HOUR).astype("M8[us]")
    rows = pd.DataFrame({"site": "s0", "hour": hours, "load": np.arange(6.0), "wind": 1.0, "heat": 0.5, "open": "no",
                         "area": 1.0})  # fmt: skip
    ahead = pd.DataFrame(future(forecaster.model_, 1.0)).query("site == 's0'")
    frame = forecaster.compare({"one": ahead, 2: ahead.assign(heat=-1.0)}, rows)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["scenario"]) == ["one"] * 3 + ["2"] * 3
    np.testing.assert_array_equal(frame["statecast"][:3], forecaster.predict(rows, future=ahead)["statecast"])


def test_beyond_the_horizon_every_future_must_reach() -> None:
    forecaster = fitted()
    futures = {"long": future(forecaster.model_, 0.0, 7), "short": future(forecaster.model_, 0.0, 4)}
    assert forecaster.scenarios({"long": futures["long"]}, horizon=7).values.shape == (1, 2, 7, 1)
    with pytest.raises(DataError, match=r"must be known ahead.*future"):
        forecaster.scenarios(futures, horizon=7)


def test_what_cannot_be_compared_is_refused() -> None:
    forecaster = fitted()
    with pytest.raises(SettingError, match="got 0, expected 1 to 100"):
        forecaster.compare({})
    with pytest.raises(SettingError, match="got list, expected tables by name"):
        forecaster.compare([future(forecaster.model_, 0.0)])  # type: ignore[arg-type]
    forecaster._model = replace(model(), state=model().state)
    with pytest.raises(SettingError, match="no covariates known ahead"):
        forecaster.compare({"a": {}, "b": {}})
