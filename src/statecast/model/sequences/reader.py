"""The reader: from a sequence, or one row, to one answer; pure functions over a tree of weights.

Recurrent layers run over the sequences of a batch, forwards and, as the settings say, backwards; their outputs are
pooled over the steps of each sequence; dense layers and a linear map read the answer from that. A row of a table is a
sequence of one step that needs no recurrent layer, so both are the same lines. Sequences of unequal lengths lie in one
batch with a mask: a step of padding changes no state and enters no pool, so it changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.model.cells import Array
from statecast.model.initial import Start, init_dense
from statecast.model.stack import Drop, Stack
from statecast.sequence_config import SequenceConfig

POOLS = {"last": ("last",), "mean": ("mean",), "max": ("max",), "all": ("last", "mean", "max")}
BACKWARDS = 1000  # number of the first place of dropout in the layers that read backwards
DENSE = 2000  # and in the dense layers


@dataclass(frozen=True)
class SequenceReader:
    """A network from a sequence to one answer; a value without arrays, equal for equal settings and sizes.

    Attributes:
        recurrent: the recurrent layers of one direction; none for rows of a table.
        bidirectional: read the sequence from its end as well, with weights of its own.
        pooling: which pools of the outputs over the steps go on.
        dense: the dense layers.
        answers: numbers of the answer, K: scores of classes, or values.
    """

    recurrent: Stack
    bidirectional: bool
    pooling: str
    dense: Stack
    answers: int

    @classmethod
    def of(cls, config: SequenceConfig, inputs: int, answers: int, sequences: bool) -> SequenceReader:
        """The network that settings describe for inputs of this width.

        Args:
            config: the settings.
            inputs: width of a step.
            answers: numbers of the answer.
            sequences: whether steps form sequences; for rows of a table the units of `hidden` are dense layers.
        """
        hidden = config.hidden if sequences else ()
        machine = config.threads, config.bf16
        recurrent = Stack(config.cell, inputs, hidden, (), config.activation, config.residual, *machine)
        both = config.bidirectional and bool(hidden)
        pooling = config.pooling if sequences else "last"
        width = recurrent.outputs * (2 if both else 1) * len(POOLS[pooling])
        layers = config.dense if sequences else (*config.hidden, *config.dense)
        dense = Stack(config.cell, width, (), layers, config.activation, config.residual)
        return cls(recurrent, both, pooling, dense, answers)

    @property
    def inputs(self) -> int:
        """Width of a step."""
        return self.recurrent.inputs

    def init(self, seed: int, start: Start | None = None) -> dict[str, Any]:
        """Weights as a tree of float64 arrays; the same seed gives the same bits."""
        rng, start = np.random.default_rng(seed), start or Start()
        w: dict[str, Any] = {"forwards": self.recurrent.init(rng, start)}
        if self.bidirectional:
            w["backwards"] = self.recurrent.init(rng, start)
        w["dense"] = self.dense.init(rng, start)
        return w | {"out": init_dense(rng, self.dense.outputs, self.answers)}

    def read(self, w: Any, x: Array, mask: Array, drop: Drop | None = None) -> Array:
        """The answers to a batch of sequences.

        Args:
            w: weights.
            x: steps [T, B, inputs].
            mask: [T, B] bool; which steps are those of a sequence, whose first is in row 0, and not padding.
            drop: dropout, while training.

        Returns:
            [B, K].
        """
        xp = x.__array_namespace__()
        pooled = pools(self.pooling, self._over(w["forwards"], x, mask, drop), mask, ends(mask))
        if self.bidirectional:
            reverse = xp.flip(x, axis=0), xp.flip(mask, axis=0)
            after = None if drop is None else _shifted(drop, BACKWARDS)
            back = xp.flip(self._over(w["backwards"], *reverse, after), axis=0)
            pooled += pools(self.pooling, back, mask, starts(mask))
        h = xp.concat(pooled, axis=-1)
        h, _ = self.dense.scan(w["dense"], h, {}, None, None if drop is None else _shifted(drop, DENSE))
        return h @ w["out"]["W"] + w["out"]["b"]

    def _over(self, w: Any, x: Array, mask: Array, drop: Drop | None) -> Array:
        """Outputs of the recurrent layers [T, B, H]; a step of padding gives those of the step before it."""
        if not self.recurrent.hidden:
            return x
        return self.recurrent.scan(w, x, self.recurrent.start(w, x.shape[1:2], x), None, drop, mask)[0]


def pools(pooling: str, h: Array, mask: Array, last: Array) -> list[Array]:
    """Outputs h [T, B, H] pooled over the steps of each sequence; `last` [T, B] marks the one where reading ended."""
    xp = h.__array_namespace__()
    weight, end = xp.astype(mask, h.dtype)[..., None], xp.astype(last, h.dtype)[..., None]
    reductions = {
        "last": lambda: xp.sum(h * end, axis=0),
        "mean": lambda: xp.sum(h * weight, axis=0) / xp.sum(weight, axis=0),
        "max": lambda: xp.max(xp.where(mask[..., None], h, -xp.inf), axis=0),
    }
    return [reductions[name]() for name in POOLS[pooling]]


def ends(mask: Array) -> Array:
    """Of steps [T, B], the last one of each sequence."""
    xp = mask.__array_namespace__()
    after = xp.concat([mask[1:], xp.zeros_like(mask[:1])], axis=0)
    return mask & ~after


def starts(mask: Array) -> Array:
    """Of steps [T, B], the first one of each sequence."""
    xp = mask.__array_namespace__()
    before = xp.concat([xp.zeros_like(mask[:1]), mask[:-1]], axis=0)
    return mask & ~before


def _shifted(drop: Drop, by: int) -> Drop:
    return lambda place, x: drop(place + by, x)
