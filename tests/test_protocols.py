"""The arithmetic of the accuracy protocols: splits, windows and metrics, against small cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fits
import numpy as np
import others
import polars as pl
import pytest
from peers import Problem
from protocols import PROTOCOLS, Protocol
from protocols.competitions import competition, owa
from protocols.intervals import crps, interval_score, quantiles
from protocols.loads import hourly_zones
from protocols.long_horizon import ett, standardised
from protocols.protocol import Forecasts, arrange, without_last

import statecast
from statecast.forecast.scores import metrics

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NEEDS_DATA = pytest.mark.skipif(not DATA.exists(), reason="the tables in ../shared/data are not at hand")
DAY = datetime(2020, 1, 1)


def wide() -> Protocol:
    """Twenty rows, two columns; 10 for training with mean 2 and 20, deviation 1 and 10; 4 for validation, 6 to test."""
    signs = np.tile([-1.0, 1.0], 5)
    rest = np.arange(10, 20)
    frame = pl.DataFrame({
        "time": [DAY + timedelta(days=n) for n in range(20)],
        "a": np.concatenate([2 + signs, rest]),
        "b": np.concatenate([20 + 10 * signs, 10.0 * rest]),
    })  # fmt: skip
    return standardised(
        frame,
        "time",
        ("a", "b"),
        10,
        4,
        6,
        name="wide",
        title="",
        split="{windows} windows",
        horizon=2,
        season=2,
        freq="D",
    )


def short() -> Protocol:
    """Two series whose seasonal differences are 2 and 10 on average; two test rows each."""
    train = {"s2": np.array([1.0, 2.0, 3.0, 4.0]), "s10": np.array([0.0, 0.0, 10.0, 10.0, 20.0])}
    test = {"s2": np.array([5.0, 6.0]), "s10": np.array([30.0, 0.0])}
    begins = dict.fromkeys(train, np.datetime64("2000-01-31T00", "us"))
    return competition(
        train, test, begins, "h", name="short", title="", season=2, freq="h", shown=("owa", "smape", "mase")
    )


def zones(gap: bool = True) -> pl.DataFrame:
    """Zone A has 12 hours, one of them twice and the fourth missing; B ends earlier; the rows are not in order."""
    hours = [*range(12), 5]
    a = [float(h) for h in range(12)] + [15.0]
    b = [None, None, *[2.0 * h for h in range(2, 11)], None, None]
    frame = pl.DataFrame({"time": [DAY + timedelta(hours=h) for h in hours], "A": a, "B": b})
    return frame.filter(pl.int_range(pl.len()) != 3)[::-1] if gap else frame


# --- splits and windows


def test_columns_are_standardised_by_their_training_rows() -> None:
    p = wide()
    for series in p.series:
        assert series.y[:2].tolist() == [-1.0, 1.0]
        assert series.y[10:].tolist() == (np.arange(10, 20) - 2).tolist()
    assert p.table["b"].to_list() == p.series[1].y.tolist()


def test_the_first_target_of_the_first_window_is_the_first_test_row_and_the_last_batch_counts() -> None:
    p = wide()
    assert (p.windows, p.rows, p.split) == (5, 10, "5 windows")
    assert p.origins(p.series[0]).tolist() == [13, 14, 15, 16, 17]
    assert p.actual(p.series[0]).tolist() == [[12 + k, 13 + k] for k in range(5)]
    assert p.learnable.height == 14
    assert p.learnable["time"].max() == DAY + timedelta(days=13)


def test_windows_a_step_apart_begin_with_the_first_test_row_too() -> None:
    p = replace(wide(), step=2)
    assert p.windows == 3
    assert p.origins(p.series[0]).tolist() == [13, 15, 17]


@pytest.mark.parametrize(("name", "hour", "horizon"), [("ETTh1", 1, 96), ("ETTh1", 1, 720), ("ETTm1", 4, 96)])
def test_ett_has_twelve_four_and_four_months(tmp_path: Path, name: str, hour: int, horizon: int) -> None:
    rows = 17420 * hour
    columns = {
        target: np.arange(rows) % 7 + d
        for d, target in enumerate(("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"))
    }
    times = np.datetime64("2016-07-01T00", "us") + np.arange(rows) * np.timedelta64(60 // hour, "m")
    (tmp_path / "ett").mkdir()
    pl.DataFrame({"date": times, **columns}).write_csv(tmp_path / "ett" / f"{name}.csv")
    p = ett(tmp_path, name, horizon)
    assert (p.learnable.height, p.test, p.season) == (11520 * hour, 2880 * hour, 24 * hour)
    assert p.settings["val_size"] == 2880 * hour
    assert p.windows == 2880 * hour - horizon + 1
    assert len(p.series) == 7
    assert p.origins(p.series[0])[0] == 11520 * hour - 1
    assert p.actual(p.series[6])[0, 0] == p.table["OT"][11520 * hour]


def test_a_competitions_test_file_is_withheld() -> None:
    p = short()
    assert (p.windows, p.rows, p.horizon, p.settings) == (1, 2, 2, {})
    assert p.learnable.group_by("unique_id").len().sort("len")["len"].to_list() == [4, 5]
    assert [p.actual(s).tolist() for s in p.series] == [[[5.0, 6.0]], [[30.0, 0.0]]]
    assert p.learnable.filter(pl.col("unique_id") == "s2")["ds"].diff()[1:].to_list() == [timedelta(hours=1)] * 3


def test_months_begin_on_their_first_day() -> None:
    p = short()
    train = {series.name: series.y[:-2] for series in p.series}
    test = {series.name: series.y[-2:] for series in p.series}
    monthly = competition(
        train, test, dict.fromkeys(train, np.datetime64("1999-11-01", "us")), "M",
        name="", title="", season=12, freq="MS", shown=("mase",),
    )  # fmt: skip
    months = monthly.learnable.filter(pl.col("unique_id") == "s2")["ds"].dt.strftime("%Y-%m-%d").to_list()
    assert months == ["1999-11-01", "1999-12-01", "2000-01-01", "2000-02-01"]


def test_zones_have_their_own_ends_their_gaps_and_the_mean_of_an_hour_that_stands_twice() -> None:
    p = hourly_zones(zones(), "time", test=4, horizon=2)
    a, b = p.series
    assert np.array_equal(a.y, [0, 1, 2, np.nan, 4, 10, 6, 7, 8, 9, 10, 11], equal_nan=True)
    assert np.array_equal(b.y, [4, np.nan, 8, 10, 12, 14, 16, 18, 20], equal_nan=True)
    assert b.begin == np.datetime64("2020-01-01T02", "h")
    assert (p.windows, p.step) == (2, 2)
    assert (p.origins(a).tolist(), p.origins(b).tolist()) == ([7, 9], [4, 6])
    last = dict(p.learnable.group_by("zone").agg(pl.col("time").max()).iter_rows())
    assert last == {"A": DAY + timedelta(hours=7), "B": DAY + timedelta(hours=6)}
    assert p.learnable.height == 7 + 4
    assert not p.learnable["time"].is_sorted()


# --- metrics


def test_errors_are_means_over_all_columns_windows_and_steps() -> None:
    p = wide()
    actual = np.concatenate([p.actual(series) for series in p.series])
    off = np.zeros_like(actual)
    off[0, 0], off[9, 1] = 3.0, -1.0
    result = p.scores(Forecasts(actual + off))
    assert result["mse"] == pytest.approx((9 + 1) / 20)
    assert result["mae"] == pytest.approx((3 + 1) / 20)
    assert "coverage/80" not in result


def test_smape_mase_and_owa_are_those_of_the_competition() -> None:
    p = short()
    result = fits.scored(p, Forecasts(np.array([[4.0, 8.0], [20.0, 0.0]])))
    # |5 − 4| and |6 − 8| in units of 2; |30 − 20| in units of (10 + 10 + 10) / 3, and an exact 0.
    assert result["mase"] == pytest.approx((1 / 2 + 2 / 2 + 10 / 10 + 0) / 4)
    assert result["smape"] == pytest.approx((200 * 1 / 9 + 200 * 2 / 14 + 200 * 10 / 50 + 0) / 4)
    assert result["owa"] == pytest.approx((result["smape"] / 18.383 + result["mase"] / 2.395) / 2)
    assert owa(18.383, 2.395) == 1
    assert owa(13.912, 1.193) == pytest.approx(0.6275, abs=5e-5)  # seasonal naive, as published


def test_the_unit_of_mase_knows_no_test_row() -> None:
    p = short()
    assert p.scores(p.naive("persistence"))["mase"] == pytest.approx((1 / 2 + 2 / 2 + 10 / 10 + 20 / 10) / 4)


def test_coverage_is_the_share_of_values_inside() -> None:
    p = short()
    point = np.array([[5.0, 6.0], [30.0, 0.0]])
    lower, upper = point - 1, point + 1
    lower[0, 0], upper[1, 1] = 5.5, -0.5
    result = p.scores(Forecasts(point, {80: lower, 95: point}, {80: upper, 95: point}))
    assert (result["coverage/80"], result["coverage/95"]) == (0.5, 1.0)


def test_a_value_that_is_not_known_counts_for_no_one_and_a_forecast_that_is_no_number_is_told() -> None:
    table = zones(gap=False).with_columns(pl.when(pl.col("A") == 9).then(None).otherwise("A").alias("A"))
    p = hourly_zones(table, "time", test=4, horizon=2)
    actual = np.concatenate([p.actual(series) for series in p.series])
    assert np.isnan(actual).sum() == 1
    assert p.scores(Forecasts(np.nan_to_num(actual) + 1))["mae"] == 1
    actual[2, 0] = np.nan
    assert p.scores(Forecasts(actual + 1))["missed"] == 1


def test_forecasts_that_are_missing_are_no_scores() -> None:
    with pytest.raises(ValueError, match=r"expected forecasts \(10, 2\), got \(9, 2\)"):
        wide().scores(Forecasts(np.zeros((9, 2))))


def test_naive_forecasts_stand_in_the_order_of_the_protocol() -> None:
    p = wide()
    assert p.naive("persistence").point[[0, 4, 5, 9]].tolist() == [[11, 11], [15, 15], [11, 11], [15, 15]]
    assert p.naive("seasonal_naive").point[[0, 9]].tolist() == [[10, 11], [14, 15]]


def test_sparse_origins_are_spread_over_the_test_rows() -> None:
    p = replace(wide(), sparse=3)
    assert p.sparse_rows.tolist() == [0, 2, 4, 5, 7, 9]
    made = p.naive("persistence")
    all_of_them = p.scores(made.at(np.arange(10)), np.arange(10))
    assert all_of_them == p.scores(made)
    # Persistence misses the next two of a rising line by 1 and 2 everywhere, so any of its rows tell the same.
    assert p.scores(made.at(p.sparse_rows), p.sparse_rows)["mae"] == 1.5


def test_an_interval_costs_its_width_and_what_it_misses() -> None:
    y, lower, upper = np.array([0.0, 5.0, 12.0, np.nan]), np.full(4, 1.0), np.full(4, 9.0)
    # 80 %: 10 times the way to a value outside; 95 %: 40 times.
    assert interval_score(y, lower, upper, 80)[:3] == pytest.approx([8 + 10 * 1, 8, 8 + 10 * 3])
    assert interval_score(y, lower, upper, 95)[:3] == pytest.approx([8 + 40 * 1, 8, 8 + 40 * 3])
    assert np.isnan(interval_score(y, lower, upper, 80)[3])


def test_crps_is_twice_the_area_under_the_pinball_loss() -> None:
    # Pinball losses of 0 at the quantiles 10, 50 and 90 %: .1 · 1, .5 · 0, .1 · 2; the trapezoids have these widths.
    q = quantiles(np.array([0.0]), {80: np.array([-1.0])}, {80: np.array([2.0])})
    area = 0.1 * 0.1 / 2 + 0.4 * (0.1 + 0) / 2 + 0.4 * (0 + 0.2) / 2 + 0.1 * 0.2 / 2
    assert crps(np.array([0.0]), q) == pytest.approx([2 * area])
    # With many quantiles of a normal distribution it comes to the known value: σ (√2 − 1)/√π at the mean.
    shares = np.arange(1, 1000) / 1000
    normal = np.quantile(np.random.default_rng(0).normal(size=400_000), shares)
    fine = crps(np.zeros(1), {share: np.array([value]) for share, value in zip(shares, normal, strict=True)})
    assert fine == pytest.approx([(np.sqrt(2) - 1) / np.sqrt(np.pi)], rel=0.01)


def test_interval_scores_are_in_the_unit_of_each_series() -> None:
    p = short()
    point = np.array([[5.0, 6.0], [30.0, 0.0]])
    lower, upper = point - 1, point + 1
    upper[0, 0] = 4.5
    result = p.scores(Forecasts(point, {80: lower, 95: lower}, {80: upper, 95: upper}))
    # Units 2 and 10; the first interval is .5 wide and misses by .5.
    assert result["msis/80"] == pytest.approx(((0.5 + 10 * 0.5) / 2 + 2 / 2 + 2 / 10 + 2 / 10) / 4)
    assert result["msis/95"] == pytest.approx(((0.5 + 40 * 0.5) / 2 + 2 / 2 + 2 / 10 + 2 / 10) / 4)
    assert 0 < result["scaled_crps"] < result["msis/80"]
    assert "scaled_crps" not in p.scores(Forecasts(point))


def test_the_packages_own_metrics_agree() -> None:
    rng = np.random.default_rng(3)
    y, point = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    p = short()
    p = replace(
        p, series=tuple(replace(s, y=np.concatenate([s.y[:-2], row])) for s, row in zip(p.series, y, strict=True))
    )
    widths = {80: rng.uniform(0.1, 1, size=(2, 2)), 95: rng.uniform(1, 2, size=(2, 2))}
    result = p.scores(
        Forecasts(point, {x: point - w for x, w in widths.items()}, {x: point + w for x, w in widths.items()})
    )
    unit = np.array([[2.0], [10.0]])
    for level, width in widths.items():
        assert result[f"msis/{level}"] == pytest.approx(metrics.msis(y, point - width, point + width, unit, level))
    # Members that are equally likely and many: the trapezoids over their quantiles are their CRPS.
    members = np.sort(rng.normal(size=(2, 2, 400)))
    fine = {(n + 0.5) / 400: members[..., n] for n in range(400)}
    assert crps(y, fine).mean() == pytest.approx(metrics.crps(y, members), rel=0.01)


# --- rows on which choices may be made


def test_rows_cut_off_hold_no_test_row() -> None:
    p = replace(hourly_zones(zones(), "time", test=2, horizon=2), season=1)
    cut = replace(p, series=tuple(replace(s, y=np.concatenate([s.y] * 3)) for s in p.series)).before_test()
    assert cut.series[0].y.size == 3 * 12 - 2
    assert cut.table.equals(p.learnable)
    assert cut.learnable.height == len(p.table) - 4 - 4  # two hours more of each zone


def test_a_series_that_another_protocol_tests_or_that_is_too_short_is_not_used_for_choices() -> None:
    p = competition(
        {name: np.arange(float(rows)) for name, rows in (("long", 14), ("short", 9), ("drawn", 14))},
        dict.fromkeys(("long", "short", "drawn"), np.zeros(2)),
        dict.fromkeys(("long", "short", "drawn"), np.datetime64("2000-01-01", "us")), "h",
        name="", title="", season=2, freq="h", shown=("mase",),
    )  # fmt: skip
    cut = replace(p, reserved=frozenset({"drawn"})).before_test()
    assert [series.name for series in cut.series] == ["long"]
    assert cut.learnable["y"].to_list() == [float(row) for row in range(12)]
    assert cut.actual(cut.series[0]).tolist() == [[12.0, 13.0]]


@pytest.mark.parametrize(
    ("freq", "unit", "left"), [("MS", "M", "2000-05"), ("QS", "3M", "2001-01"), ("YS", "Y", "2004")]
)
def test_the_last_months_quarters_and_years_are_dropped(freq: str, unit: str, left: str) -> None:
    times = (np.datetime64("2000-01-01").astype(f"datetime64[{unit}]") + np.arange(8)).astype("datetime64[us]")
    frame = without_last(pl.DataFrame({"time": times}), {"time": "time"}, freq, 3)
    assert frame["time"].max() == np.datetime64(left, "us").astype(datetime)


# --- from frames to arrays


def test_forecasts_are_put_into_the_order_of_the_protocol() -> None:
    p = short()
    ids = np.array(["s10", "s10", "s2", "s2"], dtype=object)
    made = arrange(p, ids, {"point": np.array([1, 2, 3, 4]), "lo-80": np.arange(4), "hi-80": np.arange(4)}, windows=1)
    assert made.point.tolist() == [[3, 4], [1, 2]]
    assert made.lower[80].tolist() == [[2, 3], [0, 1]]
    with pytest.raises(ValueError, match="expected 1 × 2 forecasts of each of 2 series"):
        arrange(p, ids[:2], {"point": np.array([1, 2])}, windows=1)


class Persistent:
    """Stands in for a fitted model: forecasts the last value it was given, as `backtest` lays its frames out."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names, self.asked = names, []  # type: tuple[str, ...], list[int]

    def backtest(self, table: pl.DataFrame, windows: int, step: int) -> pl.DataFrame:
        self.asked.append(windows)
        rows: list[dict[str, Any]] = []
        for name in self.names:
            for window in range(windows):
                row = len(table) - 3 - step * (windows - 1 - window)
                rows += [{"unique_id": name, "statecast": table[name][row]}] * 2
        bounds = {f"statecast-{side}-{level}": pl.col("statecast") for side in ("lo", "hi") for level in (80, 95)}
        return pl.DataFrame(rows).with_columns(**bounds)


