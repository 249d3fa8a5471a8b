"""Tables that teach nothing: each is fitted and forecast in finite numbers, or refused with a remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import statecast as sc
from statecast.errors import DataError

ROWS = 120


def waves(rows: int = ROWS) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(ROWS)
    return (10 + np.sin(np.arange(ROWS) / 3) + 0.1 * noise)[:rows]


def one_other(at: int, value: float, values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) == at, value, values)


def without(values: np.ndarray, *missing: slice) -> np.ndarray:
    values = values.copy()
    for part in missing:
        values[part] = np.nan
    return values


TABLES: dict[str, np.ndarray] = {
    "constant": np.full(ROWS, 5.0),
    "a large constant": np.full(ROWS, 1e15),
    "a constant in several series": np.full(ROWS, 0.1),
    "all zero": np.zeros(ROWS),
    "constant but for one training value": one_other(60, 7.0, np.full(ROWS, 5.0)),
    "constant but for one validation value": one_other(100, 7.0, np.full(ROWS, 5.0)),
    "constant but for one test value": one_other(115, 7.0, np.full(ROWS, 5.0)),
    "two values in turn": np.arange(ROWS) % 2 + 1.0,
    "subnormal": 5e-324 * (1 + np.arange(ROWS) % 3),
    "nearly as small as numbers get": 1e-300 * waves(),
    "a spike in the training rows": one_other(50, 1e12, waves()),
    "a spike in the validation rows": one_other(100, 1e12, waves()),
    "a spike in the test rows": one_other(115, 1e12, waves()),
    "missing at the beginning": without(waves(), slice(0, 70)),
    "missing at the end": without(waves(), slice(60, ROWS)),
    "missing but at the ends": without(waves(), slice(3, ROWS - 3)),
    "one value in the middle": without(waves(), slice(0, 50), slice(51, ROWS)),
    "shorter than the horizon": waves(5),
    "shorter than the lags": waves(9),
    "as long as lags and horizon": waves(15),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_teaches_nothing_is_forecast_in_numbers(name: str) -> None:
    options: dict[str, Any] = {"horizon": 6, "hidden": (2,), "max_steps": 2, "eval_every": 1}
    if name == "a constant in several series":
        table: Any = {"y": np.tile(TABLES[name], 2), "id": np.repeat(["a", "b"], ROWS)}
        model = sc.Forecaster(**options).fit(table, target="y", id="id")
    else:
        model = sc.Forecaster(**options).fit(TABLES[name])
    forecast = model.forecast()
    bounds = [*forecast.lower.values(), *forecast.upper.values()]
    assert all(np.isfinite(values).all() for values in (forecast.values, *bounds))
    if "constant" in name and "but" not in name:
        np.testing.assert_allclose(forecast.values, TABLES[name][0], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ([3.0], "expected at least 3 training rows; give more rows, or smaller val_size and test_size"),
        ([3.0, 4.0], "expected at least 3 training rows; give more rows, or smaller val_size and test_size"),
        ([np.nan] * 40, "every one is missing"),
        ([1e300] * 40, "need rescaling"),
    ],
)
def test_a_table_without_anything_to_learn_is_refused(values: list[float], remedy: str) -> None:
    with pytest.raises(DataError, match=remedy):
        sc.Forecaster(horizon=6, max_steps=2).fit(np.array(values))
