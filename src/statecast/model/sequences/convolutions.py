"""Convolutions of sequences with fixed weights, and what is kept of each: numbers that a linear map can read.

Nothing here is learned but thresholds: many convolutions of nine steps, at several spacings, and of each of them the
greatest value and the shares of steps at which it exceeds its thresholds (MiniRocket: Dempster, Schmidt & Webb 2021,
with the maximum of ROCKET: Dempster, Petitjean & Webb 2020). Steps before the first and after the last count as 0, so
a step of padding changes no number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

WIDTH = 9  # weights of a convolution
HEAVY = np.array(list(combinations(range(WIDTH), 3)), np.int64)  # places of the weights 2 in each; the others are −1
SPACINGS = 8  # spacings, as far as the sequences are long enough for so many
FEATURES = 2500  # about so many features in all
SAMPLE = 10  # sequences that thresholds are drawn from
GOLDEN = (5**0.5 - 1) / 2  # its multiples, without their whole parts, lie evenly whatever their number


@dataclass(frozen=True, eq=False)
class Convolutions:
    """Convolutions of the inputs of a step; number n has the weights 2 at the places `HEAVY[n % 84]`, else −1.

    Attributes:
        spacing: steps from one weight to the next [N].
        channels: which inputs each of them adds up before it is weighed [N, I].
        threshold: of its values [N, F].
    """

    spacing: Int64[np.ndarray, " N"]
    channels: Bool[np.ndarray, "N I"]
    threshold: Float[np.ndarray, "N F"]

    @property
    def features(self) -> int:
        """Numbers that are kept of a sequence."""
        return len(self.spacing) + self.threshold.size

    @classmethod
    def draw(
        cls, x: Float[np.ndarray, "T B I"], mask: Bool[np.ndarray, "T B"], rng: np.random.Generator
    ) -> Convolutions:
        """Convolutions for sequences like these; the same sequences and generator give the same ones.

        Args:
            x: a sample of sequences, its padding anything.
            mask: which steps are theirs.
            rng: chooses the inputs of each, and the sequences that thresholds are quantiles of.
        """
        inputs, each = x.shape[2], len(HEAVY)
        gaps = spacings(int(np.median(mask.sum(axis=0))))
        count = max(1, round(FEATURES / (each * len(gaps))) - 1)
        spacing = np.repeat(gaps, each)
        channels = np.stack([_subset(rng, inputs) for _ in spacing])
        bare = cls(spacing, channels, np.zeros((len(spacing), 0), np.float32))
        threshold = np.zeros((len(spacing), count), np.float32)
        for n, values in bare.values(x, mask):
            row = rng.integers(x.shape[1])
            level = GOLDEN * (1 + n * count + np.arange(count)) % 1
            threshold[n] = np.quantile(values[mask[:, row], row], level)
        return cls(spacing, channels, threshold)

    def values(
        self, x: Float[np.ndarray, "T B I"], mask: Bool[np.ndarray, "T B"]
    ) -> Iterator[tuple[int, Float[np.ndarray, "T B"]]]:
        """The number of each convolution, and its values at all steps of sequences; see `Convolutions.read`."""
        planes = np.moveaxis(np.where(mask[..., None], x, 0).astype(np.float32), 2, 0)
        for gap in np.unique(self.spacing):
            shifts = _shifted(planes, int(gap))
            total = shifts.sum(axis=0)
            for n in np.flatnonzero(self.spacing == gap):
                heavy = HEAVY[n % len(HEAVY)]
                terms = [3 * shifts[heavy, c].sum(axis=0) - total[c] for c in np.flatnonzero(self.channels[n])]
                yield int(n), sum(terms[1:], terms[0])

    def read(self, x: Float[np.ndarray, "T B I"], mask: Bool[np.ndarray, "T B"]) -> Float[np.ndarray, "B features"]:
        """What is kept of sequences: of each convolution the greatest value, and the shares of steps above thresholds.

        Args:
            x: steps.
            mask: which of them are those of a sequence, whose first is in row 0, and not padding.
        """
        lengths, each = mask.sum(axis=0), self.threshold.shape[1] + 1
        features = np.zeros((x.shape[1], len(self.spacing), each))
        for n, values in self.values(x, mask):
            inside = np.where(mask, values, -np.inf)
            features[:, n, 0] = inside.max(axis=0)
            for k, threshold in enumerate(self.threshold[n], 1):
                features[:, n, k] = np.count_nonzero(inside > threshold, axis=0) / lengths
        return features.reshape(len(features), -1)


def spacings(length: int) -> Int64[np.ndarray, " n"]:
    """From 1 to as far apart as a sequence of this length has room for, evenly in logarithms, each once."""
    widest = max(1.0, (length - 1) / (WIDTH - 1))
    return np.unique(np.geomspace(1, widest, SPACINGS).round(9).astype(np.int64))


def _subset(rng: np.random.Generator, inputs: int) -> Bool[np.ndarray, " I"]:
    """Some of the inputs, few more often than many."""
    count = int(2 ** rng.uniform(0, np.log2(min(inputs, WIDTH) + 1)))
    subset = np.zeros(inputs, bool)
    subset[rng.choice(inputs, min(count, inputs), replace=False)] = True
    return subset


def _shifted(planes: Float[np.ndarray, "I T B"], gap: int) -> Float[np.ndarray, "9 I T B"]:
    """The inputs as each weight of a convolution sees them: 0 beyond either end."""
    steps = planes.shape[1]
    shifted = np.zeros((WIDTH, *planes.shape), planes.dtype)
    for place in range(WIDTH):
        by = (place - WIDTH // 2) * gap
        if abs(by) < steps:
            shifted[place, :, max(0, -by) : steps - max(0, by)] = planes[:, max(0, by) : steps + min(0, by)]
    return shifted
