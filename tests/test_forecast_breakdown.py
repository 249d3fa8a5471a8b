"""One forecast taken apart: the parts sum to it in every kind of network, and each is what its weights say."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from forecast_cases import HEADS, arguments, known_rows, model, panel, value

import statecast as sc
from statecast.data.panel import Panel
from statecast.errors import DataError, SettingError, UnknownSeries
from statecast.forecast.breakdown import Breakdown, of_state, of_table
from statecast.forecast.moves import secant
from statecast.forecast.predict import from_table, state_after
from statecast.forecast.shapley import EXACT, shapley
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.model.trained import Model

SEVERAL: dict[str, Any] = {"series": ("s0", "s1")}
KINDS: dict[str, dict[str, Any]] = {name: {"head": name} for name in HEADS}
KINDS |= {f"{name} with covariates": {"head": name, "covariates": True, "lags": 6, "skip": 6} for name in HEADS}
KINDS |= {
    "ensemble": {"ensemble": 3, "covariates": True},
    "ensemble of counts": {"ensemble": 3, "head": "negative_binomial"},
    "joint": {"targets": 2, "covariates": True},
    "independent": {"targets": 2, "independent": True},
    "local": {"local": True, **SEVERAL},
    "local skip": {"local_skip": True, "ensemble": 2, **SEVERAL},
    "embedding": {"embedding": 2, "ensemble": 2, **SEVERAL},
    "no layers": {"hidden": (), "dense": ()},
    "no skip": {"skip": 0},
    "holidays": {"holidays": {"2024-01-03": "new"}},
    "linear cell": {"cell": "lru"},
}
KINDS |= {f"normalize {name}": {"normalize": name} for name in ("ewma", "window", "global", "none")}


def summed(result: Breakdown, precision: str) -> None:
    """The parts are finite and sum to the forecasts."""
    assert np.isfinite(result.amounts).all()
    tolerance = 1e-9 if precision == "float64" else 1e-5
    sums, size = result.amounts.sum(axis=1), float(np.abs(result.values).max())
    np.testing.assert_allclose(sums, result.values, rtol=tolerance, atol=tolerance * size)


def at_rows(table: Panel, result: Breakdown) -> Panel:
    """The table up to the rows that a breakdown is from."""
    series = np.array([table.ids.index(name) for name in result.ids])
    rows = [int(np.searchsorted(table.time[table.span(s)], t)) for s, t in zip(series, result.last, strict=True)]
    return table.pieces(series, np.zeros_like(series), np.array(rows) + 1)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", KINDS)
def test_the_parts_of_a_row_sum_to_its_forecast(name: str, precision: str) -> None:
    """From the first row, from one in a gap and from the last, which are those of an ordinary forecast."""
    of = model(precision=precision, **KINDS[name])
    table = panel(of)
    for at in (table.time[0], table.time[4], "last"):
        result = of_table(of, table, at)
        summed(result, precision)
        expected = from_table(of, at_rows(table, result)).values
        np.testing.assert_allclose(result.values, expected, rtol=1e-5 if precision == "float32" else 1e-9, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_the_parts_of_a_state_sum_to_its_forecast(name: str) -> None:
    of = model(precision="float64", **KINDS[name])
    table = panel(of)
    future = [table.ahead[slice(*table.ahead_offsets[s : s + 2])] for s in range(table.series)]
    result = of_state(of, state_after(of, table), future)
    summed(result, "float64")
    np.testing.assert_allclose(result.values, from_table(of, table).values, rtol=1e-9)
    assert len(set(result.parts)) == len(result.parts)


def test_a_stream_takes_apart_what_it_holds() -> None:
    """Observation by observation, across a gap and with what is known ahead, by name or in order."""
    of = model(precision="float64", covariates=True)
    table = panel(of, (9,))
    stream = Stream(of, State.empty(of.layout, of.dtype))
    for row in range(table.rows):
        if not np.isnan(table.y[row]).all():
            stream.observe("s0", value(table, row), table.time[row], **arguments(of, table, row))
    known = {"s0": known_rows(table.ahead)}
    result = stream.breakdown(["s0"], known)
    summed(result, "float64")
    np.testing.assert_allclose(result.values, stream.forecast(["s0"], known=known).values)
    names = [part.name for part in result.parts]
    assert names[-1] == "recurrence"
    assert {"heat", "open", "hour"} <= set(names)
    assert "wind" not in names
    with pytest.raises(DataError, match="give a row for each step"):
        stream.breakdown()
    with pytest.raises(UnknownSeries):
        stream.breakdown(["s7"], {"s7": known["s0"]})


def amounts(result: Breakdown) -> dict[str, np.ndarray]:
    return {part.name: result.amounts[0, n] for n, part in enumerate(result.parts)}


def bare(**settings: Any) -> Model:
    """A network whose head says nothing, so that its skip alone forecasts."""
    of = model(precision="float64", hidden=(), dense=(), use_calendar=False, missing=False, **settings)
    head = {"out": {name: np.zeros_like(value) for name, value in of.weights["head"]["out"].items()}}
    constants = of.network.constants() | {"origin": np.array([2.0]), "unit": np.array([3.0])}
    return replace(of, constants=constants, weights=of.weights | {"head": head})


def test_a_seasonal_naive_skip_is_season_alone() -> None:
    """The season is four rows long: the step k ahead is the value 4 − k rows before the last one."""
    of = bare(horizon=4, skip=8, lags=1)
    skip = np.zeros_like(of.weights["skip"]["W"])
    for step in range(4):
        skip[0, 8 - (4 - step), step] = 1
    of = replace(of, weights=of.weights | {"skip": {"W": skip}})
    table = panel(of, (12,), gaps=False)
    table.y[:, 0] = np.arange(12.0) ** 1.5
    parts = amounts(of_table(of, table))
    assert set(parts) == {"level", "constant", "season", "recent values", "earlier values"}
    np.testing.assert_allclose(parts["level"], table.y[-1, 0])
    np.testing.assert_allclose(parts["season"][:, 0], table.y[-4:, 0] - table.y[-1, 0], atol=1e-12)
    for name in ("constant", "recent values", "earlier values"):
        np.testing.assert_allclose(parts[name], 0, atol=1e-12)


@pytest.mark.parametrize(("lag", "name"), [(2, "recent values"), (3, "season"), (6, "earlier values"), (7, "season")])
def test_each_lag_of_the_skip_belongs_to_one_part(lag: int, name: str) -> None:
    """Seen from the second step ahead, of a season of four."""
    of = bare(horizon=2, skip=8, lags=1)
    skip = np.zeros_like(of.weights["skip"]["W"])
    skip[0, 8 - lag, 1] = 2.0
    of = replace(of, weights=of.weights | {"skip": {"W": skip}})
    table = panel(of, (12,), gaps=False)
    table.y[:, 0] = np.arange(12.0) ** 1.5
    parts = amounts(of_table(of, table))
    moved = {part for part, amount in parts.items() if abs(amount[1, 0]) > 1e-9}
    assert moved == {"level", name}
    np.testing.assert_allclose(parts[name][1, 0], 2 * (table.y[-lag, 0] - table.y[-1, 0]))


def test_without_a_season_all_last_values_are_recent() -> None:
    of = model()
    of = replace(of, config=of.config.with_(season=1))
    names = {part.name for part in of_table(of, panel(of)).parts}
    assert "recent values" in names
    assert not names & {"season", "earlier values"}


def test_a_covariate_without_weight_has_no_part() -> None:
    whole = model(precision="float64", covariates=True)
    front, cell = whole.network.front, whole.weights["stack"]["cells"]["0"]
    weights, column = cell["W"].copy(), front.lags + 2 * front.missing + 2 * front.level_input
    weights[[column, column + 1]] = 0  # the wind, and the mark of its being missing
    stack = whole.weights["stack"] | {"cells": {"0": cell | {"W": weights}}}
    of = replace(whole, weights=whole.weights | {"stack": stack})
    table = panel(of)
    table.past[table.offsets[1:] - 1] = 3.0
    assert np.abs(amounts(of_table(whole, table))["wind"]).max() > 1e-3
    parts = amounts(of_table(of, table))
    np.testing.assert_allclose(parts["wind"], 0, atol=1e-12)
    assert all(np.abs(parts[name]).max() > 1e-6 for name in ("heat", "open", "area", "recurrence"))


def test_a_layer_that_nobody_hears_has_no_part() -> None:
    of = model(precision="float64")
    head = of.weights["head"]["out"]
    of = replace(of, weights=of.weights | {"head": {"out": head | {"W": np.zeros_like(head["W"])}}})
    for result in (of_table(of, panel(of)), of_state(of, state_after(of, panel(of)))):
        np.testing.assert_allclose(amounts(result)["recurrence"], 0, atol=1e-12)


def test_where_a_logarithm_lies_between_parts_keep_their_proportions() -> None:
    of = bare(horizon=1, skip=2, lags=1, head="log")
    of = replace(of, constants=of.constants | {"least": np.array([0.1])})
    of = replace(of, config=of.config.with_(season=1))
    table = panel(of, (12,), gaps=False)
    table.y[:, 0] = np.linspace(1.0, 9.0, 12)
    result = of_table(of, table)
    parts = amounts(result)
    np.testing.assert_allclose(parts["level"][0, 0], 9.0)
    np.testing.assert_allclose(parts["recent values"][0, 0], result.values[0, 0, 0] - 9.0)


def test_secants_of_points_that_lie_together_are_slopes() -> None:
    begin = np.array([0.0, 1.0, 1.0])
    np.testing.assert_allclose(secant(np.exp, begin, np.array([1.0, 1.0, 1.0 + 1e-9])), [np.e - 1, np.e, np.e])


@pytest.mark.parametrize("players", [0, 1, 4, EXACT + 2])
def test_shapley_values_of_a_known_game(players: int) -> None:
    """Alone each is worth its number squared; a pair of neighbours that plays together has one more, shared."""

    def game(coalitions: np.ndarray) -> np.ndarray:
        alone = coalitions @ np.arange(players) ** 2.0
        return np.asarray(7 + alone + (coalitions[:, 1:] & coalitions[:, :-1]).sum(axis=1))

    empty, values = shapley(game, players)
    neighbours = np.array([(n > 0) + (n < players - 1) for n in range(players)], float)
    assert empty == 7
    np.testing.assert_allclose(7 + values.sum(), game(np.ones((1, players), bool))[0])
    exact = players <= EXACT
    np.testing.assert_allclose(values, np.arange(players) ** 2.0 + neighbours / 2, atol=1e-12 if exact else 0.35)


def test_shapley_values_are_means_over_all_orders() -> None:
    results = np.random.default_rng(0).standard_normal((16, 2))

    def game(coalitions: np.ndarray) -> np.ndarray:
        return np.asarray(results[coalitions @ (1 << np.arange(4))])

    expected = np.zeros((4, 2))
    for order in permutations(range(4)):
        before = 0
        for player in order:
            expected[player] += (results[before | 1 << player] - results[before]) / 24
            before |= 1 << player
    np.testing.assert_allclose(shapley(game, 4)[1], expected)


def test_more_covariates_than_are_played_out_sum_too() -> None:
    of = model(precision="float64", covariates=True, lags=6, skip=6)
    result = of_table(of, panel(of))
    assert len(result.parts) - 2 > EXACT
    again = of_table(of, panel(of))
    np.testing.assert_array_equal(result.amounts, again.amounts)


def test_rows_that_are_not_there_are_refused() -> None:
    of = model()
    table = panel(of)
    with pytest.raises(DataError, match="at: '2025-01-01' is not a row of any series: its rows go from 2024-01-02"):
        of_table(of, table, "2025-01-01")
    with pytest.raises(DataError, match="there is no series 's9' in the table"):
        of_table(of, table, series="s9")
    only = of_table(of, table, series="s1")
    assert only.ids == ("s1",)
    with pytest.raises(DataError, match="is not a row of series 's1'"):
        of_table(of, table, table.time[0], "s1")


def test_covariates_must_be_known_to_the_horizon() -> None:
    of = model(covariates=True)
    table = panel(of)
    short = replace(table, ahead=table.ahead[:0], ahead_offsets=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="known"):
        of_table(of, short)
    of_table(of, short, table.time[2])


def test_the_columns_are_tidy() -> None:
    of = model(targets=2, independent=True)
    result = of_table(of, panel(of))
    columns = result.columns()
    assert list(columns) == ["site", "hour", "cutoff", "part", "kind", "amount", "statecast"]
    first = columns["site"] == "s1/y1"
    assert first.sum() == len(result.parts) * 3
    steps = columns["amount"][first].reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(steps, result.values[1, :, 1], rtol=1e-5)
    np.testing.assert_allclose(columns["statecast"][first].reshape(3, -1)[:, 0], result.values[1, :, 1])


# --- the faces


def frame(rows: int = 40) -> dict[str, Any]:
    t = np.arange(rows)
    return {"y": np.sin(t / 3) + 5, "wind": np.cos(t / 5)}


@pytest.fixture(scope="module")
def fitted() -> sc.Forecaster:
    of = sc.Forecaster(horizon=3, hidden=3, lags=3, skip=3, max_steps=0, normalize="last", random_state=0)
    return of.fit(frame(), target="y", past="wind")


def test_a_forecaster_takes_forecasts_apart(fitted: sc.Forecaster) -> None:
    result = fitted.breakdown(frame())
    np.testing.assert_allclose(result.values, fitted.forecast(frame()).values, rtol=1e-5)
    np.testing.assert_allclose(fitted.breakdown().values, fitted.forecast().values, rtol=1e-5)
    columns = fitted.explain(frame(), at=20)
    assert set(columns) == {"unique_id", "ds", "cutoff", "part", "kind", "amount", "statecast"}
    assert set(np.asarray(columns["cutoff"])) == {20}
    short = {name: values[:21] for name, values in frame().items()}
    np.testing.assert_allclose(np.unique(columns["statecast"]), np.unique(fitted.forecast(short).values), rtol=1e-5)
    with pytest.raises(SettingError, match='at="last"'):
        fitted.explain(frame(), series="y")


def test_a_loaded_model_takes_apart_what_it_remembers(fitted: sc.Forecaster) -> None:
    loaded = sc.Forecaster.of(fitted.model_)
    result = loaded.breakdown()
    np.testing.assert_allclose(result.values, fitted.forecast().values, rtol=1e-5)
    assert "wind" not in {part.name for part in result.parts}  # it is in the layers' memory
    with pytest.raises(SettingError, match="remembers only the last row of each series"):
        loaded.explain(at=3)
    with pytest.raises(UnknownSeries, match="no series 'x'"):
        loaded.explain(at="last", series="x")


def test_a_picture_has_a_panel_for_each_series_and_target(fitted: sc.Forecaster) -> None:
    figure = fitted.plot_breakdown(frame())
    assert len(figure.axes) == 1
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"level", "forecast"} <= labels
    of = model(targets=2, horizon=1, covariates=True)
    from statecast.report import plot

    figure = plot.breakdown(of_table(of, panel(of)))
    assert len(figure.axes) == 4
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][-1] == "forecast"


def test_plotly_stacks_the_same_amounts_and_has_a_menu(fitted: sc.Forecaster) -> None:
    pytest.importorskip("plotly", reason="the extra `plotly` is not installed")
    picture, parts = fitted.plot_breakdown(frame(), backend="plotly"), fitted.breakdown(frame())
    bars = [trace for trace in picture.data if trace.type == "bar"]
    amounts = {part.name: parts.amounts[0, n, :, 0] for n, part in enumerate(parts.parts)}
    for bar in bars:
        np.testing.assert_array_equal(bar.y, amounts[bar.name])
        np.testing.assert_array_equal(bar.customdata, bar.y)
    ends = sum(np.where(np.asarray(bar.y) >= 0, bar.y, 0) for bar in bars), sum(np.minimum(bar.y, 0) for bar in bars)
    np.testing.assert_allclose(amounts["level"] + ends[0] + ends[1], parts.values[0, :, 0], rtol=1e-5)
    for bar in bars:  # none reaches beyond where all that go its way end
        top, bottom = np.maximum(bar.base, bar.base + bar.y), np.minimum(bar.base, bar.base + bar.y)
        assert (top <= amounts["level"] + ends[0] + 1e-9).all() and (bottom >= amounts["level"] + ends[1] - 1e-9).all()
    np.testing.assert_array_equal(picture.data[-1].y, parts.values[0, :, 0])
    with pytest.raises(SettingError, match="backend = 'bokeh'"):
        fitted.plot_breakdown(frame(), backend="bokeh")


def test_plotly_leads_from_the_level_to_a_single_step() -> None:
    pytest.importorskip("plotly", reason="the extra `plotly` is not installed")
    from statecast.report.breakdown import zoomable

    of = model(targets=2, horizon=1, covariates=True)
    parts = of_table(of, panel(of))
    picture = zoomable(parts)
    assert [trace.type for trace in picture.data] == ["waterfall"] * 4
    assert [trace.visible for trace in picture.data] == [True, False, False, False]
    assert picture.layout.updatemenus[0].buttons[0].label.startswith(f"{parts.targets[0]} of ")
    for n, trace in enumerate(picture.data):
        assert (trace.measure[0], trace.measure[-1], trace.x[-1]) == ("absolute", "total", "forecast")
        np.testing.assert_allclose(sum(trace.y[:-1]), parts.values[n // 2, 0, n % 2], rtol=1e-5)
