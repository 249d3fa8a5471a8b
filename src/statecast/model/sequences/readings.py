"""Ways to read a sequence, each from its steps to numbers of an answer: scores of classes, or standardised values.

A network reads the steps one after the other, or all of them at once as a row of a table; convolutions with fixed
weights see forms wherever they are, and a linear map reads the answer from how often. All are values that run under
NumPy, and the answer to a sequence does not depend on those beside it, but for the last bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences, patched
from statecast.model.members import cast, member
from statecast.model.sequences.convolutions import Convolutions
from statecast.model.sequences.reader import SequenceReader

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

PLACES = 262_144  # most steps that run at once


@dataclass(frozen=True, eq=False)
class NetworkReading:
    """An ensemble of networks, over the steps one after the other or all at once.

    Attributes:
        encoding: from columns to inputs.
        reader: the network.
        weights: its arrays; the members of the ensemble are the first axis of each.
        patch: steps that the network takes at once.
        steps: length of the sequences that it reads as rows of a table; 0 where it reads them step by step.
    """

    encoding: Encoding
    reader: SequenceReader
    weights: dict[str, Any]
    patch: int
    steps: int

    @property
    def members(self) -> int:
        """Networks of the ensemble."""
        return len(self.weights["out"]["b"])

    def readable(self, source: Sequences) -> Bool[np.ndarray, " n"]:
        """All, but for those of another length than the table's."""
        return np.asarray(source.lengths == (self.steps or source.lengths))

    def numbers(self, source: Sequences) -> Float[np.ndarray, "members n K"]:
        """What each member reads out, in float64 whatever the precision of the weights."""
        return self.numbers_of(range(self.members), source)

    def numbers_of(self, members: Sequence[int], source: Sequences) -> Float[np.ndarray, "members n K"]:
        """What some members read out."""
        source = source.as_table() if self.steps else source
        inputs, offsets = patched(self.encoding.apply(source), source.offsets, self.patch)
        exact = [cast(member(self.weights, n), np.float64) for n in members]
        numbers = np.zeros((len(exact), source.count, self.reader.answers))
        for rows, x, mask in batches(inputs, offsets, PLACES):
            for n, w in enumerate(exact):
                numbers[n, rows] = self.reader.read(w, x, mask)
        return numbers


@dataclass(frozen=True, eq=False)
class ConvolutionReading:
    """A linear map from what is kept of convolutions.

    Attributes:
        encoding: from columns to inputs.
        convolutions: of these inputs.
        weights: {"W": [features, K], "b": [K]}, float64.
    """

    encoding: Encoding
    convolutions: Convolutions
    weights: dict[str, Any]

    def readable(self, source: Sequences) -> Bool[np.ndarray, " n"]:
        """All of them."""
        return np.ones(source.count, bool)

    def numbers(self, source: Sequences) -> Float[np.ndarray, "1 n K"]:
        """What the map reads out; it is alone."""
        features = features_of(self.convolutions, self.encoding.apply(source), source.offsets)
        return np.asarray((features @ self.weights["W"] + self.weights["b"])[None])


Reading = NetworkReading | ConvolutionReading


def outcomes(numbers: Float[np.ndarray, "members n K"], classes: bool) -> Float[np.ndarray, "n K"]:
    """The mean over the members: of the softmax of their scores where classes are told, else of their values."""
    if classes:
        odds = np.exp(numbers - numbers.max(axis=-1, keepdims=True))
        numbers = odds / odds.sum(axis=-1, keepdims=True)
    return np.asarray(numbers.mean(axis=0))


def features_of(
    convolutions: Convolutions, inputs: Float[np.ndarray, "steps I"], offsets: Int64[np.ndarray, " n+1"]
) -> Float[np.ndarray, "n features"]:
    """What is kept of the convolutions of sequences that lie one after the other."""
    features = np.zeros((len(offsets) - 1, convolutions.features))
    for rows, x, mask in batches(inputs, offsets, PLACES // inputs.shape[1]):
        features[rows] = convolutions.read(x, mask)
    return features


def batches(
    inputs: Float[np.ndarray, "steps I"], offsets: np.ndarray, places: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sequences of similar lengths together: their numbers [B], padded steps [T, B, I] and the mask of these [T, B].

    Args:
        inputs: of every step.
        offsets: where the sequences begin.
        places: most steps of a batch, unless a single sequence has more.
    """
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")
    while len(order):
        # The longest of the first m sequences is the m-th, as they are in order.
        fits = np.flatnonzero(lengths[order] * np.arange(1, len(order) + 1) <= places)
        rows, order = np.split(order, [max(1, len(fits))])
        place = np.arange(lengths[rows].max())[:, None]
        mask = place < lengths[rows]
        yield rows, inputs[np.where(mask, offsets[rows] + place, offsets[rows])], mask
