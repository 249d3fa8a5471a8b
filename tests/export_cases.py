"""A model's stream beside its ONNX graphs, row for row, for the tests of `export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import forecast_cases
import numpy as np
import pytest

from statecast.export.onnx_file import export
from statecast.forecast import calibrate, channels
from statecast.forecast.answer import Forecast
from statecast.forecast.stream import Stream
from statecast.model.trained import Model

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # relative
POLYNOMIAL = {"student_t": 1e-7}  # of heads whose quantiles a graph has from a polynomial, as the stream from a series


class Graphs:
    """The ONNX files of a model, run by onnxruntime."""

    def __init__(self, model: Model, folder: Path) -> None:
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the graphs, and is not installed")
        pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        self.model, self.files = model, export(model, folder / "m.onnx")
        self.sessions = [runtime.InferenceSession(str(path), options) for path in self.files[:2]]
        properties = self.sessions[0].get_modelmeta().custom_metadata_map
        self.metadata: dict[str, Any] = {name: json.loads(text) for name, text in properties.items()}
        self.inputs = {item.name: item for item in self.sessions[0].get_inputs()}

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The state of series that have observed nothing, as the graph tells it."""
        start = self.metadata["start"].items()
        return {name: np.repeat(np.asarray(part, self.model.dtype)[None], rows, axis=0) for name, part in start}

    def step(self, feeds: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The forecast and its intervals, and the next state."""
        results = self._run(0, feeds)
        state = {f"state{name[4:]}": part for name, part in results.items() if name.startswith("next.")}
        return {name: part for name, part in results.items() if not name.startswith("next.")}, state

    def forecast(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the graph without rows says."""
        return self._run(1, feeds)

    def _run(self, number: int, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = self.sessions[number]
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(None, feeds), strict=True))


def rows(model: Model, steps: int, series: int, seed: int = 1) -> np.ndarray:
    """Targets [T, S, D] with missing values."""
    rng = np.random.default_rng(seed)
    y = (
        6
        + np.sin(np.arange(steps) / 9)[:, None, None]
        + 0.5 * rng.normal(size=(steps, series, len(model.schema.target)))
    )
    y[rng.random(y.shape) < 0.15] = np.nan
    y[0] = 6.0
    return y


def apart(results: dict[str, np.ndarray], forecast: Forecast) -> float:
    """How far the numbers of a graph are from a stream's, relative to these or to 1, whichever is larger."""
    expected = {"forecast": forecast.values}
    if len(results) > 1:
        for level in forecast.levels:
            expected |= {f"lower_{level:g}": forecast.lower[level], f"upper_{level:g}": forecast.upper[level]}
    assert results.keys() == expected.keys()
    assert all(np.isfinite(part).all() and part.shape == expected[name].shape for name, part in results.items())
    return max(
        float((np.abs(part - expected[name]) / np.maximum(np.abs(expected[name]), 1.0)).max())
        for name, part in results.items()
    )


def side_by_side(model: Model, folder: Path, steps: int, series: int = 2, every: int = 1) -> float:
    """The largest relative difference between a stream and the graphs over some steps with missing values.

    Intervals are compared at each step whose number `every` divides, forecasts at all.
    """
    graphs, stream, ids = Graphs(model, folder), Stream(model), [f"s{n}" for n in range(series)]
    state, worst = graphs.start(series), 0.0
    numbers = [[model.schema.numbers.get(name, 0) for name in channels.row_ids(model, ids)]]
    fixed = {"series": np.array(numbers, np.int64).reshape(series, -1)}
    for t, y in enumerate(rows(model, steps, series)):
        time = model.schema.frequency.advance(forecast_cases.START, t)
        feeds = {"values": y, "time": np.full(series, time, np.int64), **fixed}
        feeds["ahead.time"] = model.schema.frequency.advance(
            feeds["time"][:, None], 1 + np.arange(model.config.horizon)
        )
        phase = calibrate.phase_of(model, np.full(series, time, np.int64))
        feeds = {name: part for name, part in (feeds | {"phase": phase}).items() if name in graphs.inputs}
        feeds = {name: part.reshape(len(part), *graphs.inputs[name].shape[1:]) for name, part in feeds.items()}
        results, state = graphs.step(feeds | state)
        forecast = stream.observe_many(ids, y, time)
        if t % every:
            results = {"forecast": results["forecast"]}
        worst = max(worst, apart(results, forecast))
    kept = {name: part for name, part in feeds.items() if name in ("series", "phase", "ahead.time")}
    again = graphs.forecast(kept | state)
    assert all(np.array_equal(again[name], part) for name, part in results.items())
    return worst
