"""Extrapolations: autoregressions beside a slow reference written apart, and how members are weighted."""

from __future__ import annotations

import numpy as np
import pytest

from statecast.train.start import extrapolation, filters
from statecast.train.start.autoregression import Autoregressions, Member
from statecast.train.start.extrapolation import Extrapolation, caution_of, reach, shrunk, weights_of
from statecast.train.start.filters import Aligned, Filters


def profile_of(values: list[float], season: int) -> list[float]:
    """Of the season by the textbook, the phase of the newest value last."""
    count = len(values) // season
    cycles = [values[len(values) - (count - k) * season :][:season] for k in range(count)]
    means = [sum(cycle) / season for cycle in cycles]
    slope = (means[-1] - means[0]) / ((count - 1) * season) if count > 1 else 0.0
    rest = [
        sum(cycle[j] - mean - slope * (j - (season - 1) / 2) for cycle, mean in zip(cycles, means, strict=True)) / count
        for j in range(season)
    ]
    return [(one - sum(rest) / season) * (1 - 1 / count) for one in rest]


def reference(values: np.ndarray, member: Member, season: int, horizon: int) -> list[float]:
    """An autoregression of one series, value by value: least squares with rows of their own for the penalty."""
    known = [bool(np.isfinite(value)) for value in values]
    series = [float(value) for value in values]
    for t, there in enumerate(known):
        series[t] = series[t] if there else series[t - 1]
    profile = profile_of(series, season) if member.profile else [0.0] * season
    plain = [value - profile[(t - len(series)) % season] for t, value in enumerate(series)]
    lag, p = member.lag, member.order
    rest = [plain[t] - plain[t - lag] for t in range(lag, len(plain))] if lag else list(plain)
    known = [known[t] and known[t - lag] for t in range(lag, len(plain))]
    mean = 0.0 if lag == 1 else sum(rest) / len(rest)
    rest = [value - mean for value in rest]
    rows = [t for t in range(p, len(rest)) if all(known[t - p : t + 1])]
    x = np.array([[rest[t - k] for k in range(1, p + 1)] for t in rows])
    y = np.array([rest[t] for t in rows])
    root = np.sqrt(0.05 * (x**2).sum() / p)
    weights = np.linalg.lstsq(np.vstack([x, root * np.eye(p)]), np.append(y, np.zeros(p)), rcond=None)[0]
    largest = max(1.0, *np.abs(np.roots([1.0, *-weights])))
    weights = weights / largest ** np.arange(1, p + 1)
    for _ in range(horizon):
        rest.append(sum(weights[k] * rest[-1 - k] for k in range(p)))
    for value in rest[-horizon:]:
        plain.append(value + mean + (plain[-lag] if lag else 0.0))
    return [value + profile[k % season] for k, value in enumerate(plain[-horizon:])]


def aligned_of(*series: np.ndarray) -> Aligned:
    """Series that end together."""
    counts = np.array([len(values) for values in series])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Aligned.of(np.concatenate(series), offsets, counts, counts, 1000)


def seasonal_series(length: int, season: int = 12, seed: int = 0, noise: float = 0.5) -> np.ndarray:
    r, t = np.random.default_rng(seed), np.arange(length)
    return np.asarray(20 + 0.1 * t + 5 * np.sin(2 * np.pi * t / season) + noise * r.standard_normal(length))


def swing(length: int, seed: int = 0) -> np.ndarray:
    """Around ten values up and ten values down, of no fixed length."""
    shocks, values = np.random.default_rng(seed).standard_normal(length + 100), [0.0, 0.0]
    for shock in shocks:
        values.append(1.85 * values[-1] - 0.95 * values[-2] + shock)
    return 50 + np.array(values[-length:])


@pytest.mark.parametrize("season", [1, 4, 7])
@pytest.mark.parametrize("gaps", [False, True])
def test_autoregressions_are_those_of_the_textbook(season: int, gaps: bool) -> None:
    """Series of unequal length side by side, each member beside one that goes value by value."""
    r = np.random.default_rng(season)
    series = [np.cumsum(r.standard_normal(n)) + 10 * (np.arange(n) % max(season, 2)) for n in (40, 33, 26)]
    if gaps:
        series[0][[9, 20, 21, 39]] = np.nan
    members = Autoregressions.of(season, 9)
    aligned = aligned_of(*series)
    for place in (aligned.stop - 1, aligned.stop - 4):
        ((_, forecasts),) = members.run(aligned, [place])
        for number, values in enumerate(series):
            past = values[: len(values) - (aligned.stop - 1 - place)]
            for p, member in enumerate(members.members):
                expected = reference(past, member, season, 9)
                np.testing.assert_allclose(forecasts[number, :, p], expected, rtol=1e-7, atol=1e-7)


