"""Intervals where errors are few: never empty, never equal for two levels, and said to be an estimate."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel, remembering
from hypothesis import given
from hypothesis import strategies as st

from statecast.data.segments import split
from statecast.forecast import assemble, calibrate
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.predict import forecast
from statecast.forecast.sample import sample
from statecast.forecast.scores.verdict import verdict
from statecast.model.adaptive import GRID, bounds_of, prior_quantiles
from statecast.model.trained import Model

LEVELS = (50, 80, 90, 95, 99)


def widths(quantiles: np.ndarray) -> np.ndarray:
    """The width of each level's interval, [L, H, D] in scores."""
    return np.stack([np.subtract(*bounds_of(quantiles, level)[::-1]) for level in LEVELS])


@st.composite
def few_scores(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores of any size with gaps, some steps or targets without any, and the prior of their head."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    horizon, targets = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    head = model(head=draw(st.sampled_from(["point", "pinball"])), horizon=horizon, targets=targets).network.head
    scores = rng.standard_normal((draw(st.integers(0, 30)), horizon, targets)) * 10.0 ** draw(st.integers(-6, 6))
    scores[rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = np.nan
    scores[:, rng.random((horizon, targets)) < draw(st.sampled_from([0.0, 0.5]))] = np.nan
    return scores, prior_quantiles(head)


@given(few_scores())
def test_widths_are_positive_numbers_and_levels_nest_strictly_however_few_scores_there_are(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    for quantiles in (calibrate.sized(*case), calibrate.quantiles(*case)):
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=0) >= 0).all()
        assert (widths(quantiles)[0] >= 0).all()
        assert (np.diff(widths(quantiles), axis=0) > 0).all()


@given(few_scores())
def test_an_estimated_size_is_symmetric_and_steps_without_scores_go_on_from_those_before(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, prior = case
    quantiles = calibrate.sized(scores, prior)
    np.testing.assert_allclose(quantiles, -quantiles[::-1], rtol=1e-9)
    without = np.isnan(scores).all(axis=0)
    growth = quantiles[-1] / prior[-1]
    before = np.concatenate([np.ones((1, scores.shape[2])), growth[:-1]])
    np.testing.assert_allclose(growth[without], before[without], rtol=1e-9)


def test_an_estimated_size_worked_by_hand() -> None:
    """Two scores one step ahead and one two steps ahead; the prior is a random walk with steps of mean size 1."""
    prior = prior_quantiles(model(horizon=3).network.head)
    scores = np.array([[[1.0], [4.0], [np.nan]], [[-2.0], [np.nan], [np.nan]]])
    one = (1 + 4 + 2 * np.pi / 2) / (2 + 2)
    two = (0.5 * 16 + 2 * (2 * one)) / (0.5 + 2)  # a score two steps ahead counts half
    expected = np.sqrt(np.array([one, two, two * 3 / 2]) / (np.pi / 2 * np.arange(1, 4)))
    np.testing.assert_allclose(calibrate.sized(scores, prior)[:, :, 0], prior[:, :, 0] * expected)
    # Errors of rows that were trained on, with no others to tell how much too small they are, count a quarter.
    one = (1 + 4) / 2
    one, less = (0.5 * one + 2 * np.pi / 2) / 2.5, calibrate.sized(scores, prior, calibrate.FITTED)
    np.testing.assert_allclose(less[:, 0, 0], prior[:, 0, 0] * np.sqrt(one / (np.pi / 2)))


def calibrated(rows: int, horizon: int, **settings: Any) -> Model:
    """A model of random weights, calibrated on a series of this length as the default split leaves it."""
    of = model(horizon=horizon, precision="float64", use_calendar=False, **settings)
    table = panel(of, (rows,), gaps=False)
    return assemble.assemble(of, Feed.of(of, table), split(table.lengths, horizon, 0.1, 0.1))[0]


@pytest.mark.parametrize("head", ["point", "pinball", "normal"])
@pytest.mark.parametrize(("rows", "horizon"), [(144, 200), (15, 12), (5, 12), (40, 16)])
def test_where_no_whole_horizon_could_be_compared_intervals_widen_with_the_step(
    rows: int, horizon: int, head: str
) -> None:
    of = calibrated(rows, horizon, head=head)
    said = forecast(of, levels=LEVELS)
    point = said.values
    for level, outer in pairwise(LEVELS):
        assert (said.lower[outer] < said.lower[level]).all()
        assert (said.lower[level] < point).all()
        assert (point < said.upper[level]).all()
        assert (said.upper[level] < said.upper[outer]).all()
        assert np.isfinite(said.lower[outer]).all()
        assert np.isfinite(said.upper[outer]).all()
    if head == "point":
        low, high = bounds_of(of.quantiles, 80)
        width = (high - low)[:, 0]
        assert (width[1:] > 0.5 * width[:-1]).all()
        # Beyond the last step with an error there is nothing but the growth of a random walk.
        errors = rows - max(rows // 2, 1)
        later = np.arange(errors + 1, horizon + 1)
        np.testing.assert_allclose(width[errors:], width[min(errors, horizon) - 1] * np.sqrt(later / errors))
    assert not of.scores["calibration"]["enough"]


def test_what_the_intervals_rest_on_is_said() -> None:
    few, many = calibrated(15, 12), calibrated(200, 3)
    assert few.scores["calibration"] == {"validation": 0, "training": 8, "enough": False}
    assert any("too few" in sentence and "intervals" in sentence for sentence in verdict(few.scores))
    assert few.reasons is not None
    assert few.reasons["levels"].startswith("too few rows")
    assert many.scores["calibration"]["validation"] > 0
    assert "levels" not in (many.reasons or {})
    assert not any("held out" in sentence or "too few" in sentence for sentence in verdict(many.scores))
    of = model(horizon=3, precision="float64", use_calendar=False)
    table = panel(of, (200,), gaps=False)
    fitted = assemble.assemble(of, Feed.of(of, table), split(table.lengths, 3, 0, 20))[0]
    assert fitted.scores["calibration"]["validation"] == 0
    assert any("were held out" in sentence for sentence in verdict(fitted.scores))


def test_ten_series_of_one_origin_each_are_enough() -> None:
    of = model(horizon=12, precision="float64", use_calendar=False)
    table = panel(of, (14,) * 10, gaps=False)
    made = assemble.assemble(of, Feed.of(of, table), split(table.lengths, 12, 0.1, 0.1))[0]
    assert made.scores["calibration"] == {"validation": 0, "training": 10, "enough": True}


def test_sampled_values_lie_in_the_intervals_as_often_as_the_level_says() -> None:
    """Without stretches to draw from, paths are random walks that keep the calibrated quantiles of each step."""
    of = remembering(model(horizon=4), panel(model(horizon=4)))
    skewed = np.sort(np.random.default_rng(0).exponential(size=(len(GRID), 4, 1)) - 1, axis=0)
    of = replace(of, residuals=skewed, paths=None)
    state = of.state.gather(("s0",))
    values, said = sample(of, 4000, state).values[0], forecast(of, state, levels=(50, 80))
    for level in (50, 80):
        inside = (values >= said.lower[level][0]) & (values <= said.upper[level][0])
        np.testing.assert_allclose(inside.mean(axis=0), level / 100, atol=0.03)


@pytest.mark.parametrize("level", [99.75, 99.8, 99.9, 99.99])
def test_levels_beyond_the_grid_go_on_as_those_of_a_normal_number(level: float) -> None:
    normal = prior_quantiles(model(head="normal", horizon=1).network.head)
    low, high = bounds_of(normal, level)
    assert (-low, high) == (pytest.approx(NormalDist().inv_cdf((100 + level) / 200)),) * 2
    assert (bounds_of(normal, level - 0.01)[1] < high) == (level > 99.76)  # where the grid ends, it rounds outwards


def test_a_forecast_below_the_floor_has_an_interval_that_begins_there() -> None:
    """As after a row far below all others: the network goes on downwards, and a positive series cannot."""
    of = model(lags=2, skip=2)
    of = replace(of, constants=of.constants | {"floor": np.full(1, 1e3)})
    ahead = forecast(remembering(of, panel(of)), levels=(50, 95, 99.9))
    assert (ahead.values == 1e3).all()
    for lower in ahead.lower.values():
        assert (lower == 1e3).all()
    widths = [ahead.upper[level] for level in (50, 95, 99.9)]
    assert (widths[0] > 1e3).all()
    assert (widths[1] > widths[0]).all()
    assert (widths[2] > widths[1]).all()
