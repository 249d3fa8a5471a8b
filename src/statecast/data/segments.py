"""Panel → batches of segments, as row numbers; no window of values is copied here.

The training rows of all series, one after another, make one tape; a reset stands where a series begins. A segment is L
consecutive places of the tape, whose first `burn_in` steps carry no loss, so short series are packed without padding.
The classic ways of training are three settings of this one mechanism:

    window     segment = n, burn_in = n − 1, carry = "zero"     every window of n values, one target each
    stateful   segment = n, burn_in = 0,     carry = "stored"   consecutive segments, state handed on
    full       segment = "full", burn_in = 0                    back-propagation through whole series
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import places_in_spans

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

NOWHERE = -(2**30)  # start of a segment that fills up the last batch: every place of it lies before the tape


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of each series that end its training part and its validation part; the rest is the test part."""

    train: Int64[np.ndarray, " S"]
    val: Int64[np.ndarray, " S"]


def split(lengths: Int64[np.ndarray, " S"], horizon: int, val_size: float, test_size: float) -> Split:
    """Split every series by time: training, then validation, then test rows.

    A share is of the rows of each series, validation of what the test part leaves. A series too short to leave
    `horizon` + 2 training rows gives up first its validation, then its test part.
    """
    least = horizon + 2
    test = _part(lengths, test_size)
    test = np.where(lengths - test >= least, test, 0)
    val = _part(lengths - test, val_size)
    val = np.where(lengths - test - val >= least, val, 0)
    return Split(lengths - test - val, lengths - test)


def _part(lengths: Int64[np.ndarray, " S"], size: float) -> Int64[np.ndarray, " S"]:
    if isinstance(size, float):
        return np.round(lengths * size).astype(np.int64)
    return np.full(len(lengths), size, np.int64)


@dataclass(frozen=True, eq=False)
class Tape:
    """Rows of a panel in the order in which segments run over them.

    Attributes:
        rows: [N] row numbers of the panel.
        reset: [N] whether a new series begins.
        limit: [N] first row that may no longer be a target of a forecast made here.
        scored: [N] whether a forecast made here may carry a loss.
    """

    rows: Int64[np.ndarray, " N"]
    reset: Bool[np.ndarray, " N"]
    limit: Int64[np.ndarray, " N"]
    scored: Bool[np.ndarray, " N"]


def training_tape(offsets: Int64[np.ndarray, " S+1"], parts: Split) -> Tape:
    """The training rows of every series."""
    return _tape(offsets, np.zeros_like(parts.train), parts.train, parts.train, np.zeros_like(parts.train))


def validation_tape(offsets: Int64[np.ndarray, " S+1"], parts: Split, context: int) -> Tape:
    """The validation rows of every series, each after `context` rows of the training part that carry no loss."""
    begin = np.where(parts.val > parts.train, np.maximum(parts.train - 1 - context, 0), parts.val)
    return _tape(offsets, begin, parts.val, parts.val, parts.train - 1)


def _tape(
    offsets: Int64[np.ndarray, " S+1"],
    begin: Int64[np.ndarray, " S"],
    stop: Int64[np.ndarray, " S"],
    limit: Int64[np.ndarray, " S"],
    first_scored: Int64[np.ndarray, " S"],
) -> Tape:
    lengths = np.maximum(stop - begin, 0)
    inside = places_in_spans(lengths)
    age = inside + np.repeat(begin, lengths)
    base = np.repeat(offsets[:-1], lengths)
    rows, end = base + age, base + np.repeat(limit, lengths)
    return Tape(rows, inside == 0, end, (age >= np.repeat(first_scored, lengths)) & (rows + 1 < end))


def evened(stop: Int64[np.ndarray, " S"]) -> Float64[np.ndarray, " N"]:
    """A weight for each place of the training tape that lets every series count alike: 1 / its training rows."""
    return np.repeat(1 / np.maximum(stop, 1), stop)


@dataclass(frozen=True)
class Sampler:
    """Which segments make each training step.

    Attributes:
        length: places of the tape, N.
        segment: L.
        burn_in: steps of a segment without loss.
        batch: most segments in a batch.
        shuffle: draw the segments of an epoch in random order, from a random phase.
        stored: the state is handed on, so segments lie on one grid and keep their numbers.
        seed: of the order.
        weight: [N] how much each place counts; where given, segments are drawn in proportion to the weight of the
            places that carry their loss.
    """

    length: int
    segment: int
    burn_in: int
    batch: int
    shuffle: bool
    stored: bool
    seed: int
    weight: Float64[np.ndarray, " N"] | None = field(default=None, compare=False)

    @property
    def stride(self) -> int:
        """Places between the starts of two segments: every place carries a loss once an epoch."""
        return self.segment - self.burn_in

    @property
    def segments(self) -> int:
        """Segments of an epoch; one more than the tape needs where they start from a random phase."""
        return -(-self.length // self.stride) + self.moves

    @property
    def moves(self) -> bool:
        """Whether the grid of segments moves from epoch to epoch, so that no place is always first in its segment."""
        return self.shuffle and not self.stored and 1 < self.stride < self.length

    @property
    def rows(self) -> int:
        """Segments that a batch has room for: no more than there are, since empty ones cost as much as full ones."""
        return min(self.batch, self.segments)

    @property
    def steps(self) -> int:
        """Training steps of an epoch."""
        return -(-self.segments // self.rows)

    def epoch(self, number: int) -> Int64[np.ndarray, "steps rows"]:
        """Start of each segment of an epoch on the tape, `NOWHERE` where the last batch is not full.

        The order is a function of the seed and the epoch's number alone, so a resumed fit sees the same batches.
        """
        order, phase = np.arange(self.segments), 0
        if self.shuffle:
            rng = np.random.default_rng((self.seed, number))
            order = rng.permutation(order)
            phase = int(rng.integers(self.stride)) if self.moves else 0
            order = order if self.weight is None else self._drawn(rng, phase)
        starts = np.full(self.steps * self.rows, NOWHERE, np.int64)
        starts[: self.segments] = order * self.stride - self.burn_in - phase
        if self.shuffle:
            return starts.reshape(self.steps, self.rows)
        # In order, row b of the batch runs through its own stretch of the tape, one segment a step.
        return starts.reshape(self.rows, self.steps).T

    def _drawn(self, rng: np.random.Generator, phase: int) -> Int64[np.ndarray, " segments"]:
        """As many segments as an epoch has, each as often as its weight asks for to the nearest whole number."""
        ends = np.clip(np.arange(self.segments + 1) * self.stride - phase, 0, self.length)
        upto = self._weight_upto[ends]
        at = upto[0] + (np.arange(self.segments) + rng.random()) / self.segments * (upto[-1] - upto[0])
        return rng.permutation(np.clip(np.searchsorted(upto, at, side="right") - 1, 0, self.segments - 1))

    @cached_property
    def _weight_upto(self) -> Float64[np.ndarray, " N+1"]:
        return np.concatenate([[0.0], np.cumsum(np.ones(self.length) if self.weight is None else self.weight)])

    def batches(self, step: int, count: int) -> Int64[np.ndarray, "count rows"]:
        """The batches of `count` training steps from a step on, over as many epochs as they take."""
        first, skip = divmod(step, self.steps)
        last = (step + count - 1) // self.steps
        return np.concatenate([self.epoch(number) for number in range(first, last + 1)])[skip : skip + count]
