"""The baselines beside a slow loop that says what they mean, and the properties that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from statecast.errors import SettingError
from statecast.forecast.scores.baselines import BASELINES, linear_extrapolation, persistence, seasonal_naive

series = arrays(
    np.float64, st.tuples(st.integers(1, 30), st.integers(1, 2)), elements=st.sampled_from([np.nan, 1, 2, 3, 7])
)


def slow(name: str, y: np.ndarray, t: int, k: int, season: int) -> float:
    """The forecast of y[t + k] made at t, for one target, as its definition reads."""
    observed = [i for i in range(t + 1) if not np.isnan(y[i])]
    if not observed:
        return np.nan
    if name == "seasonal_naive":
        places = [i for i in observed if (t + k - i) % season == 0]
        return y[places[-1]] if places else y[observed[-1]]
    if name == "linear_extrapolation" and len(observed) > 1:
        before, last = observed[-2:]
        return y[last] + (y[last] - y[before]) / (last - before) * (t + k - last)
    return y[observed[-1]]


@pytest.mark.parametrize("name", BASELINES)
@given(y=series, horizon=st.integers(1, 9), season=st.integers(1, 8))
def test_each_baseline_is_what_it_says(name: str, y: np.ndarray, horizon: int, season: int) -> None:
    origins = np.arange(len(y))
    result = BASELINES[name](y, origins, horizon, season)
    expected = [
        [[slow(name, y[:, d], t, k, season) for d in range(y.shape[1])] for k in range(1, horizon + 1)] for t in origins
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("name", BASELINES)
@given(y=series, data=st.data(), season=st.integers(1, 8))
def test_the_future_changes_nothing(name: str, y: np.ndarray, data: st.DataObject, season: int) -> None:
    t = data.draw(st.integers(0, len(y) - 1))
    other = y.copy()
    other[t + 1 :] = data.draw(st.sampled_from([np.nan, 1e9]))
    origin = np.array([t])
    np.testing.assert_array_equal(BASELINES[name](y, origin, 5, season), BASELINES[name](other, origin, 5, season))


@given(season=st.integers(1, 12), horizon=st.integers(1, 30), seed=st.integers(0, 99))
def test_seasonal_naive_is_exact_on_what_repeats(season: int, horizon: int, seed: int) -> None:
    y = np.resize(np.random.default_rng(seed).normal(size=season), 80)[:, None]
    origins = np.arange(season - 1, 80 - horizon)
    ahead = origins[:, None] + np.arange(1, horizon + 1)
    np.testing.assert_array_equal(seasonal_naive(y, origins, horizon, season), y[ahead])


@given(slope=st.integers(-5, 5), missing=st.sets(st.integers(3, 40)), horizon=st.integers(1, 20))
def test_linear_extrapolation_is_exact_on_a_line(slope: int, missing: set[int], horizon: int) -> None:
    line = 3.0 + slope * np.arange(80.0)[:, None]
    y = line.copy()
    y[list(missing)] = np.nan
    origins = np.arange(1, 80 - horizon)
    ahead = origins[:, None] + np.arange(1, horizon + 1)
    np.testing.assert_allclose(linear_extrapolation(y, origins, horizon), line[ahead], rtol=1e-9, atol=1e-9)


def test_missing_places_fall_back_season_by_season() -> None:
    y = np.array([1, 2, 3, np.nan, 5, 6, np.nan, np.nan, 9.0])[:, None]
    assert seasonal_naive(y, np.array([8]), 3, season=3)[0, :, 0].tolist() == [1, 5, 9]
    y[0] = np.nan
    assert seasonal_naive(y, np.array([8]), 1, season=3)[0, 0, 0] == 9  # no season left: the last value


def test_shapes_and_no_origins() -> None:
    y = np.zeros((5, 2))
    for baseline in BASELINES.values():
        assert baseline(y, np.array([1, 3, 4]), 7, 2).shape == (3, 7, 2)
        assert baseline(y, np.zeros(0, int), 7, 2).shape == (0, 7, 2)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(SettingError, match="at least 1 step; got 0 and 1"):
        persistence(np.zeros((5, 1)), np.array([1]), 0)
    with pytest.raises(SettingError, match="0 to 4; got 1 to 5"):
        persistence(np.zeros((5, 1)), np.array([1, 5]), 1)
