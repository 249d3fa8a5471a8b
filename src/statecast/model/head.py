"""The head: from the stack's output to a forecast of the next H values, in relative units.

A point head gives one number for each (step, target), a quantile head one for each quantile. What is known ahead of a
step enters through one hidden layer shared by all steps: tanh(A·h + B·known[t+k] + e_k), so that, say, tomorrow's
temperature acts on tomorrow's load in the state that today's load left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.model.cells import Array, softplus
from statecast.model.initial import init_dense

FUTURE_UNITS = 32


@dataclass(frozen=True)
class Head:
    """A forecast of the next `horizon` values of each target.

    Attributes:
        inputs: width of the stack's output.
        horizon: H.
        targets: D.
        levels: levels of the intervals in percent, for a quantile head; empty for a point head.
        future: width of what is known of each step ahead; 0 for nothing.
    """

    inputs: int
    horizon: int
    targets: int
    levels: tuple[float, ...]
    future: int

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The probabilities forecast, ascending, the median in the middle; empty for a point head."""
        if not self.levels:
            return ()
        tails = sorted((100 - level) / 200 for level in self.levels)
        return (*tails, 0.5, *(1 - tail for tail in reversed(tails)))

    @property
    def width(self) -> int:
        """Numbers for each (step, target), O."""
        return max(len(self.quantiles), 1)

    def init(self, rng: np.random.Generator, gain: float) -> dict[str, Any]:
        """Weights; `gain` = 0 starts the network as its skip alone."""
        numbers = self.targets * self.width
        w: dict[str, Any] = {"out": init_dense(rng, self.inputs, self.horizon * numbers, gain)}
        if self.future:
            w["state"] = init_dense(rng, self.inputs, FUTURE_UNITS)
            w["known"] = {"W": init_dense(rng, self.future, FUTURE_UNITS)["W"]}
            w["step"] = {"e": np.zeros((self.horizon, FUTURE_UNITS))}
            w["mix"] = {"W": init_dense(rng, FUTURE_UNITS, numbers)["W"] * gain}
        return w

    def raw(self, w: Any, h: Array, future: Array | None) -> Array:
        """h [..., inputs], future [..., H, F] → numbers [..., H, D, O], before the order of quantiles."""
        xp = h.__array_namespace__()
        numbers = self.targets * self.width
        out = xp.reshape(h @ w["out"]["W"] + w["out"]["b"], (*h.shape[:-1], self.horizon, numbers))
        if self.future:
            if future is None:
                raise ValueError("this head needs what is known ahead")
            state = h @ w["state"]["W"] + w["state"]["b"]
            out = out + xp.tanh(state[..., None, :] + future @ w["known"]["W"] + w["step"]["e"]) @ w["mix"]["W"]
        return xp.reshape(out, (*h.shape[:-1], self.horizon, self.targets, self.width))

    def ordered(self, raw: Array) -> Array:
        """Numbers [..., O] → quantiles in ascending order that cannot cross: the median and positive gaps outwards."""
        if not self.levels:
            return raw
        xp = raw.__array_namespace__()
        half = len(self.levels)
        middle = raw[..., half : half + 1]
        gaps = softplus(raw)
        up = middle + xp.cumulative_sum(gaps[..., half + 1 :], axis=-1)
        down = middle - xp.flip(xp.cumulative_sum(xp.flip(gaps[..., :half], axis=-1), axis=-1), axis=-1)
        return xp.concat([down, middle, up], axis=-1)
