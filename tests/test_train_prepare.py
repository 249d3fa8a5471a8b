"""What is prepared before the first step: statistics by the front's own recurrence, units, gains, the linear start."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from train_cases import leaves, panel_of, ready, schema_of, settings, wave

from statecast.config import NORMALIZERS
from statecast.data.segments import Split
from statecast.model.front import STATISTICS
from statecast.model.inputs import rows_of
from statecast.train import working
from statecast.train.fit import network_of
from statecast.train.prepare import sample_size
from statecast.train.start import linear
from statecast.train.start.design import Design
from statecast.train.working import WorkingTable, statistics, validation_rows


def holes(y: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    y = y.copy()
    y[np.random.default_rng(seed).random(y.shape) < share] = np.nan
    return y


def stepped(front: Any, c: Any, y: np.ndarray, m: np.ndarray, offsets: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics after every row, one row and one series at a time."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in STATISTICS}
    for begin, end in pairwise(offsets):
        state = front.start(c, y, ())
        for row in range(begin, end):
            state = front.update(state, y[row].astype(float), m[row].astype(float))
            for name in STATISTICS:
                rows[name].append(state[name])
    return {name: np.array(values).reshape(y.shape) for name, values in rows.items()}


@pytest.mark.parametrize("normalize", NORMALIZERS)
def test_statistics_are_those_of_step_by_step(normalize: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns far shorter than the series, and than the memory of the statistics: more than two passes are needed."""
    monkeypatch.setattr(working, "HEIGHT", 7)
    monkeypatch.setattr(working, "FORGOTTEN", 0.0)
    panel = panel_of(holes(wave(60, 1), 0.3), wave(1), holes(wave(30, 2), 0.9), np.full(25, np.nan), wave(9, 4))
    config = settings(normalize=normalize, decay=0.05, precision="float64")
    network, prepared, _ = ready(config, panel)
    rows, c = prepared.rows, prepared.constants
    result = statistics(network.front, c, rows)
    expected = stepped(network.front, c, rows.y, rows.m, rows.offsets)
    for name in STATISTICS:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-8, atol=1e-11, err_msg=name)


