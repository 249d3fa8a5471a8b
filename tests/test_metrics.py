"""Each metric against its formula written out, the accumulator against one pass, and what the verdict says."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from statecast.errors import SettingError
from statecast.forecast.scores.comparison import evaluation, skill
from statecast.forecast.scores.metrics import (
    Scores,
    coverage,
    crps,
    mae,
    mase,
    mse,
    msis,
    pinball,
    r2,
    rmse,
    seasonal_scale,
    smape,
    winkler,
)
from statecast.forecast.scores.terms import crps_terms
from statecast.forecast.scores.verdict import number, percent, verdict

Y = np.array([[1.0, 10.0], [2.0, np.nan], [0.0, 30.0], [4.0, 50.0]])
YHAT = np.array([[2.0, 12.0], [2.0, 99.0], [0.0, 27.0], [1.0, 50.0]])
ERRORS = [-1, 0, 0, 3, -2, 3, 0]


def test_the_errors_are_means_over_what_was_observed() -> None:
    assert mse(Y, YHAT) == pytest.approx(np.mean(np.square(ERRORS)))
    assert rmse(Y, YHAT) == pytest.approx(math.sqrt(np.mean(np.square(ERRORS))))
    assert mae(Y, YHAT) == pytest.approx(np.mean(np.abs(ERRORS)))


def test_smape_is_the_m4_form_and_nothing_by_nothing_is_nothing() -> None:
    terms = [200 / 3, 0, 0, 600 / 5, 400 / 22, 600 / 57, 0]
    assert smape(Y, YHAT) == pytest.approx(np.mean(terms))
    assert smape(np.array([1.0]), np.array([-1.0])) == 200
    assert smape(np.zeros(1), np.zeros(1)) == 0


def test_mase_leaves_out_series_without_scale() -> None:
    scale = np.array([[2.0, 1.0], [2.0, 1.0], [0.0, np.nan], [2.0, 4.0]])
    assert mase(Y, YHAT, scale) == pytest.approx(np.mean([1 / 2, 0, 3 / 2, 2, 0]))
    assert math.isnan(mase(Y, YHAT, 0.0))


def test_seasonal_scale() -> None:
    y = np.array([[1.0, 5.0, 0.1], [2.0, 5.0, 0.2], [4.0, 5.0, 0.1], [np.nan, 5.0, 0.1 + 0.1], [5.0, 5.0, 0.1]])
    np.testing.assert_allclose(seasonal_scale(y, 1), [1.5, 0, 0.1])
    np.testing.assert_allclose(seasonal_scale(y, 2), [2.0, 0, 0])
    assert np.isnan(seasonal_scale(y, 7)).all()
    # 0.3 and 0.1 + 0.2 differ by rounding alone: that is not a scale to measure by.
    assert seasonal_scale(np.array([[0.3], [0.1 + 0.2], [0.3]])) == 0
    with pytest.raises(SettingError, match="at least 1 row; got 0"):
        seasonal_scale(y, 0)


def test_r2_is_for_each_target_and_leaves_out_constants() -> None:
    one = 1 - 10 / np.sum((Y[:, 0] - Y[:, 0].mean()) ** 2)
    two = 1 - 13 / np.sum((np.array([10, 30, 50]) - 30) ** 2)
    assert r2(Y, YHAT) == pytest.approx((one + two) / 2)
    constant = np.column_stack([Y[:, 0], np.ones(4)])
    assert r2(constant, np.column_stack([YHAT[:, 0], np.zeros(4)])) == pytest.approx(one)


def test_pinball_weighs_under_and_over_by_the_quantile() -> None:
    assert pinball(np.array([3.0, np.nan, 1.0]), np.array([1.0, 1.0, 2.0]), 0.9) == pytest.approx((1.8 + 0.1) / 2)
    assert pinball(Y, YHAT, 0.5) == pytest.approx(mae(Y, YHAT) / 2)
    with pytest.raises(SettingError, match="between 0 and 1; got 90"):
        pinball(Y, YHAT, 90)


def test_coverage_counts_the_bounds_in() -> None:
    y = np.array([1.0, 2.0, 3.0, np.nan, 5.0])
    assert coverage(y, np.array([1.0, 0, 4, 0, 0]), np.array([2.0, 2, 5, 9, 4])) == 0.5


def test_intervals_in_the_scores() -> None:
    y, low, high = np.array([[1.0], [2.0], [np.nan]]), np.array([[0.0], [3.0], [0.0]]), np.array([[2.0], [4.0], [1.0]])
    scores = Scores.empty(1).add(y, y, lower={80: low}, upper={80: high})
    result = scores.result()
    assert result["coverage/80"] == 0.5
    assert result["width/80"] == 1.5
    assert result["pinball"] == pytest.approx((pinball(y, low, 0.1) + pinball(y, high, 0.9)) / 2)


def test_the_interval_score_worked_by_hand() -> None:
    """80 %: 2/α is 10. One value inside, one 1 above its interval, one 0.5 below, one missing."""
    y = np.array([[1.0], [5.0], [2.5], [np.nan]])
    low, high = np.array([[0.0], [3.0], [3.0], [0.0]]), np.array([[2.0], [4.0], [6.0], [1.0]])
    assert winkler(y, low, high, 80) == pytest.approx((2 + (1 + 10 * 1) + (3 + 10 * 0.5)) / 3)
    assert winkler(y, low, high, 95) == pytest.approx((2 + (1 + 40 * 1) + (3 + 40 * 0.5)) / 3)
    scale = np.array([[2.0], [4.0], [0.0], [1.0]])  # a series that never changes is left out
    assert msis(y, low, high, scale, 80) == pytest.approx((2 / 2 + 11 / 4) / 2)
    result = Scores.empty(1).add(y, y, scale, {80: low}, {80: high}).result()
    assert result["winkler/80"] == pytest.approx(winkler(y, low, high, 80))
    assert result["msis/80"] == pytest.approx(msis(y, low, high, scale, 80))
    # The interval score is 4/α times the mean pinball loss of the two bounds.
    assert result["winkler/80"] == pytest.approx(20 * result["pinball"])
    with pytest.raises(SettingError, match="between 0 and 100 percent; got 100"):
        winkler(y, low, high, 100)


def test_the_interval_score_is_least_at_the_quantiles() -> None:
    y = np.random.default_rng(0).normal(size=(20_000, 1))
    bounds = {share: np.quantile(y, [(1 - share) / 2, (1 + share) / 2]) for share in (0.7, 0.8, 0.9)}
    scores = {
        share: winkler(y, np.full_like(y, low), np.full_like(y, high), 80) for share, (low, high) in bounds.items()
    }
    assert min(scores, key=scores.__getitem__) == 0.8


def integrated(y: float, members: list[float], steps: int = 200_000) -> float:
    """The area between the squared distribution functions, by summing over a fine grid."""
    edges = np.linspace(min(y, *members), max(y, *members), steps + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.mean([middle >= member for member in members], axis=0)
    return float(np.sum((below - (middle >= y)) ** 2) * (edges[1] - edges[0]))


def test_crps_is_the_area_between_the_distribution_functions() -> None:
    assert crps(np.array([3.0, np.nan]), np.array([[1.0, 4.0], [0.0, 0.0]])) == pytest.approx(0.25 * 2 + 0.25 * 1)
    assert crps(Y, YHAT[..., None]) == pytest.approx(mae(Y, YHAT))
    rng = np.random.default_rng(0)
    for count in (1, 2, 7):
        y, members = rng.normal(size=3), rng.normal(size=(3, count))
        # E|X - y| - E|X - X'| / 2, Gneiting & Raftery (2007), and the integral of the definition.
        pairs = [np.abs(x - v).mean() - np.abs(x[:, None] - x).mean() / 2 for v, x in zip(y, members, strict=True)]
        assert crps(y, members) == pytest.approx(np.mean(pairs))
        grid = [integrated(float(v), x.tolist()) for v, x in zip(y, members, strict=True)]
        assert crps(y, members) == pytest.approx(np.mean(grid), rel=1e-3)
    with pytest.raises(SettingError, match=r"members \(4, 2\).*\(4, 2\) and an axis"):
        crps(Y, YHAT)


def test_crps_of_quantiles_that_come_one_by_one_is_that_of_members() -> None:
    rng = np.random.default_rng(1)
    y, members = rng.normal(size=(6, 2)), np.sort(rng.normal(size=(6, 2, 20)), axis=-1)
    terms = crps_terms(y, (((n + 0.5) / 20, members[..., n]) for n in rng.permutation(20)))
    assert terms.mean() == pytest.approx(crps(y, members))
    result = Scores.of(y, y, crps=terms).result()
    assert result["crps"] == pytest.approx(crps(y, members))
    assert "crps" not in Scores.of(y, y).result()


def test_a_forecast_that_is_no_number_is_told() -> None:
    scores = Scores.of(np.array([[1.0], [2.0], [np.nan]]), np.array([[1.5], [np.nan], [np.inf]]))
    assert (scores.count, scores.missed) == (1, 1)
    assert scores.result()["mae"] == 0.5
    said = verdict(evaluation(scores, {"persistence": Scores.of(np.ones((1, 1)), np.zeros((1, 1)))}))
    assert said[-1] == "1 forecast was not a number and is not in these scores; please report this."


def test_the_scores_of_a_target_are_those_of_its_pairs_alone() -> None:
    scores = Scores.of(Y, YHAT, scale=np.array([2.0, 10.0]))
    for d in (0, 1):
        alone = Scores.of(Y[:, d : d + 1], YHAT[:, d : d + 1], scale=[2.0, 10.0][d])
        assert scores.of_target(d).result() == pytest.approx(alone.result())


def test_shapes_and_levels_are_checked() -> None:
    with pytest.raises(SettingError, match=r"\(4, 2\).*\(4, 1\).*ends in 2 targets"):
        Scores.empty(2).add(Y, YHAT[:, :1])
    with pytest.raises(SettingError, match=r"same levels.*\[80\] and \[90\]"):
        Scores.empty(2).add(Y, YHAT, lower={80: YHAT}, upper={90: YHAT})


def test_no_pair_gives_no_number() -> None:
    result = Scores.empty(2).result()
    assert result["count"] == 0
    assert all(math.isnan(result[name]) for name in ("mse", "rmse", "mae", "smape", "mase", "r2"))


numbers = st.one_of(st.floats(-1e3, 1e3), st.just(math.nan))


@given(
    y=arrays(np.float64, (12, 3, 2), elements=numbers),
    yhat=arrays(np.float64, (12, 3, 2), elements=st.floats(-1e3, 1e3)),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    offset=st.sampled_from([0.0, 1e3, 1e6]),
)
def test_pieces_add_up_to_the_whole(y: np.ndarray, yhat: np.ndarray, cuts: list[int], offset: float) -> None:
    y, yhat, scale = y + offset, yhat + offset, np.array([0.5, 0.0])
    bounds = {"lower": {80: yhat - 1, 95: yhat - 2}, "upper": {80: yhat + 1, 95: yhat + 3}}
    whole = Scores.empty(2).add(y, yhat, scale, crps=np.abs(y - yhat), **bounds)
    pieces = Scores.empty(2)
    edges = [0, *sorted(cuts), 12]
    for start, stop in pairwise(edges):
        part = {side: {level: x[start:stop] for level, x in of.items()} for side, of in bounds.items()}
        pieces = pieces.add(y[start:stop], yhat[start:stop], scale, crps=np.abs(y - yhat)[start:stop], **part)
    # A spread that is rounding of the offset is no spread: r2 is compared where it means something.
    np.testing.assert_allclose(pieces.spread, whole.spread, rtol=1e-9, atol=1e-9 * max(1.0, offset) ** 2 * 1e-6)
    one, two = whole.result(), pieces.result()
    assert one.keys() == two.keys()
    for name in one.keys() - {"r2"}:
        assert two[name] == pytest.approx(one[name], rel=1e-9, abs=1e-9, nan_ok=True), name


def test_a_large_offset_does_not_cancel_in_r2() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(5000, 1))
    yhat = y + 0.5 * rng.normal(size=(5000, 1))
    moved = Scores.empty(1)
    for part in range(0, 5000, 7):
        moved = moved.add(y[part : part + 7] + 1e8, yhat[part : part + 7] + 1e8)
    assert moved.result()["r2"] == pytest.approx(r2(y, yhat), rel=1e-6)


def test_adding_makes_a_new_value() -> None:
    empty = Scores.empty(2)
    empty.add(Y, YHAT)
    assert empty.count == 0


@pytest.mark.parametrize(
    ("error", "baseline", "expected"),
    [(1, 2, 0.5), (2, 2, 0.0), (3, 2, -0.5), (0, 0, 0.0), (1, 0, None), (math.nan, 1, None), (1, math.nan, None)],
)
def test_skill(error: float, baseline: float, expected: float | None) -> None:
    assert skill(error, baseline) == expected


def scored(*errors: float) -> Scores:
    """Scores whose mean absolute error for each target is the one given."""
    return Scores.of(np.zeros((4, len(errors))), np.tile(np.asarray(errors, np.float64), (4, 1)))


def test_evaluation_is_plain_and_names_who_is_better() -> None:
    result = evaluation(scored(2.0), {"persistence": scored(1.5), "seasonal_naive": scored(1.0), "other": scored(4.0)})
    assert result["beaten_by"] == ["seasonal_naive", "persistence"]
    assert result["skill"]["other"] == pytest.approx(0.5)
    assert result["statecast"]["r2"] is None  # constant: JSON has no NaN
    assert "targets" not in result
    json.dumps(result, allow_nan=False)


def test_several_targets_have_an_evaluation_each() -> None:
    result = evaluation(scored(2.0, 60.0), {"persistence": scored(4.0, 50.0)}, ["load", "price"])
    assert list(result["targets"]) == ["load", "price"]
    for d, (target, part) in enumerate(result["targets"].items()):
        error, other = [(2.0, 4.0), (60.0, 50.0)][d]
        assert part == evaluation(scored(error), {"persistence": scored(other)}), target
    assert result["targets"]["price"]["beaten_by"] == ["persistence"]
    with pytest.raises(SettingError, match="2 targets; got 1 names: a"):
        evaluation(scored(1.0, 2.0), {}, ["a"])


def test_a_target_without_the_metric_is_compared_by_its_mean_absolute_error() -> None:
    y = np.zeros((4, 2))
    scores, baseline = (Scores.of(y, y + error, scale=np.array([1.0, 0.0])) for error in (1.0, 2.0))
    result = evaluation(scores, {"persistence": baseline}, ["a", "b"], "mase")
    assert [part["metric"] for part in result["targets"].values()] == ["mase", "mae"]
    assert [part["skill"]["persistence"] for part in result["targets"].values()] == [0.5, 0.5]


def test_evaluation_takes_errors_only() -> None:
    with pytest.raises(SettingError, match="got 'r2'"):
        evaluation(scored(1.0), {}, metric="r2")
    by_square = evaluation(scored(1.0, 3.0), {"persistence": scored(2.5, 2.5)}, metric="mse")
    assert by_square["skill"]["persistence"] == pytest.approx(1 - 5 / 6.25)


def test_the_verdict_says_when_a_baseline_is_better() -> None:
    said = verdict(evaluation(scored(2.0), {"persistence": scored(1.0), "seasonal_naive": scored(4.0)}))
    assert said[0] == "The network does not beat persistence (whose error of 1.000 is 50 % lower)."
    assert "Use persistence instead" in said[1]
    assert said[2] == "The network's mean absolute error of 2.000 is 50 % below that of seasonal naive."


def test_the_verdict_of_a_network_that_wins_says_nothing_else() -> None:
    said = verdict(evaluation(scored(1.0), {"persistence": scored(2.0), "seasonal_naive": scored(4.0)}))
    assert said == [
        "The network's mean absolute error of 1.000 is 50 % below that of persistence and "
        "75 % below that of seasonal naive."
    ]


def test_the_verdict_knows_draws_perfect_baselines_and_silence() -> None:
    assert "no better than persistence" in verdict(evaluation(scored(1.0), {"persistence": scored(1.0)}))[0]
    assert "which makes no error" in verdict(evaluation(scored(1.0), {"persistence": scored(0.0)}))[0]
    assert verdict(evaluation(Scores.empty(1), {"persistence": Scores.empty(1)})) == [
        "No test values were observed, so the network's error is unknown."
    ]


def test_the_verdict_names_targets_that_a_baseline_forecasts_better() -> None:
    result = evaluation(scored(1.0, 5.0), {"persistence": scored(9.0, 4.0)}, ["load", "price"])
    assert "For 1 of 2 targets persistence is better: price." in verdict(result)


def test_the_verdict_says_when_intervals_are_wrong() -> None:
    y = np.arange(100.0)[:, None]
    bounds = {"lower": {80: y - 1, 50: y - (y < 50)}, "upper": {80: y + 1, 50: y - (y >= 50)}}
    result = evaluation(Scores.empty(1).add(y, y + 1, **bounds), {"persistence": scored(9.0)})
    assert "The 80 % interval contained 100 % of the values: it is wider than it needs to be." in verdict(result)
    assert "The 50 % interval contained 50 % of the values." in verdict(result)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.23456, "1.235"),
        (12345, "12,345"),
        (0.012344, "0.01234"),
        (1e-9, "1.000e-09"),
        (None, "—"),
        (math.nan, "—"),
    ],
)
def test_numbers_have_four_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.4, "40 %"), (1, "100 %"), (0.9996, "100 %"), (0.002, "0.2 %"), (2, "200 %")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text
