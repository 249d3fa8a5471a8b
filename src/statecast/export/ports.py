"""What goes into the graphs of a model and what comes out: names, shapes and formats, in the units of its table.

Values, covariates and forecasts are float64 whatever the model's precision, so that tables far from zero keep their
digits; a missing value is NaN. A categorical column holds the places of its categories, counted from 0. The parts of
the state are in the model's precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from statecast.data.schema import ROLES, Covariate
from statecast.export.graph import ROWS, Shape
from statecast.forecast import channels
from statecast.model.adaptive import Adaptive
from statecast.model.trained import Model

REAL, WHOLE = np.dtype(np.float64), np.dtype(np.int64)
KEPT_OUTSIDE = ("static", "series")  # parts of a state that are inputs of their own: they never change


@dataclass(frozen=True)
class Port:
    """An input or output.

    Attributes:
        name: as runtimes know it.
        shape: sizes, the first of them the batch, `ROWS`.
        dtype: format.
        meaning: for people.
    """

    name: str
    shape: Shape
    dtype: Any
    meaning: str

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        sizes = ["batch" if size == ROWS else size for size in self.shape]
        return {"name": self.name, "shape": sizes, "type": self.dtype.name, "meaning": self.meaning}


@dataclass(frozen=True, eq=False)
class Ports:
    """The inputs of a model's graphs.

    Attributes:
        model: the model.
        adaptive: what its intervals remember, as far as the graphs go on with it; None where they do not move.
    """

    model: Model
    adaptive: Adaptive | None

    @cached_property
    def width(self) -> int:
        """Rows of the network for each series."""
        return channels.rows_each(self.model)

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return self.model.network.head.horizon

    @cached_property
    def parts(self) -> dict[str, Shape]:
        """Names and shapes, per row of the network, of the parts of the state that the graphs carry."""
        parts = self.model.network.parts() | (self.adaptive.parts() if self.adaptive else {})
        return {name: shape for name, shape in parts.items() if name not in KEPT_OUTSIDE}

    @property
    def of_series(self) -> Shape:
        """The leading sizes of what each row of the network has for itself."""
        return (ROWS,) if self.width == 1 else (ROWS, self.width)

    @property
    def state(self) -> tuple[Port, ...]:
        """The parts of the state, as inputs."""
        dtype = np.dtype(self.model.dtype)
        return tuple(Port(f"state.{name}", (*self.of_series, *shape), dtype, "") for name, shape in self.parts.items())

    @property
    def number(self) -> tuple[Port, ...]:
        """Which training series a row is, where the network tells them apart."""
        meaning = "number of the training series, see series; 0 for any other"
        return (Port("series", self.of_series, WHOLE, meaning),) if self.model.network.series else ()

    @property
    def phase(self) -> tuple[Port, ...]:
        """Where in the season a row is, where intervals depend on it."""
        if self.model.phases is None:
            return ()
        meaning = f"steps from the beginning of 1970 to the row, modulo {len(self.model.phases)}"
        return (Port("phase", (ROWS,), WHOLE, meaning),)

    @property
    def row(self) -> tuple[Port, ...]:
        """What a step takes of a row."""
        model, front = self.model, self.model.network.front
        ports = [Port("values", (ROWS, len(model.schema.target)), REAL, "the targets, NaN where missing")]
        for role in ROLES:
            items = getattr(model.schema, role)
            ports += [Port(f"{role}.{item.name}", (ROWS,), REAL, _meaning(item)) for item in items]
        clock = "microseconds from 1970-01-01 00:00 to the row, both by the local clock of the table"
        return (*ports, *((Port("time", (ROWS,), WHOLE, clock),) if front.calendar else ()))

    @property
    def static(self) -> list[tuple[Port, Covariate]]:
        """The static covariates, as inputs."""
        items = self.model.schema.static
        return [(Port(f"static.{item.name}", (ROWS,), REAL, _meaning(item)), item) for item in items]

    @property
    def ahead(self) -> tuple[Port, ...]:
        """What is known of the steps ahead."""
        front, shape = self.model.network.front, (ROWS, self.horizon)
        if not front.future:
            return ()
        ports = [Port(f"ahead.{item.name}", shape, REAL, _meaning(item)) for item in self.model.schema.known]
        clock = "the same as time, of each step ahead"
        return (*ports, *((Port("ahead.time", shape, WHOLE, clock),) if front.calendar else ()))

    @property
    def step(self) -> tuple[Port, ...]:
        """Of the graph that takes a row."""
        return (*self.row, *self.ahead, *self.number, *self.phase, *self.state)

    @property
    def forecast(self) -> tuple[Port, ...]:
        """Of the graph that forecasts from a state."""
        return (*self.ahead, *self.number, *self.phase, *self.state)


def _meaning(item: Covariate) -> str:
    if item.kind == "numeric":
        return "a covariate, NaN where missing"
    return f"a category by its place, from 0 on, among {', '.join(item.categories)}; NaN where missing"
