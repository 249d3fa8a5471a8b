"""Forecasts of the past, as a live stream made them; models have random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forecast_cases import arguments, model, panel, value

from statecast.data.panel import Panel
from statecast.forecast.answer import Forecast
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server import hindsight
from statecast.server.batch import Batch
from statecast.server.hindsight import Hindsight

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "covariates": {"covariates": True},
    "several": {"targets": 2, "head": "pinball"},
    "independent": {"targets": 2, "independent": True},
    "gru": {"cell": "gru", "precision": "float64", "freq": "1mo", "time_kind": "date"},
}


def rows_of(of: Model, table: Panel, begin: int = 0, stop: int | None = None) -> Batch:
    """The rows of a table's first series as the log has them: where all of a row is missing, none came."""
    span = range(table.offsets[1])
    came = np.array([row for row in span if not np.isnan(table.y[row]).all()])[begin:stop]
    past = table.past[came] if of.schema.past else None
    known = None
    if of.schema.known:
        ahead = np.concatenate([table.known[: table.offsets[1]], table.ahead[: table.ahead_offsets[1]]])
        known = np.stack([ahead[row : row + of.config.horizon + 1] for row in came]).reshape(len(came), -1)
    static = table.static[:1] if of.schema.static and not begin else None
    restated = None if static is None else np.zeros(1, np.int32)
    numbers = np.zeros(len(came), np.int32)
    return Batch(1, 0.0, numbers, table.time[came], table.y[came], past, known, static, restated)


def live(of: Model, table: Panel) -> list[Forecast]:
    """What a stream forecasts after each of these rows."""
    stream = Stream(of, State.empty(of.layout, of.dtype))
    return [
        stream.observe("s0", value(table, row), table.time[row], **arguments(of, table, row))
        for row in range(int(table.offsets[1]))
        if not np.isnan(table.y[row]).all()
    ]


def case(name: str, rows: int = 40) -> tuple[Model, Panel]:
    of = model(**KINDS[name])
    return of, panel(of, (rows,))


@pytest.mark.parametrize("name", KINDS)
def test_the_past_is_as_it_was_forecast(name: str) -> None:
    of, table = case(name)
    rows, forecasts = rows_of(of, table), live(of, table)
    back = Hindsight(of).look("s0", rows, 1000)
    np.testing.assert_array_equal(back.times, rows.times)
    np.testing.assert_array_equal(back.values, rows.values)
    assert np.isnan(back.predicted[0]).all()
    np.testing.assert_array_equal(back.scores, np.array([forecast.score for forecast in forecasts]))
    np.testing.assert_array_equal(back.unusual, np.array([forecast.unusual for forecast in forecasts]))
    some = 0
    for n in range(1, len(rows.times)):
        steps = int(of.schema.frequency.steps_between(int(rows.times[n - 1]), int(rows.times[n])))
        if steps > of.config.horizon:
            assert np.isnan(back.predicted[n]).all()
            continue
        some += steps > 1
        before = forecasts[n - 1]
        np.testing.assert_array_equal(back.predicted[n], before.values[steps - 1])
        for level in of.config.levels:
            np.testing.assert_array_equal(back.lower[level][n], before.lower[level][steps - 1])
            np.testing.assert_array_equal(back.upper[level][n], before.upper[level][steps - 1])
    assert some  # gaps were among them


def test_only_the_last_rows_are_shown() -> None:
    of, table = case("plain")
    rows = rows_of(of, table)
    whole, part = (Hindsight(of).look("s0", rows, limit) for limit in (1000, 5))
    assert len(part.times) == 5
    np.testing.assert_array_equal(part.times, whole.times[-5:])
    np.testing.assert_array_equal(part.predicted, whole.predicted[-5:])
    np.testing.assert_array_equal(part.upper[80], whole.upper[80][-5:])


def test_a_series_that_is_watched_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    of, table = case("covariates")
    count = len(rows_of(of, table).times)
    sight = Hindsight(of)
    sight.look("s0", rows_of(of, table, 0, count - 3), 1000)
    observed = []
    observe = Stream.observe_many
    monkeypatch.setattr(Stream, "observe_many", lambda self, *a: observed.append(a) or observe(self, *a))
    back = sight.look("s0", rows_of(of, table, 4), 1000)
    assert len(observed) == 3
    np.testing.assert_array_equal(back.predicted, Hindsight(of).look("s0", rows_of(of, table), 1000).predicted)


def test_a_series_that_began_anew_is_replayed_anew() -> None:
    of, table = case("plain")
    sight, rows = Hindsight(of), rows_of(of, table)
    sight.look("s0", rows, 1000)
    other = Batch(1, 0.0, rows.numbers, rows.times, rows.values + 1.0)
    back, fresh = sight.look("s0", other, 1000), Hindsight(of).look("s0", other, 1000)
    np.testing.assert_array_equal(back.predicted, fresh.predicted)
    assert len(back.times) == len(rows.times)


def test_streams_that_nobody_looks_at_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    of, table = case("plain", 9)
    monkeypatch.setattr(hindsight, "STREAMS", 2)
    sight, rows, observed = Hindsight(of), rows_of(of, table), []
    observe = Stream.observe_many
    monkeypatch.setattr(Stream, "observe_many", lambda self, ids, *a: observed.append(ids[0]) or observe(self, ids, *a))
    for id in ("a", "b", "a", "c", "a", "b"):
        sight.look(id, rows, 10)
    assert observed[:: len(rows.times)] == ["a", "b", "c", "b"]


def test_a_series_without_rows_has_no_past() -> None:
    of, table = case("several")
    rows = rows_of(of, table, 0, 0)
    back = Hindsight(of).look("s0", rows, 10)
    assert back.times.shape == (0,) and back.predicted.shape == back.values.shape == (0, 2)
    assert Hindsight(of).gates("s0", rows, 10) == {"times": [], "layers": [], "heard": False}


@pytest.mark.parametrize("name", ["plain", "covariates", "independent", "gru"])
def test_gates_are_those_of_the_state(name: str) -> None:
    of, table = case(name)
    rows = rows_of(of, table)
    answer = Hindsight(of).gates("s0", rows, 30)
    layers = {layer["name"]: np.array(layer["values"]) for layer in answer["layers"]}
    assert len(answer["times"]) == 30
    assert {values.shape for values in layers.values()} == {(30, 4)}
    stream = Stream(of, State.empty(of.layout, of.dtype))
    for row in range(int(table.offsets[1])):
        if not np.isnan(table.y[row]).all():
            stream.observe("s0", value(table, row), table.time[row], **arguments(of, table, row))
    state = stream.state_of(["s0"])
    np.testing.assert_allclose(layers["0.h"][-1], state.layout.unpack(state.data)["0.h"][0], atol=1e-3)


def test_a_network_without_recurrent_layers_has_no_gates() -> None:
    of = model(hidden=())
    assert Hindsight(of).gates("s0", rows_of(of, panel(of, (9,))), 5)["layers"] == []


def test_a_gap_is_a_row_of_the_table_without_values() -> None:
    of, table = case("covariates")
    rows = rows_of(of, table)
    laid = hindsight.panel_of(of, "s0", rows, 12)
    np.testing.assert_array_equal(laid.time, table.time[-12:])
    np.testing.assert_array_equal(laid.y, table.y[-12:])
    np.testing.assert_array_equal(laid.past, table.past[-12:])
    np.testing.assert_array_equal(laid.known, table.known[-12:])
    assert laid.ahead.shape == (of.config.horizon, 3)
