"""The graphs of a model say what its stream says, for every cell and head, and whatever a table has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import export_cases
import forecast_cases
import numpy as np
import pytest

from statecast import config
from statecast.data import zones
from statecast.errors import SettingError
from statecast.estimators import Forecaster
from statecast.export.onnx_file import export
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.cells import CELLS, cell, sigmoid
from statecast.model.trained import Model

CASES: dict[str, dict[str, Any]] = {f"cell-{name}": {"cell": name} for name in config.CELLS}
CASES |= {f"head-{name}": {"head": name} for name in forecast_cases.HEADS}
CASES |= {f"normalize-{name}": {"normalize": name} for name in ("ewma", "window", "global", "none")}
CASES |= {
    "targets": {"targets": 2},
    "independent": {"targets": 2, "independent": True},
    "ensemble": {"ensemble": 3},
    "still": {"adaptive": False},
    "still-pinball": {"adaptive": False, "head": "pinball"},
    "no-recurrence": {"hidden": (), "dense": ()},
    "no-skip": {"skip": 0},
    "plain": {"use_calendar": False, "missing": False},
    "months": {"freq": "1mo"},
    "long": {"horizon": 9},
    "business-days": {"freq": "B"},
    "embedding": {"series": ("s1", "s7"), "embedding": 2},
    "maps": {"series": ("s1", "s7"), "local_skip": True},
    "maps-independent": {"targets": 2, "independent": True, "series": ("s1/y0", "s1/y1"), "local_skip": True},
}
# Each cell with one of the heads, so that all of both run for long.
LONG = {name: list(forecast_cases.HEADS)[n % len(forecast_cases.HEADS)] for n, name in enumerate(config.CELLS)}
SEARCHED = ("negative_binomial",)  # heads whose intervals no graph holds


@pytest.fixture
def registry() -> Iterator[None]:
    """Cells that a test registers are gone after it."""
    cells, names = dict(CELLS), list(config.CELLS)
    yield
    CELLS.clear()
    CELLS.update(cells)
    config.CELLS[:] = names


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_the_graphs_say_what_the_stream_says(name: str, precision: str, tmp_path: Path) -> None:
    model = forecast_cases.model(precision=precision, **CASES[name])
    tolerance = max(export_cases.TOLERANCE[precision], export_cases.POLYNOMIAL.get(name, 0))
    assert export_cases.side_by_side(model, tmp_path, 30) <= tolerance


@pytest.mark.heavy
@pytest.mark.parametrize("name", LONG)
def test_graphs_and_stream_stay_together(name: str, tmp_path: Path) -> None:
    assert set(LONG.values()) == set(forecast_cases.HEADS)
    for precision, tolerance in export_cases.TOLERANCE.items():
        model = forecast_cases.model(name, head=LONG[name], precision=precision)
        tolerance = max(tolerance, export_cases.POLYNOMIAL.get(LONG[name], 0))
        assert export_cases.side_by_side(model, tmp_path / precision, 1_000, 1, every=50) <= tolerance


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["lstm", "gru", "slstm", "minlstm"])
def test_ten_thousand_steps_stay_together(name: str, tmp_path: Path) -> None:
    """Four of the cells, with the head that a stream is quickest with: of all it takes minutes."""
    model = forecast_cases.model(name)
    assert export_cases.side_by_side(model, tmp_path, 10_000, 1, every=50) <= export_cases.TOLERANCE["float32"]


@pytest.mark.parametrize("kind", ["sized", "watched", "by-phase"])
def test_intervals_of_every_kind_are_the_streams(kind: str, tmp_path: Path) -> None:
    model = forecast_cases.model(precision="float64", horizon=5)
    if kind == "by-phase":
        model = replace(model, phases=np.array([[0.5], [1.5], [1.2], [0.8]]))
    else:
        model = forecast_cases.sized(model) if kind == "sized" else forecast_cases.watching(model)
    assert export_cases.side_by_side(model, tmp_path, 80) <= 1e-12


def test_what_intervals_take_a_search_for_is_left_out_and_said(tmp_path: Path) -> None:
    for head in SEARCHED:
        graphs = export_cases.Graphs(forecast_cases.model(head=head), tmp_path / head)
        assert graphs.metadata["levels"] == []
        assert f"left out: quantiles of {head}" in graphs.metadata["intervals"]
        assert "state.waiting" not in graphs.inputs


# --- covariates


def test_covariates_of_all_roles_come_by_name(tmp_path: Path) -> None:
    model = forecast_cases.model(covariates=True, precision="float64", tz="Europe/Madrid")
    table = forecast_cases.panel(model, (60,), gaps=False)
    graphs, stream = export_cases.Graphs(model, tmp_path), Stream(model)
    state, horizon = graphs.start(1), model.config.horizon
    known = np.concatenate([table.known, table.ahead])
    category = np.where(np.isnan(known[:, 1]), np.nan, known[:, 2])
    for row in range(table.rows):
        times = model.schema.frequency.advance(int(table.time[row]), np.arange(horizon + 1))
        clock = times + zones.offsets_at(times, "Europe/Madrid")
        ahead = slice(row + 1, row + 1 + horizon)
        feeds = {
            "values": table.y[row : row + 1],
            "past.wind": table.past[row],
            "known.heat": known[row, :1],
            "known.open": category[row : row + 1],
            "static.area": table.static[0],
            "time": clock[:1],
            "ahead.heat": known[None, ahead, 0],
            "ahead.open": category[None, ahead],
            "ahead.time": clock[None, 1:],
        }
        assert {*feeds, *state} == set(graphs.inputs)
        results, state = graphs.step(feeds | state)
        extras = forecast_cases.arguments(model, table, row)
        forecast = stream.observe_many(
            ["s0"], table.y[row : row + 1], int(table.time[row]), **{name: [part] for name, part in extras.items()}
        )
        assert export_cases.apart(results, forecast) <= 1e-12
    known_ahead = {name: part for name, part in feeds.items() if name.startswith("ahead.")}
    again = graphs.forecast(known_ahead | state)
    assert all(np.array_equal(again[name], part) for name, part in results.items())


@pytest.mark.parametrize("freq", ["6h", "1w"])
def test_holidays_are_told_by_the_clock(freq: str, tmp_path: Path) -> None:
    model = forecast_cases.model(freq=freq, precision="float64", holidays=("2024-01-04", "2024-01-09", "2024-02-20"))
    assert [name for name in model.schema.calendar_features if name.startswith("holiday")]
    assert export_cases.side_by_side(model, tmp_path, 60) <= 1e-12


# --- cells of one's own


def test_a_cell_of_ones_own_goes_out_as_well(registry: None, tmp_path: Path) -> None:
    @cell("leaky", gates=2, recurrent=1, states=("h", "slow"), draw=lambda rng, units, start: {"rate": np.ones(units)})
    def leaky(w: Any, z: Any, s: Any) -> Any:
        xp = z.__array_namespace__()
        units = s["h"].shape[-1]
        mean = xp.mean(s["slow"], axis=-1, keepdims=True)
        h = xp.tanh(z[..., :units] + s["h"] @ w["U"] - xp.sinh(0.1 * mean)) + np.tanh(w["rate"])
        gate = xp.where(z[..., units:] > 0, sigmoid(w["rate"]), xp.clip(xp.expm1(z[..., units:]) ** 2, 0.1, 0.9))
        return {"h": h / (1 + abs(h)), "slow": s["slow"] + gate * (h - s["slow"])}, {}

    for precision, tolerance in export_cases.TOLERANCE.items():
        model = forecast_cases.model("leaky", precision=precision)
        assert export_cases.side_by_side(model, tmp_path / precision, 60) <= tolerance


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (lambda xp, h: xp.sinc(h), "xp.sinc cannot be exported to ONNX; did you mean 'sin'"),
        (lambda xp, h: h if h > 0 else -h, "neither true nor false"),
        (lambda xp, h: xp.asarray(float(h)), "not a number"),
        (lambda xp, h: h[h > 0], "a mask may pick"),
        (lambda xp, h: h[0], "rows of the batch cannot be told apart"),
        (lambda xp, h: np.add.reduce(h), "numpy.add.reduce cannot be exported"),
        (lambda xp, h: xp.reshape(h, (7, -1)), "as many elements"),
    ],
)
def test_what_no_graph_can_do_is_said(registry: None, tmp_path: Path, line: Any, message: str) -> None:
    @cell("odd", gates=1, recurrent=1)
    def odd(w: Any, z: Any, s: Any) -> Any:
        return {"h": line(z.__array_namespace__(), z + s["h"] @ w["U"])}, {}

    with pytest.raises(SettingError, match=message):
        export(forecast_cases.model("odd"), tmp_path / "m.onnx")


# --- files


def test_the_files_hold_the_states_of_the_table(tmp_path: Path) -> None:
    from safetensors import safe_open

    model = forecast_cases.model(targets=2, independent=True)
    table = forecast_cases.panel(model)
    model = forecast_cases.remembering(model, table)
    graphs = export_cases.Graphs(model, tmp_path)
    with safe_open(str(graphs.files[2]), "numpy") as file:
        assert file.metadata()["ids"] == '["s0", "s1"]'
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    stream, y = Stream(model), export_cases.rows(model, 1, 2)[0]
    time = np.array([model.schema.frequency.advance(int(last), 1) for last in table.time[table.offsets[1:] - 1]])
    results, _ = graphs.step({"values": y, "time": time} | state)
    assert export_cases.apart(results, stream.observe_many(["s0", "s1"], y, time.tolist())) <= 1e-5


def test_metadata_say_what_the_graph_takes(tmp_path: Path) -> None:
    graphs = export_cases.Graphs(forecast_cases.model(horizon=4), tmp_path)
    metadata = graphs.metadata
    assert (metadata["graph"], metadata["horizon"], metadata["frequency"]) == ("step", 4, "1h")
    assert metadata["targets"] == metadata["columns"]["target"] == ["load"]
    assert metadata["levels"] == [80, 95]
    assert [item["name"] for item in metadata["inputs"]] == list(graphs.inputs)
    assert {f"state.{name}" for name in metadata["layout"]} == {n for n in graphs.inputs if n.startswith("state.")}


def test_any_batch_is_taken_and_rows_do_not_mix(tmp_path: Path) -> None:
    model = forecast_cases.model()
    graphs = export_cases.Graphs(model, tmp_path)
    y = export_cases.rows(model, 2, 5)[1]
    times = np.arange(5) * forecast_cases.HOUR
    together, _ = graphs.step({"values": y, "time": times} | graphs.start(5))
    for n in range(5):
        alone, _ = graphs.step({"values": y[n : n + 1], "time": times[n : n + 1]} | graphs.start(1))
        np.testing.assert_allclose(alone["forecast"][0], together["forecast"][n], rtol=1e-6)


def test_the_reference_runtime_agrees(tmp_path: Path) -> None:
    reference = pytest.importorskip("onnx.reference")
    for head in ("pinball", "decoder"):
        model = forecast_cases.model(head=head, precision="float64")
        graphs = export_cases.Graphs(model, tmp_path / head)
        feeds = {"values": export_cases.rows(model, 1, 2)[0], "time": np.arange(2)} | graphs.start(2)
        results, _ = graphs.step(feeds)
        evaluator = reference.ReferenceEvaluator(str(graphs.files[0]))
        with np.errstate(all="ignore"):  # of what a `where` leaves out
            outputs = evaluator.run(None, feeds)
        expected = dict(zip(evaluator.output_names, outputs, strict=True))
        for name, part in results.items():
            np.testing.assert_allclose(part, expected[name], rtol=1e-12)


def test_a_network_for_each_series_is_refused(tmp_path: Path) -> None:
    model = forecast_cases.model(series=("a", "b"), local=True)
    with pytest.raises(SettingError, match="local = true each series has a network of its own"):
        export(model, tmp_path / "m.onnx")


def test_a_forecaster_exports_what_it_loaded(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model: Model = forecast_cases.model()
    forecaster = Forecaster.load(archive.save(model, tmp_path / "m.safetensors"))
    with pytest.raises(SettingError, match=r"expected a name that ends in \.onnx"):
        forecaster.export(tmp_path / "m.pb")
    files = forecaster.export(tmp_path / "m.onnx")
    assert [path.name for path in files] == ["m.onnx", "m.forecast.onnx", "m.states.safetensors"]
    assert all(path.stat().st_size for path in files)
