"""The linear start: filters beside a slow reference written apart, straight maps beside plain least squares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from train_cases import panel_of, schema_of, settings

import statecast as sc
from statecast.config import Config
from statecast.data.segments import Split, split
from statecast.model.front import Front
from statecast.train.choose import skip
from statecast.train.fit import fit
from statecast.train.start import design, linear, recipes, straight
from statecast.train.start.design import Design
from statecast.train.start.evidence import HeldOut, beats
from statecast.train.start.filters import Aligned, Filters
from statecast.train.start.folds import Folds
from statecast.train.start.straight import Recipe
from statecast.train.working import WorkingTable


def reference(values: np.ndarray, season: int, horizon: int, parameters: tuple[float, ...]) -> list[float]:
    """Exponential smoothing of one series by the textbook, value by value; the forecasts behind the last value."""
    alpha, beta, phi, gamma = parameters
    if season > 1:
        cycles = min(len(values) // season, 3)
        means = [sum(values[k * season : (k + 1) * season]) / season for k in range(cycles)]
        slope = (means[-1] - means[0]) / ((cycles - 1) * season) if cycles > 1 else 0.0
        rest = [0.0] * season
        for k in range(cycles):
            for j in range(season):
                line = means[0] + slope * (k * season + j - (season - 1) / 2)
                rest[j] += (values[k * season + j] - line) / cycles
        seasonal = [one - sum(rest) / season for one in rest]
        level = means[0] - slope * (season + 1) / 2
    else:
        first = list(values[:6])
        slope = float(np.polyfit(range(len(first)), first, 1)[0]) if len(first) > 1 else 0.0
        level, seasonal = sum(first) / len(first) - slope * (len(first) + 1) / 2, [0.0]
    trend = slope if phi > 0 else 0.0
    for t, value in enumerate(values):
        error = value - (level + phi * trend + seasonal[t % season])
        level, trend = level + phi * trend + alpha * error, phi * trend + alpha * beta * error
        seasonal[t % season] += gamma * (1 - alpha) * error
    forecasts, damped = [], 0.0
    for k in range(1, horizon + 1):
        damped += phi**k
        forecasts.append(level + damped * trend + seasonal[(len(values) - 1 + k) % season])
    return forecasts


@pytest.mark.parametrize("season", [1, 4, 7])
@pytest.mark.parametrize("lengths", [(40, 23, 16), (5, 30, 9)])
def test_filters_are_those_of_the_textbook(season: int, lengths: tuple[int, ...]) -> None:
    """Series of unequal length side by side, each filter beside one that goes value by value."""
    r = np.random.default_rng(season)
    series = [np.cumsum(r.standard_normal(n)) for n in lengths if n >= season]
    counts = np.array([len(one) for one in series])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    aligned = Aligned.of(np.concatenate(series), offsets, counts, counts, 1000)
    filters = Filters.of(season, 5)
    ((_, forecasts),) = filters.run(aligned, [aligned.stop - 1])
    for number, values in enumerate(series):
        for p in range(0, filters.parameters.shape[1], 5):
            expected = reference(values, season, 5, tuple(filters.parameters[:, p]))
            np.testing.assert_allclose(forecasts[number, :, p], expected, rtol=1e-9, atol=1e-9)


def seasonal_series(length: int, season: int = 12, seed: int = 0) -> np.ndarray:
    r, t = np.random.default_rng(seed), np.arange(length)
    return np.asarray(20 + 0.1 * t + 5 * np.sin(2 * np.pi * t / season) + 0.5 * r.standard_normal(length))


def test_a_filter_passes_over_what_is_missing() -> None:
    values = np.repeat(3.0, 30)
    values[[4, 11, 29]] = np.nan
    series = Aligned(values[None], np.zeros(1, np.int64), 30)
    ((_, forecasts),) = Filters.of(1, 3).run(series, [29])
    np.testing.assert_allclose(forecasts, 3.0)


def table_of(*series: np.ndarray, **options: Any) -> tuple[Config, WorkingTable]:
    """Series in working units."""
    config, panel = settings(**{"test_size": 0, "val_size": 20} | options), panel_of(*series)
    parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
    return config, WorkingTable.of(config, schema_of(panel), panel, parts)


def design_of(table: WorkingTable, horizon: int, size: int) -> Design:
    return Design.empty(table, Front(targets=1, lags=1, skip=size, normalize="last", decay=0.01), 0, horizon, size)


def rows_by_hand(y: np.ndarray, size: int, horizon: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Last and next values relative to the last one, of the rows that have all of them before `stop`."""
    xs, ys = [], []
    for t in range(size - 1, stop - horizon):
        xs.append(y[t - size + 1 : t + 1] - y[t])
        ys.append(y[t + 1 : t + 1 + horizon] - y[t])
    return np.array(xs), np.array(ys)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_straight_map_is_least_squares(weighted: bool) -> None:
    """Beside stacked rows of plain least squares, whose penalty is rows of their own."""
    values, size, horizon, penalty = seasonal_series(120), 14, 3, 0.1
    _, table = table_of(values, horizon=horizon)
    unit = table.scales[0, 0]
    x, y = (part / unit for part in rows_by_hand(table.rows.y[:, 0], size, horizon, 100))

    def solved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        root = np.sqrt(penalty * np.trace(x.T @ x) / size)
        stacked = np.concatenate([x, root * np.eye(size)]), np.concatenate([y, np.zeros((size, horizon))])
        return np.asarray(np.linalg.lstsq(*stacked, rcond=None)[0])

    expected = solved(x, y)
    if weighted:
        error = np.sqrt(np.mean((y - x @ expected) ** 2, axis=1, keepdims=True))
        near = 1 / np.sqrt(np.maximum(error / np.median(error), 0.1))
        expected = solved(x * near, y * near)
    recipe = Recipe(((size, penalty),), drift=False, weighted=weighted)
    (weights,) = straight.solve(design_of(table, horizon, size).training(), recipe)
    np.testing.assert_allclose(weights[:-1], expected, rtol=1e-6, atol=1e-9)
    assert not weights[-1].any()