def test_an_autoregression_knows_nothing_of_what_comes_after_its_origin() -> None:
    values = seasonal_series(60)
    other = np.concatenate([values[:40], 1e3 * np.ones(20)])
    members = Autoregressions.of(12, 6)
    both = [next(members.run(aligned_of(one), [39, 59]))[1] for one in (values, other)]
    np.testing.assert_array_equal(*both)
    assert np.isfinite(both[0]).all()


def test_an_autoregression_does_not_grow_without_end() -> None:
    """Differences that grow by a tenth in each step go on as large as the last one was, at most."""
    values = 1.1 ** np.arange(80)
    ((_, forecasts),) = Autoregressions.of(1, 100).run(aligned_of(values), [79])
    steps = np.abs(np.diff(np.concatenate([np.full((1, 4), values[-1]), forecasts[0]]), axis=0))
    assert steps.max() < 1.1 * (values[-1] - values[-2])


@pytest.mark.parametrize(("length", "season", "horizon"), [(60, 12, 6), (30, 1, 6), (17, 4, 6), (95, 40, 60)])
def test_a_map_forecasts_what_its_members_do(length: int, season: int, horizon: int) -> None:
    values = seasonal_series(length, max(season, 2))
    aligned = aligned_of(values)
    mean = Extrapolation.of(aligned, season, horizon)
    ((_, forecasts),) = mean.run(aligned, [length - 1])
    (weights,) = mean.maps(length)
    np.testing.assert_allclose(values @ weights, forecasts[0], rtol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-9)  # a level is carried on as it is