@pytest.mark.parametrize(("most", "sizes"), [(20, [5]), (8, [2, 2, 1])])
def test_many_origins_are_asked_for_in_blocks(monkeypatch: pytest.MonkeyPatch, most: int, sizes: list[int]) -> None:
    monkeypatch.setattr(fits, "NUMBERS", most)
    p, model = wide(), Persistent(("a", "b"))
    made = fits.backtested(p, model)
    assert model.asked == sizes
    assert made.point.tolist() == p.naive("persistence").point.tolist()


def test_a_fit_is_given_what_the_protocol_fixes_and_what_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    call: dict[str, Any] = {}

    class Fitted:
        def __init__(self, **settings: Any) -> None:
            call.update(settings)

        def fit(self, table: pl.DataFrame, **roles: Any) -> None:
            call.update(rows=len(table), **roles)

    monkeypatch.setattr(statecast, "Forecaster", Fitted)
    p = wide()
    fits.fitted(p, p.learnable, 7, {"ensemble": 1})
    assert call == {
        "horizon": 2, "random_state": 7, "test_size": 0, "val_size": 4, "ensemble": 1,
        "rows": 14, "target": ["a", "b"], "time": "time",
    }  # fmt: skip


@pytest.mark.parametrize("alone", [True, False])
def test_a_protocol_says_which_network_of_a_fit_is_scored(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    class TwoNetworks:
        """The network that learned every row misses by 1, the one before by 2."""

        def __init__(self, error: float) -> None:
            self.error, self.reasons_ = error, dict[str, str]()
            self.model_ = SimpleNamespace(config=SimpleNamespace(refit=True, to_dict=dict))

        def tested(self) -> TwoNetworks:
            return TwoNetworks(2.0)

    p = replace(wide(), training_alone=alone)
    actual = np.concatenate([p.actual(series) for series in p.series])
    monkeypatch.setattr(fits, "fitted", lambda *_: TwoNetworks(1.0))
    monkeypatch.setattr(fits, "backtested", lambda _, model: Forecasts(actual + model.error))
    run = fits.measure(p, 0, {})
    assert (run["scores"]["mae"], run["beside"]["scores"]["mae"]) == ((2, 1) if alone else (1, 2))
    assert run["beside"]["label"] == (fits.EVERY_ROW if alone else fits.TRAINING_ROWS)


def test_a_peer_is_told_the_same_origins(tmp_path: Path) -> None:
    p = replace(hourly_zones(zones(), "time", test=4, horizon=2), sparse=1)
    others.write_problem(p, tmp_path / "problem.npz")
    problem = Problem(str(tmp_path / "problem.npz"))
    origins = [[problem.origin(s, w) for w in range(problem.windows)] for s in range(2)]
    assert origins == [p.origins(series).tolist() for series in p.series]
    assert problem.y[0][3] == 3  # between its neighbours
    assert problem.frame(1, 0, 2, "B")["ds"].tolist() == [DAY + timedelta(hours=2), DAY + timedelta(hours=3)]


# --- the real tables, against published figures


@NEEDS_DATA
def test_seasonal_naive_scores_on_m4_hourly_what_was_published() -> None:
    p = PROTOCOLS["m4-hourly"](DATA)
    result = fits.scored(p, p.naive("seasonal_naive"))
    assert len(p.series) == 414
    assert (round(result["smape"], 3), round(result["mase"], 3)) == (13.912, 1.193)
    assert result["owa"] == pytest.approx(0.627454, abs=1e-4)


@NEEDS_DATA
def test_seasonal_naive_scores_on_tourism_what_was_published() -> None:
    p = PROTOCOLS["tourism-monthly"](DATA)
    assert len(p.series) == 366
    assert p.scores(p.naive("seasonal_naive"))["mase"] == pytest.approx(1.63094, abs=5e-6)


@NEEDS_DATA
@pytest.mark.parametrize(
    ("period", "series", "published"),
    [("monthly", 617, 1.3145), ("quarterly", 203, 2.0775), ("yearly", 181, 4.8943)],
)
def test_seasonal_naive_scores_on_m1_what_was_published(period: str, series: int, published: float) -> None:
    p = PROTOCOLS[f"m1-{period}"](DATA)
    assert len(p.series) == series
    assert p.scores(p.naive("seasonal_naive"))["mase"] == pytest.approx(published, rel=5e-4)


@NEEDS_DATA
@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_a_fit_gets_is_the_table_without_its_test_rows(name: str) -> None:
    p = PROTOCOLS[name](DATA)
    assert without_last(p.table, p.roles, p.freq, p.test).equals(p.learnable)


@NEEDS_DATA
def test_the_tables_of_loads_have_their_test_year_at_the_end() -> None:
    p = PROTOCOLS["victoria"](DATA)
    assert (p.windows, p.series[0].known.shape) == (365, (52608, 1))
    assert p.table["Time"][p.learnable.height].isoformat() == "2014-01-01T00:00:00+11:00"
    zoned = PROTOCOLS["pjm"](DATA)
    ends = SimpleNamespace(**{series.name: series.begin + len(series.y) - 1 for series in zoned.series})
    assert (len(zoned.series), zoned.windows) == (12, 365)
    assert (ends.AEP, ends.NI) == (np.datetime64("2018-08-03T00"), np.datetime64("2011-01-01T00"))
