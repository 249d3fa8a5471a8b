"""Looking inside: states and gates of every series by row, and weights by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forecast_cases import close, model, panel

from statecast import Forecaster
from statecast.errors import DataError, NotFitted, SettingError, UnknownSeries
from statecast.forecast import inside
from statecast.forecast.inside import Activations, activations
from statecast.forecast.predict import state_after
from statecast.model.trained import Model

LENGTHS = (40, 17, 23)


def fitted(of: Model) -> Forecaster:
    forecaster = Forecaster()
    forecaster._model = of
    return forecaster


def last_rows(result: Activations) -> list[int]:
    """The last row of each name."""
    return [max(n for n, name in enumerate(result.ids) if name == item) for item in dict.fromkeys(result.ids)]


@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm_exp", "lru"])
@pytest.mark.parametrize("independent", [False, True])
def test_the_last_row_is_what_the_state_remembers(cell: str, independent: bool) -> None:
    of = model(cell, targets=2, independent=independent, hidden=(4, 3), covariates=True, precision="float64")
    table = panel(of, LENGTHS)
    result = activations(of, table)
    parts = of.layout.unpack(state_after(of, table).data)
    assert len(last_rows(result)) == len(LENGTHS) * (2 if independent else 1)
    for name in of.network.stack.parts():
        close(result.parts[name][last_rows(result)], parts[name], "float64")


def test_layers_that_no_forecast_hears_have_states_all_the_same() -> None:
    of = model()
    table, head = panel(of, LENGTHS), of.weights["head"]
    deaf = replace(of, weights={**of.weights, "head": {"out": {**head["out"], "W": np.zeros_like(head["out"]["W"])}}})
    one, other = activations(of, table).parts, activations(deaf, table).parts
    assert one.keys() == other.keys() and "0.forget" in one
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_no_row_looks_ahead() -> None:
    of = model()
    table = panel(of, LENGTHS)
    y = table.y.copy()
    y[30:40] += 5
    one, other = (activations(of, part).parts["0.forget"] for part in (table, replace(table, y=y)))
    assert one[:30].tobytes() == other[:30].tobytes()
    assert not np.array_equal(one[30:40], other[30:40])
    assert one[40:].tobytes() == other[40:].tobytes()  # of the other series


def test_the_last_rows_are_those_of_all() -> None:
    of = model()
    table = panel(of, LENGTHS)
    whole, end = activations(of, table), activations(of, table, last=20)
    assert [end.ids.count(name) for name in table.ids] == [20, 17, 20]
    rows = np.r_[20:40, 40:57, 60:80]
    np.testing.assert_array_equal(end.parts["0.c"], whole.parts["0.c"][rows])
    np.testing.assert_array_equal(end.time, whole.time[rows])


def test_members_of_an_ensemble_have_states_of_their_own() -> None:
    of = model(ensemble=3)
    table = panel(of, (30,))
    parts = of.layout.unpack(state_after(of, table).data)
    members = [activations(of, table, member=n).parts["0.h"] for n in range(3)]
    close(np.stack([values[-1] for values in members]), parts["0.h"][0], "float32")
    with pytest.raises(SettingError, match="member = 3: this model has the networks 0 to 2"):
        activations(of, table, member=3)


def test_a_network_without_recurrence_has_no_states() -> None:
    of = model(hidden=())
    with pytest.raises(SettingError, match="no recurrent layer"):
        activations(of, panel(of))


@pytest.mark.parametrize("last", [0, -3, True, 2.5])
def test_the_number_of_rows_is_checked(last: Any) -> None:
    of = model()
    with pytest.raises(SettingError, match="expected a whole number of rows"):
        activations(of, panel(of), last=last)


def test_too_many_numbers_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    of = model()
    monkeypatch.setattr(inside, "MOST", 1000)
    with pytest.raises(DataError, match=r"80 rows are some 2,240 numbers.*last="):
        activations(of, panel(of, LENGTHS))
    assert len(activations(of, panel(of, LENGTHS), last=5).ids) == 15


def rows_of(of: Model, count: int = 12) -> dict[str, Any]:
    hours = np.datetime64("2024-01-01T00", "us") + np.arange(count) * np.timedelta64(1, "h")
    load = np.sin(np.arange(count))
    return {"site": ["a"] * count + ["b"] * count, "hour": np.r_[hours, hours], "load": np.r_[load, -load]}


def test_states_are_a_frame_of_the_kind_of_the_table() -> None:
    import pandas as pd

    of = model()
    frame = fitted(of).states(pd.DataFrame(rows_of(of)), series="b", last=3)
    assert list(frame.columns[:3]) == ["site", "hour", "0.h.0"]
    assert set(frame["site"]) == {"b"} and len(frame) == 3
    assert {f"0.{gate}.3" for gate in ("input", "forget", "output", "candidate", "c", "h")} <= set(frame.columns)
    assert isinstance(fitted(of).states(rows_of(of)), dict)
    with pytest.raises(UnknownSeries, match="no series 'c' here"):
        fitted(of).states(rows_of(of), series=["a", "c"])


def test_a_loaded_model_needs_a_table() -> None:
    with pytest.raises(NotFitted, match=r"states\(table\)"):
        fitted(model()).states()


def test_weights_have_names_and_are_copies() -> None:
    of = model()
    weights = fitted(of).weights()
    assert weights["stack/cells/0/W"].shape == (of.network.stack.inputs, 4 * 4)
    assert {name.partition("/")[0] for name in weights} == {"stack", "head", "skip"}
    weights["stack/cells/0/W"][:] = 0
    assert of.weights["stack"]["cells"]["0"]["W"].any()
