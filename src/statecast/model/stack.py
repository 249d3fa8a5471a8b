"""The stack: layers of cells, then dense layers; pure functions over a tree of weights.

Dropout acts between layers, and only in training, which passes `drop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from statecast.model.cells import CELLS, Array, Cell, StateParts, sigmoid
from statecast.model.initial import Start, init_dense
from statecast.model.scan import gates, layer

Drop = Callable[[int, Array], Array]  # (number of the place, activations) → activations


def _gelu(x: Array) -> Array:
    """The tanh form of Hendrycks & Gimpel 2016."""
    xp = x.__array_namespace__()
    return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


ACTIVATE: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "tanh": lambda x: x.__array_namespace__().tanh(x),
    "relu": lambda x: x * (x > 0),
    "sigmoid": sigmoid,
    "gelu": _gelu,
    "silu": lambda x: x * sigmoid(x),
}


@dataclass(frozen=True)
class Stack:
    """Layers of one cell, then dense layers.

    Attributes:
        cell: name of the cell.
        inputs: width of the input.
        hidden: units of each recurrent layer.
        dense: units of each dense layer.
        activation: of the dense layers.
        residual: add a layer's input to its output where their widths agree.
        threads: most threads of a layer in the native kernel, 0 for all; no result depends on it.
        bf16: whether recurrent layers are trained with products of bfloat16.
    """

    cell: str
    inputs: int
    hidden: tuple[int, ...]
    dense: tuple[int, ...]
    activation: str
    residual: bool
    threads: int = field(default=0, compare=False)
    bf16: bool = field(default=False, compare=False)

    @property
    def equations(self) -> Cell:
        """The cell's entry in the table."""
        return CELLS[self.cell]

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return (self.inputs, *self.hidden, *self.dense)[-1]

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes, per series, of the recurrent state: `0.h`, `0.c`, `1.h`, …"""
        return {f"{n}.{part}": (units,) for n, units in enumerate(self.hidden) for part in self.equations.states}

    def init(self, rng: np.random.Generator, start: Start) -> dict[str, Any]:
        """Weights as float64 arrays."""
        widths = (self.inputs, *self.hidden)
        cells = {str(n): self.equations.init(rng, widths[n], units, start) for n, units in enumerate(self.hidden)}
        widths = (widths[-1], *self.dense)
        dense = {str(n): init_dense(rng, widths[n], units) for n, units in enumerate(self.dense)}
        return {"cells": cells, "dense": dense}

    def start(self, w: Any, batch: tuple[int, ...], like: Array) -> StateParts:
        """The initial recurrent state, each part [*batch, H]."""
        xp = like.__array_namespace__()
        return {
            name: xp.zeros((*batch, *shape), dtype=like.dtype)
            + self.equations.start(w["cells"][name.split(".")[0]], name.split(".")[1])
            for name, shape in self.parts().items()
        }

    def scan(
        self,
        w: Any,
        x: Array,
        state: StateParts,
        reset: Array | None,
        drop: Drop | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, StateParts]:
        """The stack over a segment: x [T, B, inputs], state parts [B, H], reset [T, B] → [T, B, outputs], state.

        Where mask [T, B] is false the state passes unchanged.
        """
        after: StateParts = {}
        for n in range(len(self.hidden)):
            before = {part: state[f"{n}.{part}"] for part in self.equations.states}
            out, last = layer(self.equations, w["cells"][str(n)], x, before, reset, mask, self.threads, self.bf16)
            after |= {f"{n}.{part}": value for part, value in last.items()}
            x = self._between(n, x, out, drop)
        return self._dense(w, x, drop), after

    def step(self, w: Any, x: Array, state: StateParts) -> tuple[Array, StateParts]:
        """One step: x [B, inputs], state parts [B, H] → [B, outputs], state."""
        after: StateParts = {}
        for n in range(len(self.hidden)):
            weights = w["cells"][str(n)]
            before = {part: state[f"{n}.{part}"] for part in self.equations.states}
            z = x @ weights["W"] + weights["b"]
            last = self.equations.step(weights, z, before)
            after |= {f"{n}.{part}": value for part, value in last.items()}
            x = self._between(n, x, self.equations.read(weights, z, last), None)
        return self._dense(w, x, None), after

    def gates(self, w: Any, x: Array, state: StateParts, reset: Array) -> dict[str, Array]:
        """Gates and states of every layer over a segment under NumPy, such as "0.forget" and "0.c", each [T, B, H].

        "0.h" is the output of the first layer. The arguments are those of `scan`.
        """
        outputs: dict[str, Array] = {}
        for n in range(len(self.hidden)):
            before = {part: state[f"{n}.{part}"] for part in self.equations.states}
            of_layer = gates(self.equations, w["cells"][str(n)], x, before, reset)
            outputs |= {f"{n}.{name}": value for name, value in of_layer.items()}
            x = self._between(n, x, of_layer["h"], None)
        return outputs

    def _between(self, place: int, x: Array, out: Array, drop: Drop | None) -> Array:
        out = out + x if self.residual and x.shape[-1] == out.shape[-1] else out
        return drop(place, out) if drop else out

    def _dense(self, w: Any, x: Array, drop: Drop | None) -> Array:
        for n in range(len(self.dense)):
            out = ACTIVATE[self.activation](x @ w["dense"][str(n)]["W"] + w["dense"][str(n)]["b"])
            x = self._between(len(self.hidden) + n, x, out, drop)
        return x
