"""Logarithms of the targets: there and back, when they are chosen, and that nothing else about a forecast changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from train_cases import panel_of, ready, schema_of, settings, wave

import statecast as sc
from statecast.config import Config
from statecast.data.segments import split
from statecast.errors import DataError, SettingError
from statecast.model.inputs import from_working, to_working
from statecast.train.choose import transform
from statecast.train.working import WorkingTable, unit_constants

FREE = {"floor": np.array([-np.inf]), "ceiling": np.array([np.inf]), "low": np.zeros(1), "high": np.array([np.inf])}
NEITHER = FREE | {"least": np.zeros(1), "origin": np.array([3.0]), "unit": np.array([2.0])}
LOG = NEITHER | {"least": np.array([0.5])}


def growing(rows: int = 600, seed: int = 0) -> np.ndarray:
    """A day of 12 rows whose least is a twentieth of its most, noise in proportion."""
    r = np.random.default_rng(seed)
    hours = np.arange(rows)
    return np.exp(1.5 * np.sin(2 * np.pi * hours / 12) + 0.2 * r.standard_normal(rows))


def choice(values: np.ndarray, **more: Any) -> tuple[bool, str]:
    panel = panel_of(values)
    config = settings(**{"season": 12, "horizon": 6, "val_size": 0.2, "loss": "mae"} | more)
    parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
    table = WorkingTable.of(config, schema_of(panel), panel, parts)
    _, name, reason = transform.best(config, schema_of(panel), panel, table, 24)
    return name == "log", reason


@given(st.lists(st.floats(0.5, 1e12), min_size=1, max_size=5), st.booleans())
def test_values_come_back(values: list[float], log: bool) -> None:
    c, y = LOG if log else NEITHER, np.array(values)[:, None]
    np.testing.assert_allclose(from_working(c, to_working(c, y)[..., None])[..., 0], y, rtol=1e-12)


def test_by_hand() -> None:
    """(log 20 − 3) / 2; zero and less count as the least; what is missing stays so; no forecast is infinite."""
    y = np.array([[20.0], [0.0], [-4.0], [np.nan]])
    expected = [(np.log(20) - 3) / 2, (np.log(0.5) - 3) / 2, (np.log(0.5) - 3) / 2, np.nan]
    np.testing.assert_allclose(to_working(LOG, y)[:, 0], expected)
    assert np.isfinite(from_working(LOG, np.array([[[1e9]]]))).all()
    assert from_working(LOG, np.array([[[1.0]]])).item() == pytest.approx(np.exp(5))


def test_the_least_is_half_the_smallest_positive_training_value() -> None:
    values = np.array([4.0, 0, 6, 8, np.nan, 3, 5, 7, 0.001, 9])
    config = settings(transform="log", val_size=2, test_size=0)
    network, prepared, parts = ready(config, panel_of(values))
    assert parts.train.tolist() == [8]
    assert prepared.constants["least"].tolist() == [1.5] and prepared.constants["least"].dtype == np.float64
    assert unit_constants(network, settings(), panel_of(values), parts)["least"].tolist() == [0]
    with pytest.raises(
        DataError,
        match='smallest training value is -1, and there is no logarithm below zero: choose transform = "none"',
    ):
        ready(config, panel_of(values - 1))


def test_what_is_chosen() -> None:
    assert choice(growing())[0]
    helps, reason = choice(growing())
    assert helps and reason.startswith("with logarithms the validation error of least squares changes by ")
    assert not choice(50 + wave(600))[0]  # a shift changes nothing of an additive series, but its logarithms
    assert choice(-growing()) == (False, "some training values are negative")
    often = np.where(np.arange(600) % 50 == 0, 0.0, growing())
    assert choice(often) == (False, "many training values are zero")
    assert choice(np.where(np.arange(600) == 77, 0.0, growing()))[0]
    assert choice(growing(), loss="mse") == (
        False,
        "values are not transformed with loss = 'mse' and normalize = 'last'",
    )
    assert "values are not transformed" in choice(growing(), normalize="none")[1]
    assert choice(growing(30)) == (False, "too few rows to tell whether logarithms are easier to forecast")


def test_errors_that_grow_by_size_are_not_worth_smaller_shares_of_small_values() -> None:
    """Busy hours are additive and others nearly empty: logarithms see these, and lose what the loss counts."""
    r, hours = np.random.default_rng(0), np.arange(900)
    busy = 100 + 60 * np.sin(2 * np.pi * hours / 12) + 10 * r.standard_normal(900)
    helps, reason = choice(np.where(hours % 12 < 6, np.maximum(busy, 20), np.exp(0.3 * r.standard_normal(900))))
    absolute, share = (float(part.split("%")[0]) for part in reason.split(" by ")[1:])
    assert absolute > 0 > share
    assert (1 + absolute / 100) * (1 + share / 100) < 0.98**2  # both together would choose logarithms
    assert not helps


def test_rows_after_the_validation_part_do_not_matter() -> None:
    y = growing()
    other = y.copy()
    other[540:] = -5.0
    assert choice(y, test_size=60) == choice(other, test_size=60)


def test_a_fit_chooses_them_and_a_stream_goes_on_from_the_table(tmp_path: Any) -> None:
    y = growing(900)
    options: dict[str, Any] = {"horizon": 6, "max_steps": 5, "hidden": (4,), "season": 12}
    model = sc.Forecaster(**options).fit(y[:890], target="y")
    assert model.model_.config.transform == "log" and "logarithms" in model.reasons_["transform"]
    first = model.forecast()
    bounds = [first.lower[95], first.lower[80], first.upper[80], first.upper[95]]
    assert (bounds[0] > 0).all() and (np.diff(bounds, axis=0) >= 0).all()
    again = sc.Forecaster.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.forecast().values, first.values)
    stream = model.stream()
    for value in y[890:]:
        said = stream.observe(stream.ids[0], value)

    assert (said.values > 0).all()
    # The same growth from a level a thousand times higher is the same forecast, a thousand times higher.
    high = sc.Forecaster(**options).fit(1000 * y[:890], target="y")
    np.testing.assert_allclose(high.forecast().values, 1000 * first.values, rtol=1e-3)


def test_the_settings_name_them() -> None:
    assert Config().transform is None
    with pytest.raises(SettingError, match="transform = 'sqrt'"):
        Config(transform="sqrt")