def test_maps_of_single_series_lie_between_their_own_and_the_common_one() -> None:
    """With little shrinkage a map is that of its series alone; with much it is that of all of them."""
    a, b = seasonal_series(90, 12, 1), seasonal_series(90, 5, 2)
    _, table = table_of(a, b)
    design = design_of(table, 2, 10).training()
    single = [
        straight.solve(design, Recipe(((10, 1e-3),), drift=False, shrinkages=(shrinkage,))) for shrinkage in (1e-6, 1e6)
    ]
    common = straight.solve(design, Recipe(((10, 1e-3),), drift=False))
    np.testing.assert_allclose(single[1], np.repeat(common, 2, axis=0), atol=1e-3)
    for number, values in enumerate((a, b)):
        _, one = table_of(values)
        alone = straight.solve(design_of(one, 2, 10).training(), Recipe(((10, 1e-6),), drift=False))
        np.testing.assert_allclose(single[0][number], alone[0], atol=2e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_equations_go_on_with_further_rows(weighted: bool) -> None:
    """Those of later rows are added to those of the rows before: the same map, without a look at the latter."""
    values = [seasonal_series(300, seed=seed) for seed in (0, 1)]
    values[1][250:260] = np.nan
    _, table = table_of(*values)
    lengths = np.diff(table.rows.offsets)
    every = replace(table, parts=Split(lengths, lengths))
    before, after = (design_of(t, 4, 24).training() for t in (table, every))
    recipe = Recipe(((12, 0.1), (24, 0.01)), False, weighted)
    plain = straight.NormalEquations.of(before, recipe.sizes, False)
    map_before = straight.common_map(plain, recipe)[0] if weighted else None
    equations = straight.NormalEquations.of(before, recipe.sizes, False, map_before)
    blend = linear.Blend(12, 0.0, recipe, 0, straight.Solution(straight.common_map(equations, recipe), equations))
    longer = linear.with_rows(design_of(every, 4, 0), blend, table.parts.train)
    assert longer.straight is not None
    expected = straight.NormalEquations.of(after, recipe.sizes, False, map_before)
    np.testing.assert_allclose(longer.straight.maps, straight.common_map(expected, recipe), rtol=1e-7, atol=1e-10)
    assert not np.allclose(longer.straight.maps, blend.straight.maps, rtol=1e-3)


def test_equations_are_kept_of_all_rows_and_of_one_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sample the rows left out could not be told from later ones; and those of each series take much room."""
    _, table = table_of(seasonal_series(600), val_size=100)
    empty = design_of(table, 4, 24)
    made = recipes.best(Folds.of(empty), [8, 24], True, False, True)
    assert made is not None and made.solution is not None and made.solution.equations is not None
    assert made.solution.equations.count == 1
    monkeypatch.setattr(design, "PRODUCTS", 1e5)
    made = recipes.best(Folds.of(empty), [8, 24], True, False, True)
    assert made is not None and made.solution is not None and made.solution.equations is None


def test_a_map_is_solved_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all the choices that compare it with others, and in the end."""
    _, table = table_of(seasonal_series(400))
    solved: list[tuple[int, Recipe]] = []
    solve = recipes.common_map
    monkeypatch.setattr(recipes, "common_map", lambda e, r: solved.append((id(e), r)) or solve(e, r))
    made = recipes.best(Folds.of(design_of(table, 4, 24)), [8, 24], True, False, True)
    assert made is not None
    assert len(solved) == len(set(solved)) > 2


def test_look_backs_are_averaged() -> None:
    _, table = table_of(seasonal_series(120))
    design = design_of(table, 2, 12).training()
    both, short, long = (
        straight.solve(design, Recipe(backs, drift=False))[0]
        for backs in (((4, 0.1), (12, 0.1)), ((4, 0.1),), ((12, 0.1),))
    )
    np.testing.assert_allclose(both[:-1], (np.pad(short[:-1], ((8, 0), (0, 0))) + long[:-1]) / 2, atol=1e-12)


def test_a_short_series_is_learned_from_as_well() -> None:
    """No row of it reaches as far back as the map does: the second half of them counts all the same."""
    long, short = seasonal_series(220), seasonal_series(60, 5, seed=1)
    recipe = Recipe(((48, 0.1),), drift=False)
    alone, together = (
        straight.solve(design_of(table_of(*series)[1], 2, 48).training(), recipe) for series in ((long,), (long, short))
    )
    assert not np.allclose(alone, together, rtol=1e-3)


def test_single_maps_have_look_backs_of_their_own() -> None:
    """The common map of many series has use for more of the last values than one series can tell the weights of."""
    r = np.random.default_rng(0)
    seasons = [np.resize(5 * r.standard_normal(length), 110) for length in range(5, 13)]
    series = [season + 0.3 * r.standard_normal(110) for season in seasons]
    _, table = table_of(*series, val_size=40)
    made = recipes.best(Folds.of(design_of(table, 4, 48)), [12, 24, 48], True, True, True)
    assert made is not None and made.recipe.shrinkages and made.recipe.size < 48
    alike = recipes.best(Folds.of(design_of(table, 4, 48)), [12, 24, 48], True, False, True)
    assert alike is not None and alike.recipe.size == 48 and not alike.recipe.shrinkages


def blend_of(*series: np.ndarray, **options: Any) -> linear.Blend | None:
    config, table = table_of(*series, skip=None, **options)
    return skip.best(config, table)[2][0]


def test_a_short_season_is_left_to_exponential_smoothing() -> None:
    blend = blend_of(seasonal_series(48), horizon=12, season=12, val_size=5)
    assert blend is not None and blend.share == 1.0 and blend.window == 48


@pytest.mark.parametrize(("refit", "window"), [(True, 48), (False, 43)])
def test_a_map_has_room_for_the_rows_of_the_second_training(refit: bool, window: int) -> None:
    """Cut to the training rows, it would lose the first season of few."""
    blend = blend_of(seasonal_series(48), horizon=12, season=12, val_size=5, refit=refit)
    assert blend is not None and blend.window == window


@pytest.mark.parametrize(
    ("period", "noise", "looked_at"), [(7.3, 0.01, [4]), (12.0, 0.05, [4, 9]), (12.0, 1.0, [4, 9])]
)
def test_some_of_many_series_tell_that_smoothing_loses(
    period: float, noise: float, looked_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried on the others then: on cycles that no season tells, but not on seasons with noise.

    With little noise least squares win beyond doubt, but a mean of both errs hardly more.
    """
    monkeypatch.setattr(recipes, "SERIES", 4)
    followed: list[int] = []
    of = linear.Extrapolation.of
    monkeypatch.setattr(
        linear.Extrapolation, "of", lambda series, *args: followed.append(len(series.values)) or of(series, *args)
    )
    r = np.random.default_rng(0)
    cycles = [np.sin((np.arange(200) + s) * 2 * np.pi / period) + noise * r.standard_normal(200) for s in range(9)]
    blend = blend_of(*cycles, horizon=4, season=12, val_size=60)
    assert followed == looked_at
    assert blend is not None and (blend.share > 0) == (len(looked_at) == 2)


@pytest.mark.parametrize(("units", "share"), [(2000, 0.125), (60, 0.0)])
def test_shares_that_err_nearly_alike_are_averaged_where_evidence_is_plenty(units: int, share: float) -> None:
    """Least squares win, and a quarter of smoothing errs hardly more; a half errs 2 % more."""
    noise, smoothing, least_squares = np.random.default_rng(1).standard_normal((3, units, 1))
    evidence = HeldOut(np.zeros((units, 1)), np.arange(units))
    assert linear.share_of(evidence, noise + 0.4 * smoothing, noise + 0.1 * least_squares) == share


@pytest.mark.parametrize(("units", "share"), [(2000, 0.5), (60, 1.0)])
def test_two_that_err_alike_are_averaged_where_evidence_is_plenty(units: int, share: float) -> None:
    """No stretch of evidence tells smoothing and least squares apart; few stretches leave the simpler one."""
    noise, difference = np.random.default_rng(2).standard_normal((2, units, 1))
    evidence = HeldOut(np.zeros((units, 1)), np.arange(units))
    assert linear.share_of(evidence, noise + 0.1 * difference, noise - 0.1 * difference) == share


def test_a_cycle_is_left_to_least_squares() -> None:
    """Filters know no cycle that no season tells; two last values carry it on without an error."""
    blend = blend_of(np.sin(np.arange(400) / 7.3), horizon=6, season=1)
    assert blend is not None and blend.share == 0.0 and blend.recipe is not None


@pytest.mark.parametrize("seed", range(3))
def test_a_drift_stays_out_where_it_gains_no_more_than_chance(seed: int) -> None:
    """A random walk has none; one that climbs by as much as it wanders in a step does."""
    steps = np.random.default_rng(seed).standard_normal((2, 600))
    for values, drift in ((np.cumsum(steps[0]), False), (np.cumsum(steps[1] + 1.0), True)):
        _, table = table_of(values, horizon=4, val_size=200)
        made = recipes.best(Folds.of(design_of(table, 4, 8)), [8], absolute=True, several=False, follows=True)
        assert made is not None and made.recipe.drift == drift


@pytest.mark.parametrize(("seed", "weighted"), [(0, True), (1, False)])
def test_plain_squares_are_kept_where_they_win_beyond_doubt(seed: int, weighted: bool) -> None:
    """They suit shocks of one size; on the first series they win by more than one standard error, but less than two."""
    shocks, values = np.random.default_rng(seed).choice([-1.0, 1.0], 400), np.zeros(400)
    for t in range(1, 400):
        values[t] = 0.6 * values[t - 1] + shocks[t]
    _, table = table_of(values, horizon=4, val_size=250)
    made = recipes.best(Folds.of(design_of(table, 4, 12)), [12], absolute=True, several=False, follows=True)
    assert made is not None and made.recipe.weighted == weighted


def test_a_drift_that_all_series_share_for_a_while_is_no_drift() -> None:
    """Sixty walks that climb together in the two stretches held out tell no more of later ones than one of them."""
    steps = np.random.default_rng(0).standard_normal((60, 100))
    steps[:, -40:] += 0.5
    _, table = table_of(*np.cumsum(steps, axis=1), horizon=10)
    folds = Folds.of(design_of(table, 10, 8))
    assert not folds.short and folds.evidence.count >= 60
    made = recipes.best(folds, [8], absolute=True, several=False, follows=True)
    assert made is not None and not made.recipe.drift


def test_what_comes_after_the_validation_rows_changes_nothing() -> None:
    values = seasonal_series(150)
    other = np.concatenate([values[:120], 1e3 * np.ones(30)])
    blends = [blend_of(one, horizon=4, season=12, test_size=30) for one in (values, other)]
    assert blends[0] == blends[1]


@pytest.mark.parametrize(("rows", "steps"), [(60, 0), (400, 2)])
def test_training_begins_only_where_its_gain_could_be_judged(rows: int, steps: int) -> None:
    panel = panel_of(seasonal_series(rows))
    config = settings(horizon=4, season=12, skip=None, max_steps=2, eval_every=1, val_size=0.1, test_size=0)
    result = fit(config, schema_of(panel), panel)
    assert result.training.steps == steps
    assert steps or result.training.verdict.startswith("too few validation rows")


def test_no_step_keeps_the_start() -> None:
    panel = panel_of(seasonal_series(400))
    assert fit(settings(skip=None, max_steps=0), schema_of(panel), panel).training.steps == 0


def test_errors_are_told_apart_beyond_chance() -> None:
    r = np.random.default_rng(0)
    errors = r.uniform(1, 2, 400)
    assert beats(errors - 0.1, errors) and not beats(errors, errors) and not beats(errors + 0.1, errors)
    assert not beats(r.uniform(1, 2, 400), errors, 3.0)
    held_out = HeldOut(np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 3.0]]), np.array([0, 0, 1]))
    assert held_out.mean(np.zeros((3, 2))) == pytest.approx(13 / 5) and held_out.count == 2


def test_a_season_and_a_half_is_enough_to_repeat_a_clear_season() -> None:
    pattern = 100 + 40 * np.random.default_rng(0).permutation(np.linspace(-1, 1, 12))
    y = np.tile(pattern, 3)[:26] + np.random.default_rng(1).normal(0, 2, 26)
    model = sc.Forecaster(horizon=8, season=12).fit(y[:18])
    errors = np.abs(model.forecast().values[0, :, 0] - y[18:])
    assert errors.mean() < 10  # the last value errs by 30
