"""The gates of a series that a server knows, from its past rows; models have random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import server_cases as server
from forecast_cases import arguments, model, panel, value

from statecast.data.panel import Panel
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.engine.receipts import History
from statecast.server.rows import LiveRows
from statecast.server.states import gates, past
from statecast.server.store.protocol import Piece

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
    covariates = table.past[some], table.known[some], table.static[0]
    return History(table.ids[0], table.time[some], table.y[some], nothing, {}, {}, nothing[:, 0], (), *covariates)


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


@pytest.mark.parametrize("missing", [True, False])
def test_covariates_come_from_the_past_that_a_server_keeps(missing: bool, tmp_path: Path) -> None:
    engine = server.started(server.saved(tmp_path, covariates=True, missing=missing), tmp_path / "state")
    stream = server.undying(engine.model, [])
    table = panel(engine.model, (40, 30))
    for row in rows(table):
        s = int(table.series_of_row()[row])
        name, more = table.ids[s], arguments(engine.model, table, row)
        stream.observe(name, value(table, row), int(table.time[row]), **more)
        one = {kind: [part] for kind, part in more.items()}
        engine.submit(LiveRows([name], table.time[row : row + 1], table.y[row : row + 1], **one)).result()
        if row == 25:
            engine.checkpoint()  # some rows are on the disk, and some in memory
    for s, name in enumerate(table.ids):
        history = engine.history(name)
        some = [row for row in rows(table) if table.series_of_row()[row] == s]
        np.testing.assert_array_equal(history.past, table.past[some])
        np.testing.assert_array_equal(history.known, table.known[some])
        np.testing.assert_allclose(history.static, table.static[s], atol=1e-5)
        layers = {item["name"]: item["values"] for item in gates.gates(engine.model, history, 20)["layers"]}
        state = stream.state_of([name])
        np.testing.assert_allclose(layers["0.h"][-1], state.layout.unpack(state.data)["0.h"][0], atol=1e-3)
    engine.close()


def test_the_past_of_an_earlier_version_has_no_covariates() -> None:
    of = model(covariates=True)
    old = np.zeros(3, past.past_row(1))
    old["seq"], old["time"], old["values"] = [1, 2, 3], [10, 11, 12], [[5.0], [6.0], [7.0]]
    kind = past.past_row_of(of)
    for rows_, whole in ((old, False), (np.zeros(3, kind), True)):
        piece = Piece(0, 1, 3, past.encoded(0, rows_))
        assert past.complete(piece, kind) is whole
        read = past.decoded(piece, kind)
        np.testing.assert_array_equal(read["values"], rows_["values"])
        assert np.isnan(read["covariates"]).all() != whole
