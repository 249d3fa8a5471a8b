"""The head: from the stack's output to a forecast of the next H values, in relative units.

A point head returns one number for each (step, target), a quantile head one for each quantile, and a distribution head
the parameters of the distribution (see `distributions`). What is known about a step ahead enters through one hidden
layer that all steps share, tanh(A·h + B·known[t+k] + e_k), so that tomorrow's temperature, say, acts on tomorrow's load
given the state after today. A recurrent decoder can take the place of all this (see `decoder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.model.cells import Array, softplus
from statecast.model.heads.decoder import Decoder
from statecast.model.heads.distributions import DISTRIBUTIONS, Distribution, normal_score
from statecast.model.initial import Start, init_dense

FUTURE_UNITS = 32
LINEAR = ("out", "mix")  # the parts of its weights that what it puts out is linear in


@dataclass(frozen=True)
class Head:
    """A forecast of the next `horizon` values of each target.

    Attributes:
        inputs: width of the stack's output.
        horizon: H.
        targets: D.
        levels: levels of the intervals in percent, for a quantile head; else empty.
        future: width of what is known about each step ahead; 0 for nothing.
        family: name of the distribution whose parameters it returns; empty for none.
        decoder: name of the decoder's cell; empty for none.
    """

    inputs: int
    horizon: int
    targets: int
    levels: tuple[float, ...]
    future: int
    family: str = ""
    decoder: str = ""

    @classmethod
    def of(cls, config: Config, inputs: int, targets: int, future: int) -> Head:
        """The head that the settings describe; what it forecasts follows from the loss."""
        levels = config.levels if config.loss == "pinball" else ()
        family = config.loss if config.loss in DISTRIBUTIONS else ""
        decoder = "" if config.decoder == "none" else config.decoder
        return cls(inputs, config.horizon, targets, levels, future, family, decoder)

    @property
    def distribution(self) -> Distribution | None:
        """The distribution that it forecasts; None for point and quantile heads."""
        return DISTRIBUTIONS[self.family] if self.family else None

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The probabilities of a quantile head, ascending, the median in the middle; empty for other heads."""
        if not self.levels:
            return ()
        tails = sorted((100 - level) / 200 for level in self.levels)
        return (*tails, 0.5, *(1 - tail for tail in reversed(tails)))

    @property
    def width(self) -> int:
        """Numbers for each (step, target), O."""
        return len(self.distribution.parameters) if self.distribution else max(len(self.quantiles), 1)

    @property
    def middle(self) -> int:
        """Which of the O numbers is the point forecast."""
        return len(self.quantiles) // 2

    @property
    def decoding(self) -> Decoder | None:
        """The recurrent decoder; None where there is none."""
        numbers = self.targets * self.width
        return Decoder(self.decoder, self.inputs, self.horizon, self.future, numbers) if self.decoder else None

    def init(self, rng: np.random.Generator, gain: float, start: Start) -> dict[str, Any]:
        """Weights; `gain` = 0 starts the network as its skip alone."""
        if self.decoding:
            return self.decoding.init(rng, gain, start)
        numbers = self.targets * self.width
        w: dict[str, Any] = {"out": init_dense(rng, self.inputs, self.horizon * numbers, gain)}
        if self.future:
            w["state"] = init_dense(rng, self.inputs, FUTURE_UNITS)
            w["known"] = {"W": init_dense(rng, self.future, FUTURE_UNITS)["W"]}
            w["step"] = {"e": np.zeros((self.horizon, FUTURE_UNITS))}
            w["mix"] = {"W": init_dense(rng, FUTURE_UNITS, numbers)["W"] * gain}
        return w

    def started(self, center: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Biases [H, D, O] at which the head forecasts a point `center` [H, D] and normal errors.

        `spread` [H, D] is the standard deviation of these errors, in typical errors.
        """
        bias = np.zeros((self.horizon, self.targets, self.width))
        scores = np.array([normal_score(q) for q in self.quantiles])
        for number, gap in enumerate(np.diff(scores)):
            bias[..., number + (number >= self.middle)] = _before_softplus(gap * spread)
        if self.family:
            bias[..., 1] = _before_softplus(spread)
        bias[..., self.middle] = center
        return bias

    def narrowed(self, w: Any, ahead: np.ndarray) -> tuple[Head, Any]:
        """The head that forecasts only the steps `ahead`, and its weights, whose leading axes stay as they are."""
        numbers, pick = self.targets * self.width, ahead - 1
        each = {name: part.reshape(*part.shape[:-1], self.horizon, numbers) for name, part in w["out"].items()}
        out = {
            name: np.ascontiguousarray(part[..., pick, :]).reshape(*part.shape[:-2], -1) for name, part in each.items()
        }
        step = {"step": {"e": w["step"]["e"][..., pick, :]}} if self.future else {}
        return replace(self, horizon=len(ahead)), {**w, "out": out, **step}

    def raw(self, w: Any, h: Array, future: Array | None) -> Array:
        """h [..., inputs], future [..., H, F] → numbers [..., H, D, O], before the order of quantiles."""
        xp = h.__array_namespace__()
        numbers = self.targets * self.width
        if self.future and future is None:
            raise ValueError("this head needs what is known about the steps ahead")
        if self.decoding:
            out = self.decoding.run(w, h, future)
            return xp.reshape(out, (*h.shape[:-1], self.horizon, self.targets, self.width))
        out = xp.reshape(h @ w["out"]["W"] + w["out"]["b"], (*h.shape[:-1], self.horizon, numbers))
        if self.future:
            state = h @ w["state"]["W"] + w["state"]["b"]
            out = out + xp.tanh(state[..., None, :] + future @ w["known"]["W"] + w["step"]["e"]) @ w["mix"]["W"]
        return xp.reshape(out, (*h.shape[:-1], self.horizon, self.targets, self.width))

    def forecast(self, raw: Array, linear: Array | None, level: Array, size: Array) -> Array:
        """The head's numbers in working units.

        Args:
            raw: its numbers [..., H, D, O].
            linear: what the skip adds to the forecast [..., H, D, 1]; None for nothing.
            level: of the targets, [..., 1, D, 1].
            size: of a typical error, [..., H, D, 1].

        Returns:
            [..., H, D, O]: the point, the quantiles in ascending order, or the parameters of the distribution.
        """
        if self.distribution:
            place = raw[..., :1] if linear is None else raw[..., :1] + linear
            return self.distribution.shaped(level + size * place, size, raw[..., 1:])
        numbers = self._ordered(raw)
        return level + size * (numbers if linear is None else numbers + linear)

    def _ordered(self, raw: Array) -> Array:
        """Numbers [..., O] → quantiles in ascending order that cannot cross: the median and positive gaps outwards."""
        if not self.levels:
            return raw
        xp = raw.__array_namespace__()
        half = self.middle
        middle = raw[..., half : half + 1]
        gaps = softplus(raw)
        up = middle + xp.cumulative_sum(gaps[..., half + 1 :], axis=-1)
        down = middle - xp.flip(xp.cumulative_sum(xp.flip(gaps[..., :half], axis=-1), axis=-1), axis=-1)
        return xp.concat([down, middle, up], axis=-1)


def _before_softplus(x: np.ndarray) -> np.ndarray:
    """The number whose softplus is x."""
    x = np.maximum(x, 1e-6)
    return np.asarray(x + np.log(-np.expm1(-x)))


def hears(weights: Mapping[str, Any]) -> bool:
    """Whether the head of a network takes anything from its layers."""
    return any(bool(weights["head"][name]["W"].any()) for name in LINEAR if name in weights["head"])