def test_two_passes_do_for_a_long_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is O(rows): the columns run side by side, and what they start from is known after the first pass."""
    monkeypatch.setattr(working, "HEIGHT", 400)
    panel = panel_of(np.cumsum(np.random.default_rng(0).standard_normal(8000)))
    config = settings(decay=0.1)
    network, prepared, _ = ready(config, panel)
    passes: list[tuple[int, ...]] = []

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(network.front, name)

        def scan(self, c: Any, y: np.ndarray, *rest: Any) -> Any:
            passes.append(y.shape)
            return network.front.scan(c, y, *rest)

    result = statistics(Counted(), prepared.constants, prepared.rows)  # type: ignore[arg-type]
    assert passes == [(400, 20, 1)] * 2
    expected = stepped(network.front, prepared.constants, prepared.rows.y, prepared.rows.m, prepared.rows.offsets)
    np.testing.assert_allclose(result["spread"], expected["spread"], rtol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5))
def test_validation_rows_are_the_origins_that_forecast_validation_values(lengths: list[tuple[int, int]]) -> None:
    train, val = np.array([t for t, _ in lengths]), np.array([t + v for t, v in lengths])
    offsets = np.concatenate([[0], np.cumsum(val + 2)])
    expected = [
        np.arange(o + max(t - 1, 0), o + v) if v > t else [] for o, t, v in zip(offsets, train, val, strict=False)
    ]
    parts = Split(train, val)
    assert np.array_equal(validation_rows(offsets, parts), np.concatenate(expected))


@pytest.mark.parametrize(("ring", "targets", "rows"), [(100, 1, 16_384), (1000, 1, 4000), (1000, 20, 1024)])
def test_typical_sizes_are_taken_from_so_many_rows(ring: int, targets: int, rows: int) -> None:
    """Of long rings a few rows tell all: neighbouring ones share nearly all of their values."""
    network = working.linear(settings(), targets, ring)
    assert sample_size(network) == rows


# --- constants


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_units_of_the_table_do_not_matter(unit: float) -> None:
    """Powers of two apart, the network sees the same numbers: inputs, targets and losses are of order one."""
    _, prepared, _ = ready(settings(), panel_of(unit * wave(60, 1), unit * wave(40, 2)))
    c = prepared.constants
    assert np.log2(c["unit"]) == np.round(np.log2(c["unit"]))
    assert 0.3 < np.abs(prepared.rows.y).max() < 10
    for name in ("ring_gain", "output_gain", "deviation", "spread"):
        assert (0.05 < c[name]).all() and (c[name] < 50).all(), name


def test_a_table_far_from_zero_keeps_its_digits() -> None:
    values = wave(60, 1)
    result = [ready(settings(), panel_of(values + shift))[1].rows.y for shift in (0.0, 1e9)]
    np.testing.assert_allclose(result[0], result[1], atol=1e-6)


def test_steps_between_two_series_are_no_steps() -> None:
    """Series of quite different levels: the spread of a series that has seen nothing is of steps inside a series."""
    apart = ready(settings(), panel_of(*[wave(30, 1) + 1000 * n for n in range(4)]))[1].constants
    near = ready(settings(), panel_of(*[wave(30, 1) for n in range(4)]))[1].constants
    assert apart["spread"] * apart["unit"] == pytest.approx(near["spread"] * near["unit"], rel=1e-5)


def test_losses_are_scaled_by_each_series_own_deviation() -> None:
    _, prepared, _ = ready(settings(), panel_of(wave(40, 1), 100 * wave(40, 1), np.full(40, 5.0), np.full(40, np.nan)))
    scale = np.asarray(prepared.data["loss_scale"])[:, 0]
    assert scale[1] / scale[0] == pytest.approx(100, rel=1e-5)
    # A constant series, and one without values, have none of their own: they take the panel's typical one.
    assert scale[2] == scale[3] == pytest.approx(np.median(scale[:2]), rel=1e-5)


# --- the linear start


def test_the_skip_starts_at_the_least_squares_solution() -> None:
    """Of values that are a linear map of the last ones, but for a little noise, it finds that map."""
    rng = np.random.default_rng(0)
    y = [1.0, 0.5, 0.2]
    for _ in range(2000):
        y.append(1.6 * y[-1] - 0.98 * y[-2] + rng.standard_normal())
    config = settings(skip=2, horizon=1, normalize="none", test_size=0, precision="float64")
    _, prepared, _ = ready(config, panel_of(y))
    c = prepared.constants
    result = leaves(prepared.weights)["/skip/W"][0, :, 0] * c["output_gain"][0, 0] / c["ring_gain"][0]
    np.testing.assert_allclose(result, [-0.98, 1.6], atol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_start_on_a_random_walk_stays_near_the_last_value(seed: int) -> None:
    """Nothing forecasts it better than its last value; what 300 rows seem to tell costs a few per cent on new ones."""
    walk, horizon = np.cumsum(np.random.default_rng(seed).standard_normal(4000)), 4
    config = settings(skip=40, horizon=horizon, test_size=3700)
    _, prepared, _ = ready(config, panel_of(walk))
    c = prepared.constants
    w = leaves(prepared.weights)["/skip/W"][0] * c["output_gain"][:, 0] / c["ring_gain"][0]
    windows = np.lib.stride_tricks.sliding_window_view(walk[300:], 40 + horizon)
    relative = windows - windows[:, 39:40]
    error, change = np.abs(relative[:, 40:] - relative[:, :40] @ w).mean(), np.abs(relative[:, 40:]).mean()
    assert error < 1.1 * change


def test_a_table_too_short_for_least_squares_starts_from_exponential_smoothing() -> None:
    """Its filters follow the level; relative to a fixed one there is nothing to start from, and the skip is zero."""
    panel = panel_of(wave(40, 1) + 2.0 * np.arange(40))
    _, prepared, _ = ready(settings(skip=30), panel)
    assert (
        prepared.composition == "exponential smoothing with autoregression"
        and leaves(prepared.weights)["/skip/W"].any()
    )
    _, prepared, _ = ready(settings(skip=30, normalize="none"), panel)
    assert prepared.composition == "" and not leaves(prepared.weights)["/skip/W"].any()


@pytest.mark.parametrize(("loss", "absolute"), [("mae", True), ("pinball", True), ("mse", False), ("normal", False)])
def test_a_few_wild_rows_do_not_decide_where_absolute_errors_count(loss: str, absolute: bool) -> None:
    """One step in ten is 10 above what the last value says: the mean of the errors is 1, their median next to 0."""
    r, rows = np.random.default_rng(5), 3000
    steps, y = 0.1 * r.standard_normal(rows) + 10 * (r.random(rows) < 0.1), np.zeros(rows)
    for t in range(1, rows):
        y[t] = 0.8 * y[t - 1] + steps[t]
    config = settings(skip=3, horizon=1, normalize="none", test_size=0, loss=loss, precision="float64")
    panel = panel_of(y)
    network, prepared, parts = ready(config, panel)
    (blend,) = prepared.blends
    assert blend is not None and blend.recipe is not None and blend.recipe.weighted == absolute
    table = WorkingTable.of(config, schema_of(panel), panel, parts)
    (made,) = linear.maps(Design.empty(table, network.front, 0, 1, blend.size), blend)
    design = Design.empty(table, network.front, 0, 1, blend.size).training()
    forecasts = (design.values() @ made)[:, 0] * table.scales[0, 0] * table.constants["unit"][0]
    bias = np.median(forecasts - 0.8 * y[design.rows])
    assert abs(bias) < 0.2 if absolute else bias > 0.5  # the penalty keeps it from the mean, which is 1


def test_the_start_can_be_zero() -> None:
    _, prepared, _ = ready(settings(skip=3, skip_init="zero"), panel_of(wave(200, 1)))
    assert not leaves(prepared.weights)["/skip/W"].any()


# --- what is known ahead


def test_the_future_of_known_covariates_is_that_of_each_series() -> None:
    """Row by row: the known values of the next rows, those given after the last row, then nothing."""
    panel = panel_of(wave(5), wave(1), wave(4))
    ahead = [2, 5, 0]
    known = np.arange(10.0)[:, None]
    panel = replace(
        panel,
        known=known,
        ahead=100 + np.arange(7.0)[:, None],
        ahead_offsets=np.concatenate([[0], np.cumsum(ahead)]),
    )
    config = settings(horizon=3, missing=True)
    network = network_of(config, schema_of(panel), panel)
    rows = rows_of(network, network.constants(), schema_of(panel), panel, np.float64)
    result = rows.at(np.arange(10), np.arange(1, 4))["future"]
    for s, span in enumerate(panel.spans()):
        line = np.concatenate([known[span, 0], panel.ahead[slice(*panel.ahead_offsets[s : s + 2]), 0], [np.nan] * 3])
        for k, row in enumerate(range(span.start, span.stop)):
            expected = line[k + 1 : k + 4]
            assert np.array_equal(result[row, :, 0], np.nan_to_num(expected))
            assert np.array_equal(result[row, :, 1], np.isnan(expected))


def test_an_empty_series_has_no_future() -> None:
    panel = panel_of(wave(5), wave(3))
    panel = replace(panel, known=np.ones((8, 1)), ahead=np.zeros((0, 1)), offsets=np.array([0, 5, 5, 8]), ids=(1, 2, 3))
    panel = replace(panel, ahead_offsets=np.zeros(4, np.int64), static=np.zeros((3, 0)))
    network = network_of(settings(), schema_of(panel), panel)
    rows = rows_of(network, network.constants(), schema_of(panel), panel, np.float64)
    assert rows.future is not None and len(rows.future) == 8 + 3 * 2
