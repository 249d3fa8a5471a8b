"""Forecasts from states and tables, and their intervals."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from forecast_cases import HEADS, HOUR, START, close, mapped, model, panel, remembering, same_bits
from hypothesis import given
from hypothesis import strategies as st

from statecast.data.panel import Panel
from statecast.errors import DataError, SettingError, TimeOrderError, UnknownSeries
from statecast.forecast import calibrate
from statecast.forecast.answer import Forecast
from statecast.forecast.calibrate import quantiles
from statecast.forecast.hindcast.origins import thin
from statecast.forecast.hindcast.roll import roll
from statecast.forecast.predict import forecast, from_table, state_after
from statecast.forecast.runner import Runner
from statecast.forecast.sample import sample
from statecast.forecast.stream import Stream
from statecast.model.adaptive import GRID, prior_quantiles
from statecast.model.inputs import from_working, rows_of, transformed
from statecast.model.network import Network
from statecast.model.state import State
from statecast.model.trained import Model


def future(table: Panel) -> list[np.ndarray]:
    return [table.ahead[slice(*table.ahead_offsets[s : s + 2])] for s in range(table.series)]


def fed_back(of: Model, table: Panel, result: Forecast, steps: int) -> Panel:
    """The table with `steps` of its forecasts in it as if they had come true."""
    assert table.series == 1
    past = np.full((steps, table.past.shape[1]), np.nan)
    ahead = future(table)[0]
    return replace(
        table,
        y=np.concatenate([table.y, result.values[0][:steps]]),
        time=np.concatenate([table.time, result.times[0][:steps]]),
        offsets=table.offsets + np.array([0, steps]),
        past=np.concatenate([table.past, past]),
        known=np.concatenate([table.known, ahead[:steps]]),
        ahead=ahead[steps:],
        ahead_offsets=np.array([0, len(ahead) - steps]),
    )


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_beyond_the_horizon_forecasts_feed_on_themselves(independent: bool, head: str) -> None:
    of = model(targets=2, independent=independent, head=head, covariates=True, precision="float64")
    table = panel(of, (9,))
    result = from_table(of, table, 8)
    assert result.values.shape == (1, 8, 2)
    first = from_table(of, table)
    same_bits(result.values[:, :3], first.values)
    second = from_table(of, fed_back(of, table, result, 3))
    third = from_table(of, fed_back(of, table, result, 6))
    close(result.values[:, 3:6], second.values, "float64")
    close(result.values[:, 6:8], third.values[:, :2], "float64")
    assert result.times[0].tolist() == [int(table.time[-1]) + (k + 1) * HOUR for k in range(8)]
    same_bits(from_table(of, table, 2).values, first.values[:, :2])


@pytest.mark.parametrize("head", HEADS)
def test_intervals_hold_the_point_and_widen_beyond_the_horizon(head: str) -> None:
    of = model(targets=2, head=head)
    result = from_table(of, panel(of), 12)
    for level in (80, 95):
        lower, upper = result.lower[level], result.upper[level]
        assert (lower <= result.values).all()
        assert (result.values <= upper).all()
        scaled = partial(transformed, of.constants)  # widening is of what the network counts in
        low, middle, high = (scaled(values) for values in (lower, result.values, upper))
        for distance in (high - middle, middle - low):
            widest = distance[:, :3].max(axis=1)
            for k in range(4, 13):
                np.testing.assert_allclose(distance[:, k - 1], widest * np.sqrt(k / 3), rtol=1e-9)
    assert (result.upper[95] >= result.upper[80]).all()
    assert (result.lower[95] <= result.lower[80]).all()


def test_a_state_does_not_move() -> None:
    of = model(targets=2)
    of = remembering(of, panel(of))
    kept = of.state.data.copy()
    first = forecast(of, horizon=10)
    same_bits(of.state.data, kept)
    same_bits(forecast(of, horizon=10).values, first.values)
    backwards = forecast(of, of.state.gather(("s1", "s0")), 10)
    close(backwards.values[::-1], first.values, "float32")


def test_the_last_state_is_that_of_the_whole_run() -> None:
    """`roll` may run over chunks and batches; its forecast at the last row is what the state gives afterwards."""
    of = model(targets=2, precision="float64")
    table = panel(of, (600, 3, 1300, 7))
    rows = rows_of(of.network, of.constants, of.schema, table, of.dtype)
    last = np.zeros(table.rows, bool)
    last[table.offsets[1:] - 1] = True
    again = {}
    for part in roll(of.network, of.p, rows, last):
        again |= dict(zip(part.rows.tolist(), from_working(of.constants, part.values)[..., 0], strict=True))
    expected = np.stack([again[int(row)] for row in table.offsets[1:] - 1])
    close(from_table(of, table).values, expected, "float64")


def test_batches_of_series_are_cut_where_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    of = model(targets=2, independent=True, covariates=True)
    table = panel(of, (4, 6, 5, 7, 3))
    expected = from_table(of, table, 7)
    monkeypatch.setattr(Runner, "batch", 5)
    result = from_table(of, table, 7)
    close(result.values, expected.values, "float32")
    close(result.lower[80], expected.lower[80], "float32")


def test_levels_and_horizons_that_cannot_be() -> None:
    of = model(head="pinball")
    of = remembering(of, panel(of))
    for horizon in (0, -1, 1.5, True, "3"):
        with pytest.raises(SettingError, match=r"horizon = .*: expected a whole number of steps, at least 1"):
            forecast(of, horizon=horizon)  # type: ignore[arg-type]
    for level in (0, 100, -5, float("nan"), "80", None):
        with pytest.raises(SettingError, match=r"levels = .*: expected a list of 0 to 20 items, each a number"):
            forecast(of, levels=[level])  # type: ignore[list-item]
    assert list(forecast(of, levels=[95]).lower) == [95]
    assert list(forecast(of, levels=[]).lower) == []
    point = remembering(model(), panel(model()))
    assert list(forecast(point, levels=[99.5, 50, 50.0]).lower) == [50, 99.5]
    assert list(forecast(point, levels=90).columns()) == [  # type: ignore[arg-type]
        "site", "hour", "statecast", "statecast-lo-90", "statecast-hi-90",
    ]  # fmt: skip


def test_a_horizon_that_no_forecast_reaches_is_refused_at_once() -> None:
    of = remembering(model(), panel(model()))
    for horizon in (100_001, 10**9, 10**400):
        with pytest.raises(SettingError, match=r"expected at most 100,000 steps; beyond the 3 that"):
            forecast(of, horizon=horizon)
        with pytest.raises(SettingError, match=r"expected at most 100,000 steps"):
            sample(of, 2, horizon=horizon)
        with pytest.raises(SettingError, match=r"expected at most 100,000 steps"):
            Stream(of).forecast(horizon=horizon)
    assert forecast(of, horizon=5000).values.shape == (2, 5000, 1)


def test_a_forecast_is_shown_in_a_line() -> None:
    of = remembering(model(targets=2), panel(model(targets=2), (9, 5, 4, 3)))
    shown = repr(forecast(of, horizon=7))
    assert shown == (
        "<Forecast: y0, y1 of 's0', 's1', 's2', …, 7 steps "
        "from 2024-01-02 18:00:00 to 2024-01-03 00:00:00; levels 80, 95>"
    )
    single = Stream(of).observe("s1", [1.0, 2.0])
    assert repr(single).startswith("<Forecast: y0, y1 of 's1', 3 steps from 2024-01-02 17:00:00")
    none = forecast(of, State.empty(of.layout, of.dtype))
    assert repr(none) == "<Forecast: y0, y1 of no series, 3 steps; levels 80, 95>"
    wide = model(targets=40)
    assert len(repr(Stream(wide).observe("a" * 300, [1.0] * 40, START))) < 500


def test_known_covariates_must_reach_to_the_horizon() -> None:
    of = model(covariates=True)
    table = panel(of, (5, 4))
    short = replace(
        table, ahead=np.concatenate([table.ahead[:12], table.ahead[12:14]]), ahead_offsets=np.array([0, 12, 14])
    )
    last = START + 2 * HOUR + 3 * HOUR
    stamp = str(np.datetime64(last + 3 * HOUR, "us").astype("M8[s]")).replace("T", " ")
    with pytest.raises(
        DataError, match=rf"'heat', 'open' of series 's1' must be known ahead, but there is no value from {stamp} on"
    ):
        from_table(of, short)
    assert from_table(of, short, 2).values.shape == (2, 2, 1)
    fitted = remembering(of, table)
    with pytest.raises(DataError, match=r"of series 's0' must be known ahead"):
        forecast(fitted)
    blank = [np.full((3, 3), np.nan)] * 2
    assert np.isfinite(forecast(fitted, future=blank).values).all()
    changed = [rows.copy() for rows in future(table)]
    before = forecast(fitted, future=changed, horizon=6).values
    changed[0][4] += 1.0
    after = forecast(fitted, future=changed, horizon=6).values
    same_bits(after[:, :3], before[:, :3])
    assert (after[0, 3:] != before[0, 3:]).any()
    same_bits(after[1], before[1])


def test_a_table_without_targets_is_the_future_of_what_is_remembered() -> None:
    of = model(covariates=True)
    table = panel(of, (8, 6), gaps=False)
    fitted = remembering(of, table.cut(np.array([5, 5])))
    expected = forecast(fitted, future=[table.known[5:8], np.concatenate([table.known[13:], table.ahead[12:14]])])
    rest = replace(table, y=np.full_like(table.y, np.nan))
    same_bits(from_table(fitted, rest).values, expected.values)
    nothing_before = Panel(
        np.zeros((0, 1)), np.zeros(0, np.int64), np.zeros(3, np.int64), table.ids, np.zeros((0, 1)), np.zeros((0, 3)),
        table.static, np.concatenate([table.known[5:8], table.known[13:], table.ahead[12:14]]), np.array([0, 3, 6]),
    )  # fmt: skip
    same_bits(from_table(fitted, nothing_before).values, expected.values)
    with pytest.raises(UnknownSeries, match=r"there is no series 'new'"):
        from_table(fitted, replace(rest, ids=("new", "s1")))
    gone = replace(rest, time=rest.time - 100 * HOUR, ahead=rest.ahead[:0], ahead_offsets=np.zeros(3, np.int64))
    with pytest.raises(TimeOrderError, match=r"series 's0': no row lies after the last one"):
        from_table(fitted, gone)
    with pytest.raises(
        DataError, match=r"series 's0' must be known ahead, but there is no value from 2024-01-02 14:00.* on"
    ):
        from_table(fitted, replace(rest, time=rest.time + 20 * HOUR))


def test_values_too_far_from_the_training_rows() -> None:
    of = model()
    table = panel(of)
    table.y[3] = 1e17
    with pytest.raises(DataError, match=r"the table: 1e\+17 is more than 1e\+15 times farther out"):
        from_table(of, table)


def test_a_series_of_missing_values_gets_a_forecast() -> None:
    of = model(targets=2)
    table = panel(of, (4, 6))
    table.y[:4] = np.nan
    result = from_table(of, table, 9)
    assert np.isfinite(result.values).all()
    assert np.isfinite(result.lower[95]).all()


def test_the_future_does_not_reach_back() -> None:
    of = model(targets=2, covariates=True)
    table = panel(of, (9,))
    other = replace(table, y=table.y.copy(), past=table.past.copy(), ahead=table.ahead * 2)
    other.y[6:], other.past[6:] = 99.0, -5.0
    cut = np.array([6])
    known = [table.known[6:]]
    for one in (table, other):
        same_bits(state_after(of, one.cut(cut)).data, state_after(of, table.cut(cut)).data)
    assert len(known[0]) == 3
    rows = [rows_of(of.network, of.constants, of.schema, one, of.dtype) for one in (table, other)]
    expected = np.arange(9) < 4  # their known covariates end at row 6
    result = [next(roll(of.network, of.p, part, expected)).values for part in rows]
    same_bits(result[0], result[1])


def test_columns_are_rows_by_series_target_and_step() -> None:
    of = model(targets=2, independent=True)
    result = forecast(remembering(of, panel(of)), horizon=4)
    columns = result.columns()
    assert columns["site"].tolist()[::4] == ["s0/y0", "s0/y1", "s1/y0", "s1/y1"]
    assert columns["statecast-hi-95"].reshape(2, 2, 4)[1, 0, 3] == result.upper[95][1, 3, 0]
    assert (columns["hour"].reshape(2, 2, 4)[:, 1] == result.stamps).all()


# --- intervals


PRIOR = prior_quantiles(model(horizon=4, targets=2).network.head)


def test_quantiles_are_order_statistics_rounded_outwards() -> None:
    errors = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))[:, None, None]
    result = quantiles(errors, PRIOR[:, :1, :1])[:, 0, 0]
    assert result[np.searchsorted(GRID, 0.9)] == 90  # ⌈100 · 0.9⌉-th of 99
    assert result[np.searchsorted(GRID, 0.1)] == 10
    assert result[np.searchsorted(GRID, 0.905)] == 91
    assert result[np.searchsorted(GRID, 0.095)] == 9
    # Below 1/100 no score is left: the distance from the median goes on as that of a normal number does.
    assert result[np.searchsorted(GRID, 0.01)] == 1
    assert result[np.searchsorted(GRID, 0.0025)] == pytest.approx(50 - 49 * 2.8070338 / 2.3263479, rel=1e-6)
    assert result[np.searchsorted(GRID, 0.9975)] == pytest.approx(50 + 49 * 2.8070338 / 2.3263479, rel=1e-6)


@given(st.integers(0, 10_000), st.integers(0, 40))
def test_quantiles_are_numbers_and_ascend(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    errors = rng.standard_normal((count, 4, 2))
    errors[rng.random(errors.shape) < rng.random()] = np.nan
    result = quantiles(errors, PRIOR)
    assert result.shape == (401, 4, 2)
    assert np.isfinite(result).all()
    assert (np.diff(result, axis=0) >= 0).all()


def test_steps_with_few_errors_borrow() -> None:
    rng = np.random.default_rng(0)
    errors = rng.standard_normal((50, 4, 2))
    errors[3:, 3, 0] = np.nan
    errors[:, :, 1] = np.nan
    result = quantiles(errors, PRIOR)
    np.testing.assert_allclose(result[:, 3, 0], result[:, 2, 0] * np.sqrt(4 / 3))
    np.testing.assert_allclose(result[:, :, 1], PRIOR[..., 1])
    errors[3:, 0, 0] = np.nan
    result = quantiles(errors, PRIOR)
    np.testing.assert_allclose(result[:, 0, 0], result[:, 1, 0])


@pytest.mark.parametrize("level", [50, 80, 95])
@pytest.mark.parametrize("count", [10, 39, 400])
def test_intervals_hold_as_many_values_as_they_say(level: float, count: int) -> None:
    """The guarantee of split conformal prediction, where its conditions hold: errors are exchangeable, none fitted."""
    rng, held, draws = np.random.default_rng(0), 0, 400
    of = model(targets=1, horizon=1, precision="float64")
    raw, scale = np.zeros((1, 1, 1)), np.ones(1)
    for _ in range(draws):
        errors = rng.exponential(size=(count + 1, 1, 1)) - 1
        calibrated = replace(of, residuals=quantiles(errors[:-1], PRIOR[:, :1, :1]))
        below, above = calibrate.Spread(calibrated, raw, scale).at(level)
        held += bool(-below[0, 0] <= errors[-1, 0, 0] <= above[0, 0])
    share, noise = held / draws, 3 * np.sqrt(0.25 / draws)
    reachable = min(level / 100, (count - 1) / (count + 1))  # what the extreme errors can hold
    assert share >= reachable - noise
    if count == 400:
        assert share <= level / 100 + noise + 0.01


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_errors_to_one_side_leave_the_point_inside(sign: float) -> None:
    of = model()
    of = replace(of, residuals=sign * np.sort(1 + np.abs(of.residuals), axis=0)[:: int(sign)])
    result = from_table(of, panel(of), 5)
    for level in (80, 95):
        assert (result.lower[level] <= result.values).all()
        assert (result.values <= result.upper[level]).all()
        assert (result.lower[level] < result.upper[level]).all()


def test_intervals_without_any_error_are_a_random_walks() -> None:
    of = replace(model(), residuals=None)
    raw, scale = np.zeros((2, 3, 1, 1)), np.full((2, 1), 2.0)
    below, above = calibrate.Spread(of, raw, scale).at(80)
    np.testing.assert_allclose(below, above)
    np.testing.assert_allclose(above[0, :, 0], 2 * 1.2816 * np.sqrt(np.pi / 2) * np.sqrt([1, 2, 3]), rtol=1e-3)


def test_errors_are_compared_with_rows_before_the_limit_alone() -> None:
    of = model(precision="float64")
    table = panel(of, (8, 6), gaps=False)
    rows = rows_of(of.network, of.constants, of.schema, table, of.dtype)
    result = next(roll(of.network, of.p, rows, np.arange(14) == 3))
    values = from_working(of.constants, result.values)[..., 0]
    expected = (table.y[4:7, 0] - values[0, :, 0]) / of.constants["unit"] / result.scale[0]
    np.testing.assert_allclose(calibrate.scores(of.network.head, rows, result)[0, :, 0], expected)
    limited = calibrate.scores(of.network.head, rows, result, np.array([6, 6]))
    np.testing.assert_allclose(limited[0, :2, 0], expected[:2])
    assert np.isnan(limited[0, 2, 0])
    last = next(roll(of.network, of.p, rows, np.arange(14) == 6))
    assert np.isnan(calibrate.scores(of.network.head, rows, last)[0, 1:]).all()


@given(st.integers(0, 3000), st.integers(1, 50), st.integers(1, 4000))
def test_thinned_rows_are_few_and_miss_no_phase(count: int, numbers: int, most: int) -> None:
    chosen, stride = thin(np.ones(count, bool), numbers, most)
    assert chosen.sum() == -(-count // stride)
    assert chosen.sum() <= max(most / numbers + 1, 1)
    assert stride == 1 or all(stride % season for season in (2, 3, 5, 7))


def test_a_network_that_starts_from_nothing() -> None:
    of = model()
    neutral = replace(of, weights=mapped(np.zeros_like, of.weights), residuals=None)
    stream = Stream(neutral)
    result = stream.observe("a", 8.0, START)
    np.testing.assert_allclose(result.values, 8.0, rtol=1e-6)  # `last` and no weights: persistence
    assert isinstance(of.network, Network)


def test_forecasts_are_never_nan() -> None:
    rng = np.random.default_rng(0)
    values: list[Any] = [None, 0.0, 1e15, -1e15, 5.0, None, None, 1e-300, 1e14, 1e14, 1e14]
    for normalize in ("last", "ewma", "window", "global"):
        for head in HEADS:
            stream = Stream(model(normalize=normalize, head=head))
            allowed = [y for y in values if y is None or head != "logit" or -20 <= y <= 30]
            for k in range(25):
                result = stream.observe("a", allowed[int(rng.integers(len(allowed)))], None if k else START)
                assert np.isfinite(result.values).all()
                assert np.isfinite(result.upper[95]).all()


def test_a_forecast_that_is_not_finite_is_refused() -> None:
    """A network whose numbers have grown without end says nothing, and says so."""
    of = model("rnn_relu", dense=())
    table = panel(of)
    of = replace(of, weights=mapped(lambda array: array * np.float32(1e30), of.weights))
    with np.errstate(all="ignore"):
        state = state_after(of, table)
        again = forecast(of, state)
        with pytest.raises(DataError, match=r"the model has no finite forecast of series 's0': its numbers have grown"):
            _ = again.values