def test_filters_followed_back_in_parts_make_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is followed back at a time bounds the memory, and no map depends on it."""
    members = Filters.of(12, 6)
    weights = np.random.default_rng(0).dirichlet(np.ones(members.count), 2)
    aligned = aligned_of(seasonal_series(60))
    whole = members.maps(aligned, 60, weights)
    monkeypatch.setattr(filters, "OWED", 1)
    np.testing.assert_allclose(members.maps(aligned, 60, weights), whole, rtol=1e-12, atol=1e-15)


def test_a_long_season_takes_no_more_values_than_maps_can() -> None:
    """A season of a year of hours would make maps of ten years; seasonal members leave their weight to the others."""
    assert reach(24) == 240
    assert reach(8766) == reach(628) == 2000


def test_maps_are_those_of_each_series() -> None:
    """Coefficients of autoregressions are those of the series whose map it is, whatever its place in the table."""
    series = [swing(50, seed) for seed in (1, 2)] + [swing(80, 3)]
    aligned = aligned_of(*series)
    mean = Extrapolation.of(aligned, 1, 4)
    ((_, forecasts),) = mean.run(aligned, [aligned.stop - 1])
    for values, weights, expected in zip(series, mean.maps(80), forecasts, strict=True):
        np.testing.assert_allclose(values @ weights[80 - len(values) :], expected, rtol=0.02)


def test_a_window_of_less_than_two_seasons_has_no_season() -> None:
    """The members without one share the weight of those that cannot begin."""
    mean = Extrapolation.of(aligned_of(seasonal_series(60)), 12, 3)
    plain = [weights * (bank.fewest <= 5) for bank, weights in zip(mean.banks, mean.weights, strict=True)]
    total = sum(float(weights.sum()) for weights in plain)
    other = Extrapolation(mean.series, mean.banks, tuple(weights / total for weights in plain))
    np.testing.assert_allclose(mean.maps(5), other.maps(5), rtol=1e-9)
    assert not np.allclose(mean.maps(30), other.maps(30))


def test_better_filters_weigh_more() -> None:
    """A season that repeats exactly is left to the members with a season."""
    mean = Extrapolation.of(aligned_of(np.tile([1.0, 5.0, 2.0, 8.0], 12)), 4, 4)
    _, seasonal, plain = mean.weights
    assert seasonal.sum() > 0.99 and plain.sum() < 0.01


def test_families_count_much_the_same_unless_one_errs_far_less() -> None:
    shares = []
    for values, season in ((seasonal_series(60), 12), (swing(400), 1)):
        autoregressions, smoothing, *_ = (part[0] for part in Extrapolation.of(aligned_of(values), season, 6).weights)
        repetition = smoothing[-1]  # whose share belongs to no family
        shares.append(autoregressions.sum() / (1 - repetition))
    assert 0.25 < shares[0] < 0.75 and shares[1] > 0.95


def test_noise_does_not_look_like_a_season() -> None:
    noise = [np.random.default_rng(seed).standard_normal(84) for seed in range(10)]
    # Repeating the last season has a share of its own, whatever the others find.
    shares = [[weights[0, :-1].sum() for weights in Extrapolation.of(aligned_of(y), 12, 12).weights] for y in noise]
    _, seasonal, plain = np.mean(shares, axis=0)
    assert seasonal < plain
    _, (seasonal,), (plain,) = (
        w.sum(axis=1) for w in Extrapolation.of(aligned_of(seasonal_series(84)), 12, 12).weights
    )
    assert seasonal > 10 * plain


def test_the_best_members_weigh_the_more_the_more_seasons_there_are() -> None:
    """So many members as have a weight, by the sum of its squares."""
    series = [seasonal_series(length, noise=2.0) for length in (36, 240)]
    counts = [
        1 / sum(float((weights**2).sum()) for weights in Extrapolation.of(aligned_of(values), 12, 6).weights)
        for values in series
    ]
    assert counts[0] > 1.5 * counts[1]


def test_errors_of_a_series_are_shrunk_to_those_of_all() -> None:
    errors = np.array([[1.0, 4.0, 2.0], [3.0, 3.0, np.nan], [0.0, 1.0, 5.0]])
    expected = [[1.0, 0.5 * 4 + 0.5 * 2, 2.0], [1.0, 0.5 + 0.5 * 2, np.nan], [0.0, 1.0, 5.0]]
    np.testing.assert_allclose(shrunk(errors), expected)
    weights = weights_of(shrunk(errors[:1]), np.ones((1, 1)))
    np.testing.assert_allclose(weights, weights_of(errors[:1], 2 * np.ones((1, 1))))  # alone, its own count by half


def test_repeating_the_last_season_has_a_share_where_the_mean_hardly_gains_on_it() -> None:
    """Of a trend that smoothing follows little, of a walk with a season more, and nothing in a table of several."""
    rng = np.random.default_rng(3)
    trend = np.arange(60.0) + seasonal_series(60, noise=0.1)
    walk = np.cumsum(rng.normal(0, 1, 60)) + seasonal_series(60)
    shares = []
    for series in ([trend], [walk], [walk, walk]):
        seasonal = Extrapolation.of(aligned_of(*series), 12, 6).weights[1][0]
        shares.append(float(seasonal[-1]))
    assert shares[0] < 0.01 and shares[1] > 0.05 and shares[2] < 0.01


def test_shares_of_mean_and_repetition_are_inverse_to_the_squares_of_their_errors() -> None:
    """A quarter for each part of the mean where both err alike; none where nothing is known."""
    errors = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [np.nan, np.nan]])
    np.testing.assert_allclose(caution_of(errors)[:, 0], [0.2, 1 / 17, 1.0, 0.0, 0.0, 0.0])


def test_a_series_learns_of_others_which_members_serve() -> None:
    """With few rows of its own it says little; beside others its weights lie nearer to theirs."""
    short = seasonal_series(27, noise=3.0, seed=5)
    neighbours = [seasonal_series(120, noise=0.3, seed=seed) for seed in range(10, 20)]
    alone, among = (Extrapolation.of(aligned_of(*series), 12, 6) for series in ([short], [short, *neighbours]))
    common = among.weights[1][1:].mean(axis=0) / among.weights[1][1:].sum(axis=1).mean()
    apart = [np.abs(one.weights[1][0] / one.weights[1][0].sum() - common).sum() for one in (alone, among)]
    assert apart[1] < 0.8 * apart[0]


def test_parts_of_a_table_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = aligned_of(*(seasonal_series(48, seed=seed) for seed in range(5)))
    whole = Extrapolation.of(aligned, 12, 6)
    monkeypatch.setattr(extrapolation, "NUMBERS", 1)
    for one, other in zip(whole.weights, Extrapolation.of(aligned, 12, 6).weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
