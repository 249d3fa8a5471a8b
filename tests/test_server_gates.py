"""The gates of a series that a server knows, from its past rows; models have random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel, value

from statecast.data.panel import Panel
from statecast.errors import SettingError
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.engine.receipts import History
from statecast.server.states import gates

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "several": {"targets": 2, "head": "pinball"},
    "gru": {"cell": "gru", "precision": "float64", "freq": "1mo", "time_kind": "date"},
    "numbers": {"time_kind": "integer", "freq": "1"},
}


def rows(table: Panel) -> list[int]:
    """The rows that a server would have got: not those that are missing altogether."""
    return [row for row in range(table.rows) if not np.isnan(table.y[row]).all()]


def history_of(table: Panel, some: list[int]) -> History:
    nothing = np.full((len(some), table.targets), np.nan)
    return History(table.ids[0], table.time[some], table.y[some], nothing, {}, {}, nothing[:, 0])


@pytest.mark.parametrize("name", KINDS)
def test_gates_are_those_of_the_live_stream(name: str) -> None:
    of = model(**KINDS[name])
    table = panel(of, (40,))
    answer = gates.gates(of, history_of(table, rows(table)), 30)
    layers = {layer["name"]: np.array(layer["values"]) for layer in answer["layers"]}
    assert len(answer["times"]) == 30
    assert {values.shape for values in layers.values()} == {(30, 4)}
    stream = Stream(of, State.empty(of.layout, of.dtype))
    for row in rows(table):
        stream.observe(table.ids[0], value(table, row), table.time[row])
    state = stream.state_of(table.ids)
    np.testing.assert_allclose(layers["0.h"][-1], state.layout.unpack(state.data)["0.h"][0], atol=1e-3)


def test_a_gap_is_a_step_without_values() -> None:
    of = model()
    table = panel(of, (40,))
    laid = gates.panel_of(of, history_of(table, rows(table)), 25)
    first = table.rows - laid.rows
    assert not np.isnan(table.y[first]).all()
    assert 20 <= laid.rows <= 25
    np.testing.assert_array_equal(laid.time, table.time[first:])
    np.testing.assert_array_equal(laid.y, table.y[first:])
    assert np.isnan(laid.y).any()


def test_there_are_none_where_there_is_nothing_to_show() -> None:
    def answer(of: Model, some: int) -> dict[str, Any]:
        table = panel(of, (9,), gaps=False)
        return gates.gates(of, history_of(table, rows(table)[:some]), 5)

    nothing = {"times": [], "layers": [], "heard": False}
    assert answer(model(), 0) == nothing
    assert answer(model(hidden=()), 9) == nothing
    assert len(answer(model(), 1)["times"]) == 1


def test_covariates_are_missed() -> None:
    of = model(covariates=True)
    table = panel(of, (9,), gaps=False)
    with pytest.raises(SettingError, match="the gates depend on 'wind', 'heat', 'open', 'area'"):
        gates.gates(of, history_of(table, rows(table)), 5)
