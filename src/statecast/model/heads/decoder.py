"""A recurrent decoder over the horizon: from the stack's output after a step to the numbers of each step ahead.

The sequence-to-sequence network of Sutskever, Vinyals & Le (2014) in the form of Wen et al. (2017): the decoder starts
from the encoder's output and runs over the H steps ahead. The input of each is what is known about it (covariates,
calendar) and a learned vector of its own; forecasts of earlier steps are no input, so nothing is fed back, in training
or in forecasting. All origins of a segment run side by side, as the batch of one recurrent layer whose time is
the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.model.cells import CELLS, Array, Cell
from statecast.model.initial import Start, init_dense
from statecast.model.scan import layer

UNITS = 32  # of the decoder: it runs H steps for each step of the network above it
STEP_UNITS = 8  # of the vector that tells one step ahead from another


@dataclass(frozen=True)
class Decoder:
    """One recurrent layer over the horizon, and a linear map from its outputs.

    Attributes:
        cell: name of the cell.
        inputs: width of the stack's output.
        horizon: H.
        future: width of what is known about each step ahead.
        numbers: outputs for each step ahead.
    """

    cell: str
    inputs: int
    horizon: int
    future: int
    numbers: int

    @property
    def equations(self) -> Cell:
        """The cell's entry in the table."""
        return CELLS[self.cell]

    def init(self, rng: np.random.Generator, gain: float, start: Start) -> dict[str, Any]:
        """Weights; `gain` = 0 makes every number 0 at first. The bias is one for each (step, number), [H·numbers]."""
        out = {"W": init_dense(rng, UNITS, self.numbers, gain)["W"], "b": np.zeros(self.horizon * self.numbers)}
        learned = [part for part in self.equations.states if part not in self.equations.fixed]
        return {
            "decoder": self.equations.init(rng, self.future + STEP_UNITS, UNITS, start),
            "begin": {part: init_dense(rng, self.inputs, UNITS) for part in learned},
            "step": {"e": 0.5 * rng.standard_normal((self.horizon, STEP_UNITS))},
            "out": out,
        }

    def run(self, w: Any, h: Array, future: Array | None) -> Array:
        """h [..., inputs], future [..., H, F] → numbers [..., H, numbers]."""
        xp, lead = h.__array_namespace__(), h.shape[:-1]
        count = int(np.prod(lead, dtype=np.int64))
        h = xp.reshape(h, (count, self.inputs))
        steps = xp.broadcast_to(w["step"]["e"][:, None, :], (self.horizon, count, STEP_UNITS))
        if self.future:
            known = xp.moveaxis(xp.reshape(future, (count, self.horizon, self.future)), 1, 0)
            steps = xp.concat([known, steps], axis=-1)
        state = {part: h @ begin["W"] + begin["b"] for part, begin in w["begin"].items()}
        blank = xp.zeros((count, UNITS), dtype=h.dtype)
        state |= {part: blank for part in self.equations.fixed}
        out, _ = layer(self.equations, w["decoder"], steps, state)
        numbers = out @ w["out"]["W"] + xp.reshape(w["out"]["b"], (self.horizon, 1, self.numbers))
        return xp.reshape(xp.moveaxis(numbers, 0, 1), (*lead, self.horizon, self.numbers))
