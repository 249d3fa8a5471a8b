"""Cells of the user's own: what is wrong in them is said by name, and a file that needs one says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forecast_cases
import numpy as np
import pytest

from statecast import config
from statecast.errors import SettingError, UnknownCell
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.cells import CELLS, cell, linear_cell, sigmoid
from statecast.model.initial import Start
from statecast.model.network import Network


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Cells that a test registers are gone after it."""
    cells, names = dict(CELLS), list(config.CELLS)
    yield
    CELLS.clear()
    CELLS.update(cells)
    config.CELLS[:] = names


def one_step(name: str) -> Any:
    """A step of a network whose only layer has this cell."""
    settings = config.Config(cell=name, hidden=(3,), horizon=2, lags=2, skip=0, normalize="none", missing=False)
    network = Network.of(settings.with_(level_input=False), 1)
    p = {"weights": network.init(0, Start()), "constants": network.constants()}
    like = np.zeros((1, 1))
    return network.step(p, network.start(p, 1, like), {"y": like + 1, "m": like + 1})


def test_a_cell_of_ones_own_runs() -> None:
    @cell("leaky", gates=1, recurrent=1, states=("h", "slow"), draw=lambda rng, units, start: {"rate": np.zeros(units)})
    def leaky(w: Any, z: Any, s: Any) -> Any:
        h = np.tanh(z + s["h"] @ w["U"])
        return {"h": h, "slow": s["slow"] + sigmoid(w["rate"]) * (h - s["slow"])}, {}

    state, forecast = one_step("leaky")
    assert np.isfinite(forecast).all()
    assert (state["0.slow"] != 0).all()


def test_a_weight_that_there_is_not_is_named() -> None:
    @cell("typo", gates=1, recurrent=1)
    def typo(w: Any, z: Any, s: Any) -> Any:
        return {"h": z + w["V"]}, {}

    message = r"cell 'typo' asks for 'V': its weights are W, b, U, init_h, and the parts of its state h; `draw` makes"
    with pytest.raises(SettingError, match=message):
        one_step("typo")


def test_a_part_of_the_state_that_there_is_not_is_named() -> None:
    @cell("partless", gates=1, recurrent=1)
    def partless(w: Any, z: Any, s: Any) -> Any:
        return {"h": z + s["c"]}, {}

    @linear_cell("blind", gates=1)
    def blind(w: Any, z: Any) -> Any:
        return (w["decay"],), (z,), {}

    for name, key in (("partless", "c"), ("blind", "decay")):
        with pytest.raises(SettingError, match=f"cell '{name}' asks for '{key}'"):
            one_step(name)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda s: ({"h": s["h"], "c": s["h"]}, {}), "returns the parts h, c of its state, expected h; `states` names"),
        (lambda s: ({}, {}), "expected h"),
        (lambda s: {"h": s["h"]}, r"returns dict, expected \(state, gates\)"),
        (lambda s: s["h"], r"returns ndarray, expected \(state, gates\)"),
    ],
)
def test_other_parts_than_the_cell_has_are_named(result: Any, message: str) -> None:
    cell("odd", gates=1, recurrent=1)(lambda w, z, s: result(s))
    with pytest.raises(SettingError, match=message):
        one_step("odd")


def test_built_in_names_and_odd_parts_are_refused() -> None:
    with pytest.raises(SettingError, match="built-in cell 'lstm'"):
        cell("lstm", gates=1, recurrent=1)(lambda w, z, s: (s, {}))
    with pytest.raises(SettingError, match="a part 'h/2'"):
        cell("mine", gates=1, recurrent=1, states=("h", "h/2"))(lambda w, z, s: (s, {}))
    for _ in range(2):  # as a notebook does when its cell runs again
        cell("mine", gates=1, recurrent=1)(lambda w, z, s: (s, {}))
    assert config.CELLS.count("mine") == 1


def test_a_file_whose_cell_is_not_registered_says_which_and_how(tmp_path: Path) -> None:
    def register() -> None:
        cell("mine", gates=1, recurrent=1)(lambda w, z, s: ({"h": np.tanh(z + s["h"] @ w["U"])}, {}))

    register()
    written = forecast_cases.model("mine")
    path = archive.save(written, tmp_path / "model")
    del CELLS["mine"]
    config.CELLS.remove("mine")
    with pytest.raises(UnknownCell, match=r"model: its cell is 'mine', and no module .* by @.*cell\('mine', …\)$"):
        archive.load(path)
    register()
    forecasts = [Stream(model).observe("a", 5.0, forecast_cases.START) for model in (archive.load(path), written)]
    np.testing.assert_array_equal(*(forecast.values for forecast in forecasts))
