"""The graphs of a model: its network runs once on arrays without numbers, and what it does is what they hold.

No equation is written here. `Network.advance` and `Network.emit` make the step, `inputs` and `features` lead from the
table's units to working units and back, `calibrate` and `Adaptive` make the intervals: the lines that a stream runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from statecast.data import cycles
from statecast.data.grid.covariates import one_hot
from statecast.export.arrays import GraphArray
from statecast.export.graph import ROWS, Graph
from statecast.export.namespace import Namespace
from statecast.export.ports import Port, Ports
from statecast.forecast import calibrate, features
from statecast.model.cells import Array
from statecast.model.inputs import from_working, known_ahead

Arrays = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Traced:
    """A graph with its inputs and outputs.

    Attributes:
        name: "step" or "forecast".
        graph: the operations.
        inputs: what goes in.
        outputs: what comes out, and the names of the values.
    """

    name: str
    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[tuple[Port, str], ...]


def step(ports: Ports, levels: tuple[float, ...]) -> Traced:
    """The graph that takes a row: the forecast from after it, and the next state.

    Args:
        ports: of the model.
        levels: of the intervals, in percent; none where they are left out.
    """
    return _Trace(ports, levels).run("step", ports.step)


def forecast(ports: Ports, levels: tuple[float, ...]) -> Traced:
    """The graph that forecasts from a state, which does not move; see `step`."""
    return _Trace(ports, levels).run("forecast", ports.forecast)


class _Trace:
    """One run of a model on the arrays of one graph."""

    def __init__(self, ports: Ports, levels: tuple[float, ...]) -> None:
        self.ports, self.levels, self.model = ports, levels, ports.model
        self.graph = Graph()
        self.xp: Any = Namespace(self.graph)
        self.p = _mapped(self.xp.asarray, self.model.p)

    def run(self, name: str, inputs: tuple[Port, ...]) -> Traced:
        self.graph.count_rows(inputs[0].name)
        arrays = {port.name: GraphArray(self.xp, port.name, port.shape, port.dtype) for port in inputs}
        state = {part: self._of_rows(arrays[f"state.{part}"], part) for part in self.ports.parts}
        if "series" in arrays:
            state["series"] = self.xp.astype(self.xp.reshape(arrays["series"], (-1, 1)), self.model.dtype)
        moved = state
        if name == "step":
            moved = self._stepped(arrays, state)
        raw, scale = self.model.network.emit(self.p, moved, self._future(arrays))
        if name == "step" and self.ports.adaptive:
            moved |= self._adapted(arrays, moved, raw, scale)
        outputs = self._forecasts(raw, scale, moved.get("shifts"), arrays.get("phase"))
        if name == "step":
            outputs |= {f"next.{part}": self._of_series(moved[part], part) for part in self.ports.parts}
        meanings = {"forecast": "the point forecasts", "lower": "lower bounds", "upper": "upper bounds"}
        ends = tuple(
            (Port(out, array.shape, array.dtype, meanings.get(out.partition("_")[0], "")), array.name)
            for out, array in outputs.items()
        )
        return Traced(name, self.graph, inputs, ends)

    # --- the network

    def _stepped(self, arrays: Arrays, state: Arrays) -> Arrays:
        network, row = self.model.network, self._values(arrays)
        y, m = features.working(self.model, row)
        after: Arrays = network.advance(self.p, state, {"y": y, "m": m, **self._columns(arrays)})
        return {**state, **after}

    def _values(self, arrays: Arrays) -> Array:
        """Targets as the network's rows have them."""
        return self.xp.reshape(arrays["values"], (-1, self.model.network.front.targets))

    def _columns(self, arrays: Arrays) -> Arrays:
        """The covariates of a row and its calendar, standardised, as the network takes them."""
        front, schema, columns = self.model.network.front, self.model.schema, {}
        for role, items in (("past", schema.past), ("known", schema.known)):
            if items:
                columns[role] = self._standardised(role, arrays)
        if front.calendar:
            columns["calendar"] = self._calendar(arrays["time"])
        if schema.static:
            columns["static"] = self._standardised("static", arrays)
        return {name: self._repeated(self.xp.astype(value, self.model.dtype)) for name, value in columns.items()}

    def _calendar(self, clock: Array) -> Array:
        """The calendar's features by the local clock."""
        schema = self.model.schema
        return cycles.by_clock(clock, schema.frequency, schema.calendar_features, schema.holidays)

    def _standardised(self, role: str, arrays: Arrays) -> Array:
        items = getattr(self.model.schema, role)
        encoded = self.xp.concat([one_hot(arrays[f"{role}.{item.name}"], item) for item in items], axis=-1)
        return self.model.network.front.standardise(self.model.constants, role, encoded)

    def _future(self, arrays: Arrays) -> Array | None:
        """What is known of the steps ahead [N, H, F]."""
        network, schema = self.model.network, self.model.schema
        if not network.front.future:
            return None
        columns = [one_hot(arrays[f"ahead.{item.name}"], item) for item in schema.known]
        known = self.xp.concat([self.xp.zeros((ROWS, self.ports.horizon, 0)), *columns], axis=-1)
        calendar = None
        if network.front.calendar:
            calendar = self._calendar(arrays["ahead.time"])
        future = known_ahead(network, self.model.constants, known, calendar)
        return self._repeated(self.xp.astype(future, self.model.dtype))

    # --- forecasts and their intervals

    def _forecasts(self, raw: Array, scale: Array, shifts: Array | None, phase: Any) -> Arrays:
        model = self.model
        point = raw[..., model.network.head.middle]
        values = from_working(model.constants, point[..., None])[..., 0]
        outputs = {"forecast": self._joined(values)}
        phase = None if phase is None else self._repeated(phase[:, None])[:, 0]
        spread = calibrate.Spread(model, raw, scale, shifts, phase)
        for level in self.levels:
            below, above = spread.at(level)
            lower, upper = calibrate.around(model, point, below, above)
            outputs |= {f"lower_{level:g}": self._joined(lower), f"upper_{level:g}": self._joined(upper)}
        return outputs

    def _adapted(self, arrays: Arrays, state: Arrays, raw: Array, scale: Array) -> Arrays:
        """What intervals remember after a step; see `Runner.adapted`."""
        adaptive = self.ports.adaptive
        assert adaptive is not None
        y, m = features.working(self.model, self._values(arrays))
        measures = self.xp.astype(state["count"] >= self.model.measured_from, self.model.dtype)
        watched = self.xp.take(raw, self.xp.asarray(adaptive.leads - 1), axis=1)
        after: Arrays = adaptive.after(state, self.model.bounds, y, m, watched, scale * measures)
        return after

    # --- between series and the network's rows

    def _of_rows(self, array: Array, part: str) -> Array:
        return self.xp.reshape(array, (-1, *self.ports.parts[part]))

    def _of_series(self, array: Array, part: str) -> Array:
        return self.xp.reshape(array, (*self.ports.of_series, *self.ports.parts[part]))

    def _repeated(self, array: Array) -> Array:
        """An array with a row for each series as one with a row for each of their rows; see `channels.repeat`."""
        width, rest = self.ports.width, array.shape[1:]
        if width == 1:
            return array
        spread = self.xp.broadcast_to(array[:, None], (ROWS, width, *rest))
        return self.xp.reshape(spread, (-1, *rest))

    def _joined(self, rows: Array) -> Array:
        """Forecasts [N, H, Dn] of the network's rows as those of the series [S, H, D]; see `channels.join`."""
        if self.ports.width == 1:
            return rows
        each = self.xp.reshape(rows, (ROWS, self.ports.width, self.ports.horizon))
        return self.xp.moveaxis(each, 1, -1)


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """A function of every array of a tree."""
    if isinstance(tree, dict):
        return {name: _mapped(function, value) for name, value in tree.items()}
    return function(tree)
