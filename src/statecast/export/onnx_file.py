"""A model as ONNX files, which any runtime of ONNX steps and forecasts with, without Python and without statecast.

Two graphs belong to a model, since a graph has one set of outputs: one takes a row and returns the forecast from after
it with the next state, the other forecasts from a state that stays as it is. Beside them lie the states in which the
series of the training table ended, by the names of the graphs' inputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from statecast.data.holidays import BY_STEP
from statecast.data.schema import Covariate
from statecast.errors import SettingError
from statecast.export import proto, tracing
from statecast.export.ports import Ports
from statecast.export.quantiles import CLOSED_FORM, traceable
from statecast.files import write_bytes
from statecast.forecast import channels
from statecast.forecast.runner import Runner
from statecast.model.heads.head import Head
from statecast.model.inputs import numbers_of
from statecast.model.trained import Model


def export(model: Model, path: str | Path) -> list[Path]:
    """Write a model as ONNX files.

    Args:
        model: the model.
        path: of the graph that takes a row, such as "load.onnx".

    Returns:
        The files: that one, the graph that forecasts without moving the state ("load.forecast.onnx"), and the states
        of the series of the training table ("load.states.safetensors").

    Raises:
        SettingError: the name does not end in .onnx; the model has a network for each series; a cell of the user's own
            does what no graph can.
        MissingDependency: the package onnx is not installed.
        OutputError: a file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise SettingError(f"{path}: expected a name that ends in .onnx")
    package = Package(model)
    contents = {path: package.step, path.with_suffix(".forecast.onnx"): package.forecast}
    contents[path.with_suffix(".states.safetensors")] = package.states
    return [write_bytes(file, content) for file, content in contents.items()]


class Package:
    """What goes out of a model.

    Args:
        model: the model.

    Attributes:
        width: rows of the network for each series.
        ids, times: of the series that the model remembers, and of their last rows.
        levels, reason: of the intervals, and what is to be said of them.
        step: the graph that takes a row, as the bytes of a file.
        forecast: the graph that forecasts from a state, likewise.
        states: the states of the training table's series, likewise.
        metadata: what the graphs say of themselves.

    Raises:
        SettingError, MissingDependency: see `export`.
    """

    def __init__(self, model: Model) -> None:
        require_graph(model)
        proto.package()
        model = traceable(model)
        self.levels, self.reason = levels_of(model)
        self._model, self._ports = model, ports_of(model, bool(self.levels))
        self.metadata = dict(self._described())
        graphs = tracing.step(self._ports, self.levels), tracing.forecast(self._ports, self.levels)
        self.step, self.forecast = (
            proto.model_of(graph, self.metadata | {"graph": graph.name}).SerializeToString() for graph in graphs
        )
        self.width = self._ports.width
        self.ids = list(channels.series_ids(model, model.state.ids))
        self.times = [int(time) for time in channels.last_times(model, model.state)]
        labels = {"ids": json.dumps(self.ids), "times": json.dumps(self.times)}
        self.states = to_safetensors(self.remembered(), labels)

    def remembered(self) -> dict[str, np.ndarray]:
        """What the model remembers of the training table's series, by the names of the inputs, [S, …] each.

        These are the states in which they ended, their static covariates, and their numbers.
        """
        model, state = self._model, self._model.state
        fixed = {port.name: self._static(item) for port, item in self._ports.static}
        if model.network.series:
            numbers = numbers_of(model.network, model.schema, state.ids)
            fixed["series"] = numbers.astype(np.int64).reshape(-1, *self._ports.of_series[1:])
        return self._parts(state.data) | fixed

    def _static(self, item: Covariate) -> np.ndarray:
        """A static covariate of each series as the table had it, from the state, which holds it standardised."""
        model = self._model
        names = model.schema.static_features
        part = model.layout.unpack(model.state.data)["static"][:: self.width].astype(np.float64)
        mean, scale = (model.constants[f"static_{moment}"] for moment in ("mean", "scale"))
        values = part[:, : len(names)] * scale + mean
        if model.network.front.missing:
            values = np.where(part[:, len(names) :] > 0, np.nan, values)
        values = values[:, [name in item.features for name in names]]
        if item.kind == "numeric":
            return np.ascontiguousarray(values[:, 0])
        return np.where(np.isnan(values).any(axis=1), np.nan, values.argmax(axis=1))

    def start(self) -> dict[str, np.ndarray]:
        """The state of a series that has observed nothing, by the names of the inputs, [1, …] each."""
        return self._parts(Runner(self._model).initial(np.zeros((self._ports.width, 1))))

    def _parts(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        parts, sizes = self._model.layout.unpack(rows), self._ports.of_series[1:]
        return {
            f"state.{name}": np.ascontiguousarray(parts[name].reshape(-1, *sizes, *shape))
            for name, shape in self._ports.parts.items()
        }

    def _described(self) -> Iterator[tuple[str, Any]]:
        schema, network = self._model.schema, self._model.network
        yield "targets", list(schema.target)
        yield "horizon", network.head.horizon
        yield "frequency", schema.frequency.text
        yield "columns", schema.to_json()
        yield "levels", list(self.levels)
        yield "intervals", self.reason
        yield "inputs", [port.to_json() for port in self._ports.step]
        yield "layout", {name: list(shape) for name, shape in self._ports.parts.items()}
        yield "start", {name: array[0].tolist() for name, array in self.start().items()}
        yield "series", {str(name): int(n) for name, n in zip(schema.series, self._numbers(), strict=True)}

    def _numbers(self) -> np.ndarray:
        return numbers_of(self._model.network, self._model.schema, self._model.schema.series)[:, 0]


def ports_of(model: Model, intervals: bool) -> Ports:
    """The inputs of a model's graphs, with what intervals remember, where they are written and move."""
    adaptive = model.adaptive if intervals else None
    return Ports(model, None if adaptive is None else replace(adaptive, watched=False))


def levels_of(model: Model) -> tuple[tuple[float, ...], str]:
    """The levels of the intervals that go out, and what is to be said of them."""
    head: Head = model.network.head
    if head.family not in CLOSED_FORM:
        return (), f"left out: quantiles of {head.family} jump from count to count, which takes a search"
    levels = tuple(sorted(model.config.levels))
    if not levels:
        return (), "left out: the settings name no levels"
    return levels, "they follow each series" if model.adaptive else "as they were calibrated"


def require_graph(model: Model) -> None:
    """Refuse a model with a network for each series, and one that counts the holidays of months or business days."""
    schema = model.schema
    if schema.holidays and schema.frequency.unit != "us" and BY_STEP[0] in schema.calendar_features:
        raise SettingError(
            f"for steps of {schema.frequency} the number of holidays is an input, which no graph can count: fit "
            "without holidays, or on steps of a day or a week"
        )
    if model.network.members.local:
        raise SettingError(
            "with local = true each series has a network of its own, and a graph holds one: fit with local = false, or "
            "with embedding or local_skip, which tell series apart within one network"
        )
